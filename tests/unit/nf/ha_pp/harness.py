"""A HA-PP core in simulated time with a model kernel, a scripted HA-B and a scripted mobile node."""

from __future__ import annotations

import logging
import random
import socket
from typing import TypeVar

from closedloop_nf.ha_pp import events
from closedloop_nf.ha_pp.core import PacketProcessor
from closedloop_nf.ha_pp.state import Parameters
from closedloop_nf.link import messages as link
from closedloop_nf.runtime.clock import Instant
from closedloop_nf.wire import authentication, mobility
from closedloop_nf.wire.mobility_options import AlternateCareOfAddress, MobilityOption, ReplayProtection
from closedloop_nf.wire.status import BindingStatus

M = TypeVar("M")


def ip(text: str) -> bytes:
    return socket.inet_pton(socket.AF_INET6, text)


NAME = "ha-pp-a"
OTHER = "ha-pp-b"
AGENT = ip("2001:db8:a::1")
HOME_LINK = ip("2001:db8:40::a")
SHARED = ip("2001:db8:40::100")
PREFIX = (ip("2001:db8:40::"), 64)
HOME = ip("2001:db8:40::11")
HOME_2 = ip("2001:db8:40::22")
CARE_OF = ip("2001:db8:51::11")
CARE_OF_2 = ip("2001:db8:52::11")
KEY = bytes(range(16))
SPI = 1000
WALL = 1_800_000_000.0
LEASE_MS = 2000
BEAT_MS = 100


def parameters(**changes: object) -> Parameters:
    base = Parameters(
        name=NAME,
        instance="i1",
        host_id="host/1",
        region="a",
        address=AGENT,
        home_link_address=HOME_LINK,
        health_port=9000,
        role="active",
        token="secret",
        data_plane="model",
        detect_duplicates=False,
    )
    return base._replace(**changes)  # type: ignore[arg-type] # the tests' own field names


def binding(home: bytes = HOME, care_of: bytes = CARE_OF, **changes: object) -> link.Binding:
    fields: dict[str, object] = {
        "home_address": home,
        "care_of_address": care_of,
        "sequence": 10,
        "lifetime_s": 400,
        "expires_at": WALL + 400,
        "flags": 0xC000,
        "owner": NAME,
        "epoch": 1,
        "timestamp": 0,
        "revision": 1,
    }
    return link.Binding(**{**fields, **changes})  # type: ignore[arg-type] # as above


def welcome(**changes: object) -> link.Welcome:
    fields: dict[str, object] = {
        "epoch": 1,
        "beat_ms": BEAT_MS,
        "lease_ms": LEASE_MS,
        "role": "active",
        "address_mode": "per_instance",
        "home_prefixes": [PREFIX],
        "max_lifetime_s": 3600,
        "home_agents": [link.HomeAgent(AGENT, 10, 1800)],
    }
    return link.Welcome(**{**fields, **changes})  # type: ignore[arg-type] # as above


def numbered(number: int) -> bytes:
    """Home address of the mobile node of that number."""
    return PREFIX[0][:8] + b"\x02" + number.to_bytes(7, "big")


