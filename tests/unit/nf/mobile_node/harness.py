"""A mobile node's core with a clock of its own, and the other side's messages."""

from __future__ import annotations

import random
from typing import Any, TypeVar

from closedloop_nf.mobile_node.actions import Action, Emit, SendMobility
from closedloop_nf.mobile_node.core import MobileNodeCore
from closedloop_nf.mobile_node.inputs import AddressChanged, Input, LinkChanged, MobilityReceived, RouterAdvertised
from closedloop_nf.mobile_node.settings import SecurityAssociation, Settings, Timers
from closedloop_nf.runtime.addresses import Prefix, from_text
from closedloop_nf.runtime.clock import Instant
from closedloop_nf.wire import authentication, mobility
from closedloop_nf.wire.mobility_options import BindingRefreshAdvice, MobilityOption, ReplayProtection, find_option

HOME = from_text("2001:db8:a::100")
HOME_PREFIX = Prefix.from_text("2001:db8:a::/64")
AGENT, AGENT2, AGENT3 = (from_text(f"2001:db8:a{n}::1") for n in range(3))
VISITED1, VISITED2 = Prefix.from_text("2001:db8:1::/64"), Prefix.from_text("2001:db8:2::/64")
CARE_OF1, CARE_OF2 = from_text("2001:db8:1::5"), from_text("2001:db8:2::5")
ROUTER1, ROUTER2, ROUTER_HOME = (from_text(f"fe80::{n}") for n in (1, 2, 3))
KEY = bytes(range(20))
SPI = 1000
WALL = 1_790_000_000.0

A = TypeVar("A")


def settings(**changes: Any) -> Settings:
    values: dict[str, Any] = {
        "home_address": HOME,
        "home_prefix": HOME_PREFIX,
        "home_agents": (AGENT, AGENT2),
        "interfaces": ("eth0",),
        "security": SecurityAssociation(SPI, KEY),
        "lifetime_s": 600,
        "timers": Timers(),
    }
    return Settings(**(values | changes))


class Node:
    """The core, its time, and what it has asked for so far."""

    def __init__(self, seed: int = 1, **changes: Any) -> None:
        self.core = MobileNodeCore(settings(**changes), random.Random(seed))
        self.mono = 1000.0
        self.log: list[tuple[float, Action]] = []

    @property
    def now(self) -> Instant:
        return Instant(self.mono, WALL + self.mono)

    def feed(self, event: Input) -> list[Action]:
        return self._note(self.core.handle(event, self.now))

    def advance(self, seconds: float) -> list[Action]:
        """Let time pass, calling `tick` at each deadline as a shell does."""
        until = self.mono + seconds
        actions: list[Action] = []
        for _ in range(10_000):
            due = self.core.deadline()
            if due is None or due > until:
                self.mono = until
                return actions
            self.mono = max(self.mono, due)
            actions += self._note(self.core.tick(self.now))
        raise AssertionError("the core asks for ticks without end")

    def _note(self, actions: list[Action]) -> list[Action]:
        self.log += [(self.mono, action) for action in actions]
        return actions

    # --- the network -------------------------------------------------------------------------------------------------

    def link(self, up: bool, interface: str = "eth0") -> list[Action]:
        return self.feed(LinkChanged(interface, up))

    def advertise(self, prefix: Prefix, router: bytes, interval_s: float | None = None, interface: str = "eth0") -> list[Action]:
        return self.feed(RouterAdvertised(interface, router, 1800, (prefix,), interval_s))

    def address(self, address: bytes, usable: bool = True, interface: str = "eth0", valid_s: float | None = None) -> list[Action]:
        return self.feed(AddressChanged(interface, address, usable, valid_until=None if valid_s is None else self.mono + valid_s))

    def visit1(self) -> list[Action]:
        return [*self.link(True), *self.advertise(VISITED1, ROUTER1), *self.address(CARE_OF1)]

    def visit2(self) -> list[Action]:
        return [*self.link(False), *self.link(True), *self.advertise(VISITED2, ROUTER2), *self.address(CARE_OF2)]

    def go_home(self) -> list[Action]:
        return [*self.link(False), *self.link(True), *self.advertise(HOME_PREFIX, ROUTER_HOME)]

    def bound(self) -> Node:
        """Registered from the first visited link."""
        self.feed(acknowledgement(last_update(self.visit1())))
        assert self.core.registration.bound is not None
        return self

    def sent_at(self) -> list[float]:
        return [time for time, action in self.log if isinstance(action, SendMobility)]


def of(actions: list[Action], kind: type[A]) -> list[A]:
    return [action for action in actions if isinstance(action, kind)]


def events(actions: list[Action]) -> list[str]:
    return [action.event for action in of(actions, Emit)]


class Update:
    """A Binding Update as it left."""

    def __init__(self, sent: SendMobility) -> None:
        message = mobility.parse_mobility(sent.payload)
        assert isinstance(message, mobility.BindingUpdate)
        self.sent = sent
        self.message = message
        self.sequence = message.sequence
        replay = find_option(message.options, ReplayProtection)
        self.timestamp = 0 if replay is None else replay.timestamp


def updates(actions: list[Action]) -> list[Update]:
    return [Update(sent) for sent in of(actions, SendMobility)]


def last_update(actions: list[Action]) -> Update:
    return updates(actions)[-1]


def acknowledgement(
    update: Update,
    status: int = 0,
    *,
    sequence: int | None = None,
    lifetime_s: int | None = None,
    refresh_s: int | None = None,
    timestamp: int | None = None,
    key: bytes | None = KEY,
    source: bytes | None = None,
) -> MobilityReceived:
    """What a home agent answers to `update`; key None: not authenticated."""
    options: list[MobilityOption] = [] if refresh_s is None else [BindingRefreshAdvice(refresh_s // 4)]
    timestamp = update.timestamp if timestamp is None else timestamp
    if timestamp:
        options.append(ReplayProtection(timestamp))
    message = mobility.BindingAcknowledgement(
        status,
        False,
        update.sequence if sequence is None else sequence,
        update.message.lifetime if lifetime_s is None else lifetime_s // 4,
        tuple(options),
    )
    return signed(message, update.sent.source, update.sent.destination if source is None else source, key)


def switch(
    agents: tuple[bytes, ...], timestamp: int, source: bytes, care_of: bytes = CARE_OF1, key: bytes | None = KEY
) -> MobilityReceived:
    options = (ReplayProtection(timestamp),) if timestamp else ()
    return signed(mobility.HomeAgentSwitch(agents, options), care_of, source, key)


def signed(
    message: mobility.BindingAcknowledgement | mobility.HomeAgentSwitch, care_of: bytes, source: bytes, key: bytes | None
) -> MobilityReceived:
    if key is None:
        data = mobility.build_mobility(message)
    else:
        data = authentication.authenticate(message, care_of_address=care_of, home_address=HOME, spi=SPI, key=key)
    return MobilityReceived(source, care_of, None if care_of == HOME else HOME, mobility.seal(data, source, HOME))


def ntp(node: Node, offset_s: float = 0.0) -> int:
    return authentication.ntp_timestamp(node.now.wall + offset_s)
