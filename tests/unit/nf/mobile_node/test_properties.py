"""What holds whatever happens: a random network, a random home agent, random octets."""

from __future__ import annotations

from closedloop_nf.mobile_node.actions import Action, SendMobility, Stopped
from closedloop_nf.mobile_node.inputs import Icmpv6Received, MobilityReceived, Stop
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.unit.nf.mobile_node.harness import (
    AGENT,
    AGENT2,
    CARE_OF1,
    HOME,
    Node,
    Update,
    acknowledgement,
    ntp,
    switch,
    updates,
)

STATUSES = st.sampled_from([0, 0, 0, 1, 128, 129, 130, 133, 135, 144, 146])


class MobileNode(RuleBasedStateMachine):
    """Moves, answers, silence and time, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.node = Node(failover_after=1)
        self.sent: list[Update] = []
        self.accepted: set[int] = set()

    def note(self, actions: list[Action]) -> None:
        self.sent += updates(actions)

    @initialize()
    def start(self) -> None:
        self.note(self.node.visit1())

    @rule()
    def move_to_1(self) -> None:
        self.note([*self.node.link(False), *self.node.visit1()])

    @rule()
    def move_to_2(self) -> None:
        self.note(self.node.visit2())

    @rule()
    def go_home(self) -> None:
        self.note(self.node.go_home())

    @rule(up=st.booleans())
    def carrier(self, up: bool) -> None:
        self.note(self.node.link(up))

    @rule(seconds=st.sampled_from([0.0, 0.01, 0.5, 1.5, 10.0, 300.0, 3000.0]))
    def time_passes(self, seconds: float) -> None:
        self.note(self.node.advance(seconds))

    @precondition(lambda self: self.sent)
    @rule(
        status=STATUSES, back=st.integers(0, 3), lifetime_s=st.sampled_from([0, 4, 60, 600, 262140]), shift=st.sampled_from([0, 1, 40000])
    )
    def answer(self, status: int, back: int, lifetime_s: int, shift: int) -> None:
        """An answer to the latest or an earlier update."""
        update = self.sent[max(0, len(self.sent) - 1 - back)]
        before = self.node.core.registration.bound
        sequence = (update.sequence + (shift if status == 135 else 0)) % 65536
        timestamp = ntp(self.node, 100.0) if status == 144 else None
        self.note(self.node.feed(acknowledgement(update, status, sequence=sequence, lifetime_s=lifetime_s, timestamp=timestamp)))
        after = self.node.core.registration.bound
        if after is not None and after is not before:
            assert update.timestamp not in self.accepted, "an acknowledgement was taken twice"
            assert update is self.sent[-1], "an acknowledgement of an earlier update was taken"
            assert status < 128
            self.accepted.add(update.timestamp)

    @rule(agent=st.sampled_from([AGENT, AGENT2]), source=st.sampled_from([AGENT, AGENT2]))
    def switch_agent(self, agent: bytes, source: bytes) -> None:
        self.note(self.node.feed(switch((agent,), ntp(self.node), source)))

    @invariant()
    def a_deadline_exists_while_unbound_and_the_link_is_up(self) -> None:
        core = self.node.core
        settled_at_home = core.place is not None and core.place.home and core.registration.pending is None
        if core.registration.bound is None and core.movement.any_link_up() and not settled_at_home:
            assert core.deadline() is not None

    @invariant()
    def no_two_updates_carry_the_same_timestamp(self) -> None:
        stamps = [update.timestamp for update in self.sent]
        assert len(set(stamps)) == len(stamps)

    @invariant()
    def time_outs_stay_within_the_bounds(self) -> None:
        pending = self.node.core.registration.pending
        if pending is not None:
            assert 1.0 <= pending.timeout_s <= 32.0

    @invariant()
    def rate_limit_holds(self) -> None:
        times: dict[bytes, list[float]] = {}
        for time, action in self.node.log:
            if isinstance(action, SendMobility):
                times.setdefault(action.destination, []).append(time)
        for sent in times.values():
            assert all(later - earlier >= 1.0 - 1e-6 for earlier, later in zip(sent, sent[3:], strict=False))

    def teardown(self) -> None:
        """Whatever happened: a good network and a willing home agent lead to a binding, and a stop to an end."""
        node = self.node
        self.note([*node.link(False), *node.visit1()])
        for _ in range(50):
            if node.core.registration.bound is not None and node.core.registration.pending is None:
                break
            self.note(node.advance(1.0))
            self.note(node.feed(acknowledgement(self.sent[-1])))
        assert node.core.registration.bound is not None
        stopped = [*node.feed(Stop()), *node.advance(3)]
        assert any(isinstance(action, Stopped) for action in stopped)


TestMobileNode = MobileNode.TestCase
TestMobileNode.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


@given(
    payload=st.binary(max_size=200) | st.binary(max_size=60).map(lambda rest: bytes((59, 1, 6, 0, 0, 0)) + rest),
    home=st.sampled_from([None, HOME, AGENT]),
)
@settings(max_examples=400, deadline=None)
def test_random_mobility_headers_change_nothing(payload: bytes, home: bytes | None) -> None:
    node = Node()
    node.visit1()
    pending = node.core.registration.pending
    assert node.feed(MobilityReceived(AGENT, CARE_OF1, home, payload)) == []
    assert node.core.registration.pending is pending
    assert sum(node.core.counters.values()) == 1


@given(at=st.integers(0, 200), bit=st.integers(0, 7), cut=st.integers(0, 80))
@settings(max_examples=400, deadline=None)
def test_mutated_acknowledgements_bind_nothing(at: int, bit: int, cut: int) -> None:
    node = Node()
    genuine = acknowledgement(updates(node.visit1())[-1])
    data = bytearray(genuine.payload)
    at %= len(data)
    if at in (3, 4, 5):
        # The reserved octet is covered by the authenticator; the checksum is the socket's to verify.
        at = 3
    data[at] ^= 1 << bit
    node.feed(MobilityReceived(genuine.source, genuine.destination, genuine.home_address, bytes(data[: len(data) - cut])))
    assert node.core.registration.bound is None


@given(payload=st.binary(max_size=200))
@settings(max_examples=300, deadline=None)
def test_random_icmpv6_messages_change_nothing(payload: bytes) -> None:
    node = Node().bound()
    bound = node.core.registration.bound
    node.feed(Icmpv6Received(AGENT, CARE_OF1, None, payload))
    assert node.core.registration.bound == bound
    assert node.core.registration.pending is None