class World:
    """Feeds the core and applies its actions to models of kernel, home link and link to HA-B."""

    def __init__(self, **changes: object) -> None:
        self.mono, self.wall = 1000.0, WALL
        self.core = PacketProcessor(parameters(**changes), random.Random(1))
        self.installed: dict[bytes, bytes] = {}
        self.lingering: dict[bytes, bytes] = {}
        self.defended: set[bytes] = set()
        self.address: bytes | None = None
        self.gate_until = 0.0
        self.anycast: list[bytes] = []
        self.announced: list[bytes] = []
        self.testing: list[bytes] = []
        self.link: list[link.ToBackend] = []
        self.sent: list[events.SendMobility] = []
        self.icmpv6: list[events.SendIcmpv6] = []
        self.logged: list[str] = []
        self.actions: list[events.Action] = []
        self.connecting = False
        self.disconnects = 0
        self.finished = False
        self.sequence = 10

    # --- time ---

    @property
    def now(self) -> Instant:
        return Instant(self.mono, self.wall)

    def advance(self, seconds: float) -> None:
        """Let time pass, waking the core at each of its deadlines."""
        end = self.mono + seconds
        for _step in range(100_000):
            deadline = self.core.deadline()
            if deadline is None or deadline > end:
                self._at(end)
                return
            self._at(max(deadline, self.mono))
            self._apply(self.core.tick(self.now))
        raise AssertionError(f"the core asks for a tick again and again at {self.core.deadline()}")

    def settle(self) -> None:
        """Let work that is due now be done."""
        self.advance(0.0)

    def _at(self, mono: float) -> None:
        self.wall += mono - self.mono
        self.mono = mono

    # --- inputs ---

    def feed(self, event: events.Input) -> list[events.Action]:
        actions = self.core.handle(event, self.now)
        self._apply(actions)
        return actions

    def hear(self, *received: link.ToPacketProcessor) -> None:
        """Messages from HA-B."""
        for message in received:
            self.feed(events.LinkMessage(message))

    def connect(self) -> World:
        self.feed(events.SocketState(True))
        self.settle()
        assert self.connecting
        self.connecting = False
        self.feed(events.LinkConnected())
        return self

    def start(self, *rows: link.Binding, keys: int | None = 1, **changes: object) -> World:
        """From nothing to a synced session; when active with a lease."""
        self.connect()
        self.hear(welcome(**changes))
        if rows:
            self.hear(link.Bindings(list(rows)))
        if keys:
            self.hear(link.SecurityAssociations([link.SecurityAssociation(home, SPI, KEY) for home in (HOME, HOME_2)]))
        self.hear(link.SnapshotDone(5))
        self.settle()
        self.acknowledge_beats()
        self.settle()
        return self

    def acknowledge_beats(self) -> None:
        self.hear(link.BeatAck(self.said(link.Beat)[-1].sequence))

    def update(
        self,
        home: bytes = HOME,
        care_of: bytes = CARE_OF,
        *,
        sequence: int | None = None,
        lifetime_s: int = 400,
        source: bytes | None = None,
        at_home: bool = False,
        alternate: bytes | None = None,
        options: tuple[MobilityOption, ...] = (),
        key: bytes | None = KEY,
        spi: int = SPI,
        skew_s: float = 0.0,
        timestamp: bool = True,
        acknowledge: bool = True,
        home_registration: bool = True,
        link_local: bool = False,
        key_management: bool = False,
        destination: bytes | None = None,
    ) -> events.MobilityReceived:
        """A Binding Update as the socket would deliver it. The sequence number grows by itself."""
        if sequence is None:
            self.sequence += 1
            sequence = self.sequence
        if alternate is not None:
            options = (AlternateCareOfAddress(alternate), *options)
        if timestamp:
            options = (*options, ReplayProtection(authentication.ntp_timestamp(self.wall + skew_s)))
        message = mobility.BindingUpdate(sequence, acknowledge, home_registration, link_local, key_management, lifetime_s // 4, options)
        packet_source = home if at_home else source if source is not None else care_of
        if key is None:
            data = mobility.build_mobility(message)
        else:
            covered = authentication.registered_care_of_address(message, packet_source)
            data = authentication.authenticate(message, care_of_address=covered, home_address=home, spi=spi, key=key)
        target = destination or self.address or AGENT
        return events.MobilityReceived(packet_source, target, None if at_home else home, mobility.seal(data, home, target))

    def register(self, home: bytes = HOME, care_of: bytes = CARE_OF, **changes: object) -> mobility.BindingAcknowledgement:
        """A whole registration, HA-B agreeing; returns the acknowledgement."""
        self._at(self.mono + 0.001)
        self.feed(self.update(home, care_of, **changes))  # type: ignore[arg-type] # passed on
        self.agree()
        return self.acknowledgement()

    def agree(self) -> link.Register:
        """HA-B answers the last Register with yes."""
        asked = self.said(link.Register)[-1]
        self.hear(link.Registered(asked.transaction, 0, asked.lifetime_s, asked.sequence, 6))
        return asked

    # --- outputs ---

    def said(self, kind: type[M]) -> list[M]:
        """Messages of that kind sent to HA-B so far."""
        return [message for message in self.link if isinstance(message, kind)]

    def done(self, kind: type[M]) -> list[M]:
        """Actions of that kind so far."""
        return [action for action in self.actions if isinstance(action, kind)]

    def acknowledgement(self) -> mobility.BindingAcknowledgement:
        """The last message sent, which must be a Binding Acknowledgement."""
        message = mobility.parse_mobility(self.sent[-1].payload)
        assert isinstance(message, mobility.BindingAcknowledgement), message
        return message

    @property
    def counters(self) -> dict[str, int]:
        return self.core.state.counters

    def forwards(self) -> bool:
        return self.mono < self.gate_until

    def _apply(self, actions: list[events.Action]) -> None:
        self.actions += actions
        for action in actions:
            match action:
                case events.SendLink():
                    self.link.append(action.message)
                case events.SendMobility():
                    self.sent.append(action)
                case events.SendIcmpv6():
                    self.icmpv6.append(action)
                case events.Install():
                    assert self.address is not None, "tunnels need the home agent address first"
                    self.installed.update(action.rows)
                    for address, _care_of in action.rows:
                        self.lingering.pop(address, None)
                case events.Defend():
                    self.defended.update(action.addresses)
                case events.Remove():
                    for address in action.home_addresses:
                        self.installed.pop(address, None)
                        self.lingering.pop(address, None)
                        self.defended.discard(address)
                case events.Linger():
                    for address in action.home_addresses:
                        self.lingering[address] = self.installed.pop(address)
                case events.TakeAddress():
                    self.address = action.address
                case events.DropAddress():
                    assert self.address == action.address
                    self.address = None
                case events.AnswerAnycast():
                    self.anycast = action.addresses
                case events.RenewLease():
                    assert action.until > self.mono
                    self.gate_until = action.until
                case events.RevokeLease():
                    self.gate_until = 0.0
                case events.Announce():
                    self.announced += action.addresses
                case events.StartDad():
                    self.testing.append(action.address)
                case events.Connect():
                    self.connecting = True
                case events.Disconnect():
                    self.disconnects += 1
                case events.Log():
                    # As the shell's logger does; it raises KeyError for a field with the name of a record's own.
                    logging.getLogger().makeRecord("", logging.INFO, "", 0, action.event, (), None, extra=action.fields)
                    self.logged.append(action.event)
                case events.Finished():
                    self.finished = True


def rejected(world: World, status: BindingStatus, reason: str) -> mobility.BindingAcknowledgement:
    """The last message rejects with that status, was counted by that reason, and nothing was bound or asked for."""
    acknowledgement = world.acknowledgement()
    assert acknowledgement.status == status
    assert acknowledgement.lifetime == 0
    assert world.counters["rejected_" + reason] == 1
    assert world.said(link.Register) == []
    return acknowledgement


def silent(world: World, reason: str) -> None:
    """Discarded without an answer and counted."""
    assert world.sent == []
    assert world.said(link.Register) == []
    assert world.counters["discarded_" + reason] == 1
