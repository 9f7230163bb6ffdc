"""What must hold whatever comes: from the network by any octets, from HA-B by any messages in any order."""

from __future__ import annotations

from closedloop_nf.ha_pp import events
from closedloop_nf.link import messages as link
from closedloop_nf.wire import mobility
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.unit.nf.ha_pp.harness import (
    AGENT,
    CARE_OF,
    CARE_OF_2,
    HOME,
    HOME_2,
    KEY,
    LEASE_MS,
    NAME,
    OTHER,
    SHARED,
    SPI,
    World,
    binding,
    ip,
    welcome,
)
from tests.unit.nf.wire.strategies import messages as any_message

HOMES = [HOME, HOME_2, ip("2001:db8:40::33"), ip("2001:db8:41::11")]
homes = st.sampled_from(HOMES)
care_ofs = st.sampled_from([CARE_OF, CARE_OF_2, ip("2001:db8:53::1")])


def bound() -> World:
    """Serving one binding, with keys."""
    return World().start(binding(sequence=0x8000))


def unmoved(world: World) -> None:
    assert world.installed == {HOME: CARE_OF}
    assert world.said(link.Register) == []


@given(
    payload=st.binary(max_size=300),
    home=st.none() | st.sampled_from([HOME, HOME_2]) | st.binary(min_size=16, max_size=16),
    source=st.sampled_from([CARE_OF, HOME]) | st.binary(min_size=16, max_size=16),
    kind=st.integers(0, 13),
    sealed=st.booleans(),
)
@settings(max_examples=400, deadline=None)
def test_no_octets_bind_anything_or_break_the_core(payload: bytes, home: bytes | None, source: bytes, kind: int, sealed: bool) -> None:
    world = bound()
    if sealed:  # past the checksum, and past the header as far as can be
        body = payload[: len(payload) // 8 * 8].ljust(8, b"\0")
        payload = mobility.seal(bytes((59, len(body) // 8 - 1, kind)) + body[3:], source if home is None else home, AGENT)
    world.feed(events.MobilityReceived(source, AGENT, home, payload))
    unmoved(world)


@given(message=any_message, home=st.none() | st.sampled_from([HOME, HOME_2]), source=st.sampled_from([CARE_OF, CARE_OF_2, HOME]))
@settings(max_examples=400, deadline=None)
def test_no_well_formed_message_without_the_key_binds_anything(
    message: mobility.MobilityMessage, home: bytes | None, source: bytes
) -> None:
    world = bound()
    data = mobility.seal(mobility.build_mobility(message), source if home is None else home, AGENT)
    world.feed(events.MobilityReceived(source, AGENT, home, data))
    unmoved(world)


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_a_genuine_update_with_any_octet_changed_binds_nothing(data: st.DataObject) -> None:
    world = bound()
    update = world.update(care_of=CARE_OF_2, sequence=0x8001)
    octets = bytearray(update.payload)
    # Reserved bits, padding and the checksum are not covered by what RFC 4285 authenticates up to its SPI, or mean nothing.
    position = data.draw(st.integers(6, len(octets) - 1))
    octets[position] ^= data.draw(st.integers(1, 255))
    world.feed(events.MobilityReceived(CARE_OF_2, AGENT, HOME, mobility.seal(bytes(octets), HOME, AGENT)))
    unmoved(world)


@given(st.binary(max_size=200), st.none() | st.just(HOME))
@settings(max_examples=200, deadline=None)
def test_no_octets_as_icmpv6_break_the_core(payload: bytes, home: bytes | None) -> None:
    world = bound()
    world.feed(events.Icmpv6Received(CARE_OF, AGENT, home, payload))
    unmoved(world)


rows = st.builds(
    lambda home, care_of, owner, lifetime_s, flags, sequence: binding(
        home, care_of, owner=owner, lifetime_s=lifetime_s, flags=flags, sequence=sequence
    ),
    homes,
    care_ofs,
    st.sampled_from([NAME, OTHER, ""]),
    st.sampled_from([0, 4, 400]),
    st.sampled_from([0xC000, 0xE000]),
    st.integers(0, 0xFFFF),
)
from_ha_b: st.SearchStrategy[link.ToPacketProcessor] = st.one_of(
    st.builds(link.Bindings, st.lists(rows, max_size=4)),
    st.builds(link.Bindings, st.lists(rows, max_size=4)),
    st.builds(link.Revoke, homes, st.integers(0, 99)),
    st.builds(
        link.Adopt,
        st.sampled_from([NAME, OTHER, "third"]),
        st.integers(1, 99),
        st.integers(0, 99),
        st.sampled_from([b"", SHARED]),
        st.booleans(),
    ),
    st.builds(link.Relinquish, st.integers(0, 99)),
    st.builds(link.SwitchHomeAgent, st.lists(homes, max_size=3), st.lists(st.just(AGENT), max_size=2)),
    st.builds(link.SnapshotDone, st.integers(0, 99)),
    st.builds(link.HomeAgents, st.just([])),
    st.builds(link.Refused, st.just("superseded"), st.just("")),
    st.builds(
        link.SecurityAssociations,
        st.lists(st.builds(link.SecurityAssociation, homes, st.just(SPI), st.just(KEY), st.booleans()), max_size=3),
    ),
    st.builds(
        lambda shared, role: welcome(
            epoch=3,
            address_mode="shared" if shared is not None else "per_instance",
            shared_address=SHARED,
            holds_shared_address=bool(shared),
            role=role,
        ),
        st.sampled_from([None, True, False]),
        st.sampled_from(["active", "standby"]),
    ),
    st.builds(
        link.Registered,
        st.integers(0, 5),
        st.sampled_from([0, 128, 135, 144]),
        st.sampled_from([0, 400]),
        st.just(1),
        st.just(1),
        st.integers(0, 1 << 63),
    ),
    st.builds(link.BeatAck, st.integers(0, 50)),
)


class AnyHaB(RuleBasedStateMachine):
    """Whatever HA-B says and mobile nodes send, the kernel holds what is owned and no more."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World(detect_duplicates=True).connect()
        self.durable = 0
        """Registrations that HA-B said yes to."""

    @initialize(role=st.sampled_from(["active", "standby"]), present=st.lists(rows, max_size=4))
    def open(self, role: str, present: list[link.Binding]) -> None:
        self.world.hear(welcome(role=role), link.Bindings(present))
        self.world.hear(link.SecurityAssociations([link.SecurityAssociation(home, SPI, KEY) for home in HOMES]), link.SnapshotDone(1))
        self.world.settle()

    @rule(message=from_ha_b)
    def hear(self, message: link.ToPacketProcessor) -> None:
        if isinstance(message, link.Registered) and message.status < 128:
            self.durable += 1
        self._hear(message)

    def _hear(self, message: link.ToPacketProcessor) -> None:
        """As a transport does: a hung up link reports its end."""
        disconnects = self.world.disconnects
        self.world.hear(message)
        if self.world.disconnects > disconnects:
            self.world.feed(events.LinkClosed())

    @rule(home=homes, care_of=care_ofs, lifetime_s=st.sampled_from([0, 40, 400]), link_local=st.booleans())
    def update(self, home: bytes, care_of: bytes, lifetime_s: int, link_local: bool) -> None:
        asked = len(self.world.said(link.Register))
        self.world.advance(0.001)
        self.world.feed(self.world.update(home, care_of, lifetime_s=lifetime_s, link_local=link_local))
        if len(self.world.said(link.Register)) > asked:
            assert self.world.core.session.synced

    @rule(agree=st.booleans())
    def answer(self, agree: bool) -> None:
        open_ = self.world.core.registrar._at_backend
        if open_ and self.world.core.session.synced:
            transaction, waiting = next(iter(open_.items()))
            self.durable += agree
            self.world.hear(link.Registered(transaction, 0 if agree else 130, waiting.accept.lifetime_s, waiting.accept.sequence, 2))

    @rule(unique=st.booleans())
    def detect(self, unique: bool) -> None:
        if self.world.testing:
            self.world.feed(events.DadDone(self.world.testing.pop(0), unique))

    @rule(seconds=st.sampled_from([0.0, 0.05, 0.5, 3.0]))
    def wait(self, seconds: float) -> None:
        disconnects = self.world.disconnects
        self.world.advance(seconds)
        if self.world.disconnects > disconnects:
            self.world.feed(events.LinkClosed())

    @rule()
    def beat(self) -> None:
        beats = self.world.said(link.Beat)
        if beats:
            self._hear(link.BeatAck(beats[-1].sequence))

    @rule()
    def cut(self) -> None:
        self.world.feed(events.LinkClosed())

    @precondition(lambda self: self.world.connecting)
    @rule()
    def connect(self) -> None:
        self.world.connecting = False
        self.world.feed(events.LinkConnected())

    @invariant()
    def the_kernel_holds_what_the_core_believes(self) -> None:
        state = self.world.core.state
        assert {home: held.care_of_address for home, held in state.served.items()} == self.world.installed
        assert set(state.defended) == self.world.defended
        assert state.address == self.world.address

    @invariant()
    def nothing_is_served_that_is_not_owned(self) -> None:
        state = self.world.core.state
        settled = self.world.core.session.phase.value != "snapshot"
        for home in self.world.installed:
            row = state.known.bindings.get(home)
            # During a snapshot what was served stays served until the snapshot takes it back.
            assert not settled or (row is not None and state.mine(row))

    @invariant()
    def what_is_owned_is_served_once_the_work_is_done(self) -> None:
        state = self.world.core.state
        if self.world.core.ownership.busy or not self.world.core.session.synced:
            return
        owned = {home: row.care_of_address for home, row in state.known.bindings.items() if state.mine(row)}
        assert owned.items() <= self.world.installed.items()

    @invariant()
    def the_gate_is_open_only_inside_the_lease_and_only_when_active(self) -> None:
        state = self.world.core.state
        if self.world.forwards():
            assert state.role == "active"
            assert self.world.gate_until <= state.lease_until

    @invariant()
    def no_lease_outlives_its_last_beat(self) -> None:
        beats = self.world.said(link.Beat)
        assert self.world.core.state.lease_until <= self.world.mono + LEASE_MS / 1000 if beats else self.world.core.state.lease_until == 0

    @invariant()
    def nothing_is_acknowledged_that_is_not_durable(self) -> None:
        accepted = [
            message
            for packet in self.world.sent
            if isinstance(message := mobility.parse_mobility(packet.payload), mobility.BindingAcknowledgement) and message.status < 128
        ]
        assert len(accepted) <= self.durable

    @invariant()
    def there_is_always_a_way_on(self) -> None:
        assert self.world.connecting or self.world.core.deadline() is not None


TestAnyHaB = AnyHaB.TestCase
TestAnyHaB.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
