"""A mobile node that wanders between two visited links and home."""

from __future__ import annotations

import math
import random
from typing import Protocol

from closedloop_nf.ha_pp import events
from closedloop_nf.kernel.mobile_node import FORMER_S
from closedloop_nf.mobile_node import actions, inputs
from closedloop_nf.mobile_node.core import MobileNodeCore
from closedloop_nf.mobile_node.settings import SecurityAssociation, Settings, Timers
from closedloop_nf.runtime.addresses import Prefix

from tests.simulation.network import Network
from tests.simulation.process import Process
from tests.simulation.world import Clock, World

TIMERS = Timers(
    first_bindack_timeout_s=0.3,
    initial_bindack_timeout_s=0.2,
    max_bindack_timeout_s=1.6,
    max_update_rate=20,
    initial_dhaad_timeout_s=0.5,
    router_solicitation_interval_s=0.5,
    max_router_solicitation_interval_s=1.0,
)
LIFETIME_S = 40
INTERFACE = "wlan0"


class Ether(Protocol):
    """What carries a mobile node's packets."""

    def from_mobile_node(self, node: Node, action: actions.SendMobility | actions.SendIcmpv6) -> None: ...


class Node:
    """One mobile node. `links` are the prefixes it may visit, the first of them home."""

    def __init__(
        self,
        world: World,
        network: Network,
        ether: Ether,
        *,
        name: str,
        home_address: bytes,
        links: list[Prefix],
        home_agents: list[bytes],
        spi: int,
        key: bytes,
    ) -> None:
        self.world, self.network, self.ether, self.name = world, network, ether, name
        self.home_address, self.links = home_address, links
        self.clock = Clock(world)
        self.settings = Settings(
            home_address=home_address,
            home_prefix=links[0],
            home_agents=tuple(home_agents),
            interfaces=(INTERFACE,),
            security=SecurityAssociation(spi, key),
            lifetime_s=LIFETIME_S,
            failover_after=2,
            timers=TIMERS,
        )
        self.link: int | None = None
        """Index of the link it is plugged into; None between two."""
        self.tunnel: tuple[bytes, bytes] | None = None
        """(care-of address, home agent) in its data plane."""
        self.accepts: dict[bytes, float] = {}
        """Home agents whose tunnelled packets it takes, and until when."""
        self.at_home = False
        self.process: Process | None = None

    @property
    def care_of_address(self) -> bytes | None:
        if self.link is None:
            return None
        return self.home_address if self.link == 0 else self.links[self.link].address[:8] + self.home_address[8:]

    def start(self) -> None:
        self.tunnel, self.at_home = None, False
        core = MobileNodeCore(self.settings, random.Random(self.world.rng.random()))
        self.process = Process(self.world, self.clock, core, self._apply)
        self.world.note(f"{self.name} starts")
        self.process.feed(inputs.LinkChanged(INTERFACE, self.link is not None))
        self.process.arm()
        if self.link is not None:
            self._attached(self.link)

    def kill(self) -> None:
        if self.process is not None and self.process.alive:
            self.world.note(f"{self.name} killed")
            self.process.kill()

    def plug(self, link: int) -> None:
        """Leave the present link, appear on another one a moment later."""
        if self.link == link:
            return
        self.world.note(f"{self.name} moves to link {link}")
        self.link = None
        self._feed(inputs.LinkChanged(INTERFACE, False))
        self.world.after(0.01, self._plugged, link)

    def receive(self, packet: events.SendMobility | events.SendIcmpv6) -> None:
        """A datagram for an address of this node."""
        kind = inputs.MobilityReceived if isinstance(packet, events.SendMobility) else inputs.Icmpv6Received
        self._feed(kind(packet.source, packet.destination, packet.routing_home_address, packet.payload))

    def _plugged(self, link: int) -> None:
        if self.link is None:
            self.link = link
            self._feed(inputs.LinkChanged(INTERFACE, True))
            self._attached(link)

    def _attached(self, link: int) -> None:
        def slaac() -> None:
            if self.link == link and self.care_of_address is not None:
                self._feed(inputs.AddressChanged(INTERFACE, self.care_of_address, True))

        self.world.after(0.03, self._advertise, link)
        if link:
            self.world.after(0.032, slaac)

    def _advertise(self, link: int) -> None:
        if self.link == link:
            router = bytes.fromhex("fe80000000000000") + bytes(7) + bytes([link + 1])
            self._feed(inputs.RouterAdvertised(INTERFACE, router, 1800, (self.links[link],)))

    def _expect(self, home_agents: set[bytes]) -> None:
        """As kernel/node_guard.py does it."""
        now = self.world.time
        former = {agent: min(end, now + FORMER_S) for agent, end in self.accepts.items() if end > now}
        self.accepts = former | dict.fromkeys(home_agents, math.inf)

    def _feed(self, event: inputs.Input) -> None:
        if self.process is not None:
            self.process.feed(event)

    def _apply(self, process: Process, action: actions.Action) -> None:
        match action:
            case actions.SendMobility() | actions.SendIcmpv6():
                self.ether.from_mobile_node(self, action)
            case actions.SolicitRouter():
                if self.link is not None:
                    self.world.after(0.004, self._advertise, self.link)
            case actions.Bind():
                self.tunnel = (action.care_of_address, action.home_agent)
                self._expect({action.home_agent})
            case actions.Expect():
                self._expect({action.home_agent} if self.tunnel is None else {action.home_agent, self.tunnel[1]})
            case actions.Unbind():
                self.tunnel = None
            case actions.AtHome():
                self.at_home, self.tunnel = True, None
            case actions.Away():
                self.at_home = False
            case actions.DropCareOfAddresses() | actions.AnnounceHome() | actions.Stopped():
                pass
            case actions.Emit():
                self.world.note(self.name, action.event, action.fields)
