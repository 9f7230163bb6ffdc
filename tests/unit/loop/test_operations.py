"""The operations journal: once per request, one actor at a time, nothing stuck, nothing twice."""

from __future__ import annotations

from typing import Any

from closedloop_loop.operations import core
from closedloop_loop.operations.journal import Journal
from closedloop_loop.operations.model import NEXT, OPEN, Operation, Refused, State, Terms
from closedloop_loop.operations.store.memory import MemoryStore
from closedloop_loop.policy.decide import Decision
from closedloop_loop.policy.inventory import Inventory, Module
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tests.unit.loop.bench import at, onset, policy, world

FAULT = {"kind": "fault", "alarms": ["homeAgentLost"]}
WORLD = world(region_a=5, region_b=4)


def journal() -> Journal:
    return Journal(MemoryStore(), lease_s=10)


def rules(**more: Any) -> Any:
    return policy(FAULT, **{"retries": 1, "timeout_s": 60.0, "retry_delay_s": 5.0, **more})


def operation(answer: Operation | Refused | None) -> Operation:
    assert isinstance(answer, Operation), answer
    return answer


def refused(answer: Operation | Refused) -> str:
    assert isinstance(answer, Refused), answer
    return answer.reason


def begun(book: Journal, number: int = 1, seconds: float = 0, actor: str = "actor", **more: Any) -> Operation:
    message = onset(number, **more)
    operation(book.submit(rules(), message, WORLD, at(seconds)))
    return operation(book.claim(message.request_id, actor, at(seconds)))


def hand(book: Journal, number: int, seconds: float, **more: Any) -> Operation | Refused:
    decision = Decision(action="failover", reason="ordered by hand", **{"target": "ha-pp-a", **more})
    return book.order(onset(number, target=decision.target, loop="by-hand"), decision, Terms(), "a-person", at(seconds))


def test_an_onset_is_decided_carried_out_and_timed() -> None:
    book = journal()
    running = begun(book)
    assert (running.action, running.region, running.attempt, running.token) == ("failover", "region-a", 1, 1)
    operation(book.stage(running.request_id, 1, "function_ready", at(1)))
    operation(book.stage(running.request_id, 1, "function_ready", at(2)))
    done = operation(book.finish(running.request_id, 1, True, "all well", at(3)))
    assert done.state is State.SUCCEEDED
    names = [(stage.name, stage.at_us) for stage in done.stages]
    assert names == [
        ("accepted", at(0).wall_us),
        ("decided", at(0).wall_us),
        ("started", at(0).wall_us),
        ("function_ready", at(1).wall_us),
        ("succeeded", at(3).wall_us),
    ]


def test_the_same_onset_again_does_nothing() -> None:
    book = journal()
    running = begun(book)
    assert operation(book.submit(rules(), onset(), WORLD, at(1))) == running
    book.finish(running.request_id, running.token, True, "", at(2))
    assert operation(book.submit(rules(), onset(), WORLD, at(3))).state is State.SUCCEEDED
    assert "succeeded" in refused(book.claim(running.request_id, "actor2", at(4)))
    assert book.due(at(1000)) == []


def test_a_second_actor_is_refused_while_the_first_is_alive() -> None:
    book = journal()
    running = begun(book)
    for second in range(0, 50, 5):
        operation(book.renew(running.request_id, 1, at(second)))
        assert "lease" in refused(book.claim(running.request_id, "other", at(second)))
    assert operation(book.claim(running.request_id, "actor", at(50))).token == 1


def test_after_a_crash_another_goes_on_and_the_late_one_is_refused() -> None:
    book = journal()
    running = begun(book)
    operation(book.stage(running.request_id, 1, "function_ready", at(1)))
    assert [lost.state for lost in book.sweep(at(11))] == [State.PENDING]
    assert book.due(at(11)) == []
    assert "time to notice" in refused(book.claim(running.request_id, "successor", at(12)))
    assert [waiting.request_id for waiting in book.due(at(12.5))] == [running.request_id]
    resumed = operation(book.claim(running.request_id, "successor", at(12.5)))
    assert (resumed.token, resumed.attempt, resumed.resumptions) == (2, 1, 1)
    assert "function_ready" in [stage.name for stage in resumed.stages]
    for answer in (
        book.stage(running.request_id, 1, "late", at(13)),
        book.renew(running.request_id, 1, at(13)),
        book.finish(running.request_id, 1, True, "", at(13)),
    ):
        assert "stop" in refused(answer)
    assert operation(book.finish(running.request_id, 2, True, "", at(14))).state is State.SUCCEEDED


def test_an_operation_that_kills_its_actors_fails_in_the_end() -> None:
    book = journal()
    running = begun(book)
    second = 0.0
    for _ in range(core.MAX_RESUMPTIONS):
        second += 10
        book.sweep(at(second))
        second += core.GRACE_S
        operation(book.claim(running.request_id, "next", at(second)))
    book.sweep(at(second + 10))
    assert operation(book.get(running.request_id)).state is State.FAILED


def test_a_failure_is_tried_again_elsewhere_and_then_given_up() -> None:
    book = journal()
    running = begun(book)
    failed = operation(book.finish(running.request_id, 1, False, "no image\x1b[2J", at(1)))
    assert (failed.state, failed.tried, failed.message) == (State.RETRYING, ["region-a"], "no image [2J")
    assert book.due(at(5)) == []
    assert [waiting.state for waiting in book.due(at(6))] == [State.RETRYING]
    again = operation(book.submit(rules(), onset(), WORLD, at(6)))
    assert (again.state, again.region) == (State.PENDING, "region-b")
    second = operation(book.claim(running.request_id, "actor2", at(6)))
    assert (second.attempt, second.token) == (2, 2)
    assert operation(book.finish(running.request_id, 2, False, "again", at(7))).state is State.FAILED


def test_an_attempt_that_takes_too_long_has_failed() -> None:
    book = journal()
    running = begun(book)
    for second in range(5, 60, 5):
        operation(book.renew(running.request_id, 1, at(second)))
    assert [late.state for late in book.sweep(at(60))] == [State.RETRYING]
    assert "stop" in refused(book.finish(running.request_id, 1, True, "", at(61)))


def test_what_has_just_been_done_is_not_done_again_for_another_loop() -> None:
    book = journal()
    first = begun(book)
    book.submit(rules(), onset(2), WORLD, at(1))
    book.finish(first.request_id, 1, True, "", at(2))
    twin = operation(book.get(onset(2).request_id))
    assert twin.state is State.CANCELLED
    assert first.request_id in twin.message


def test_abated_before_it_began_is_cancelled_and_a_late_onset_finds_that() -> None:
    book = journal()
    book.submit(rules(), onset(), WORLD, at(0))
    assert operation(book.submit(rules(), onset(status="ABATED"), WORLD, at(1))).state is State.CANCELLED
    assert operation(book.submit(rules(), onset(5, status="ABATED"), WORLD, at(1))).state is State.CANCELLED
    assert operation(book.submit(rules(), onset(5), WORLD, at(2))).state is State.CANCELLED
    assert book.due(at(100)) == []


def test_abated_while_it_runs_is_carried_to_its_end_by_further_attempts_too() -> None:
    """It may be the operation that ended the trouble, by removing the failed one, and that failed when it made the new standby."""
    book = journal()
    running = begun(book)
    assert operation(book.submit(rules(), onset(status="ABATED"), WORLD, at(1))).state is State.RUNNING
    assert operation(book.finish(running.request_id, 1, False, "x", at(2))).state is State.RETRYING
    assert [known.request_id for known in book.due(at(7))] == [running.request_id]
    assert operation(book.submit(rules(), onset(), WORLD, at(7))).state is State.PENDING
    assert operation(book.claim(running.request_id, "actor", at(7))).attempt == 2


def test_abated_between_two_attempts_it_is_not_cancelled() -> None:
    book = journal()
    running = begun(book)
    book.finish(running.request_id, 1, False, "x", at(1))
    assert operation(book.submit(rules(), onset(status="ABATED"), WORLD, at(2))).state is State.RETRYING
    assert operation(book.submit(rules(), onset(), WORLD, at(6))).state is State.PENDING


def test_who_is_lost_to_sight_learns_that_it_is_not_his_any_more() -> None:
    book = journal()
    running = begun(book)
    assert not running.taken_from(running.token)
    book.sweep(at(11))
    late = book.renew(running.request_id, running.token, at(11.5))
    assert isinstance(late, Refused)
    assert late.operation is not None
    assert late.operation.taken_from(running.token)


def test_who_was_too_slow_learns_it_and_who_has_told_his_end_is_left_alone() -> None:
    book = journal()
    slow = begun(book)
    for second in range(5, 60, 5):
        book.renew(slow.request_id, slow.token, at(second))
    (over,) = book.sweep(at(60))
    assert (over.state, over.taken_from(slow.token)) == (State.RETRYING, True)
    other = journal()
    done = begun(other)
    assert not operation(other.finish(done.request_id, done.token, False, "x", at(1))).taken_from(done.token)


def test_a_denied_onset_is_decided_again_when_the_guard_lets_go() -> None:
    book = journal()
    limited = rules(guards={"frequency": [{"operations": 1, "within_s": 100}]})
    first = onset(1)
    book.submit(limited, first, WORLD, at(0))
    book.finish(first.request_id, operation(book.claim(first.request_id, "a", at(0))).token, True, "", at(1))
    denied = operation(book.submit(limited, onset(2), WORLD, at(2)))
    assert (denied.state, denied.guard, denied.due_us) == (State.DENIED, "frequency", at(100).wall_us)
    assert book.deadline() == at(100).wall
    assert operation(book.submit(limited, onset(2), WORLD, at(50))).state is State.DENIED
    assert operation(book.submit(limited, onset(2), WORLD, at(100))).state is State.PENDING


def test_a_failure_under_block_is_left_alone_until_acknowledged() -> None:
    book = journal()
    blocking = rules(retries=0, on_failure="block")
    first = onset(1)
    book.submit(blocking, first, WORLD, at(0))
    book.finish(first.request_id, operation(book.claim(first.request_id, "a", at(0))).token, False, "", at(1))
    assert operation(book.submit(blocking, onset(2), WORLD, at(2))).guard == "blocked"
    operation(book.acknowledge(first.request_id, at(10)))
    assert operation(book.submit(blocking, onset(2), WORLD, at(60))).state is State.PENDING


def test_room_that_open_operations_will_take_is_not_given_twice() -> None:
    book = journal()
    small = world(region_a=1, region_b=1)
    chosen = [operation(book.submit(rules(), onset(number, target=f"t{number}"), small, at(0))) for number in range(3)]
    assert [found.region for found in chosen] == ["region-a", "region-b", None]
    assert chosen[2].guard == "region"


def test_room_shown_as_deploying_is_not_taken_twice() -> None:
    book = journal()
    before = world(region_a=2)
    deploying = Module(name="new", region="region-a", state="deploying")
    meanwhile = Inventory(regions=before.regions, modules=[*before.modules, deploying])
    assert operation(book.submit(rules(), onset(1, target="t1"), before, at(0))).region == "region-a"
    assert operation(book.submit(rules(), onset(2, target="t2"), meanwhile, at(1))).region == "region-a"
    assert operation(book.submit(rules(), onset(3, target="t3"), meanwhile, at(1))).guard == "region"


def test_operations_that_wait_to_begin_count_for_the_frequency() -> None:
    book = journal()
    limited = rules(guards={"frequency": [{"operations": 2, "within_s": 100, "per": "loop"}]})
    states = [operation(book.submit(limited, onset(number, target=f"t{number}"), WORLD, at(0))).state for number in range(3)]
    assert states == [State.PENDING, State.PENDING, State.DENIED]


def test_what_waits_for_a_loop_that_left_the_policy_is_cancelled() -> None:
    book = journal()
    closed = rules(guards={"max_instances": 1, "min_instances": 1}, action="scale_out")
    crowded = Inventory(regions=WORLD.regions, modules=[Module(name="ha-pp-a", region="region-a")])
    assert operation(book.submit(closed, onset(), crowded, at(0))).state is State.DENIED
    assert operation(book.submit(rules(name="other"), onset(), crowded, at(100))).state is State.CANCELLED
    assert book.deadline() is None
    assert "no loop" in refused(book.submit(rules(name="other"), onset(2), crowded, at(100)))


def test_hostile_names_do_not_get_in() -> None:
    book = journal()
    running = begun(book)
    assert "expected" in refused(book.stage(running.request_id, 1, "{{ x }}", at(1)))
    assert "expected" in refused(book.claim(running.request_id, "a\nb", at(1)))


def test_every_state_can_come_to_an_end() -> None:
    for state in State:
        assert (state in OPEN) == bool(NEXT[state])
    ends, reached = {state for state in State if state not in OPEN}, 0
    while reached != len(ends):
        reached = len(ends)
        ends |= {state for state in State if NEXT[state] & ends}
    assert ends == set(State)


class Actors(RuleBasedStateMachine):
    """Onsets and actors at random, killed, late and repeated, with a clock that goes on; the promises hold after every step."""

    def __init__(self) -> None:
        super().__init__()
        self.store = MemoryStore()
        self.book = Journal(self.store, lease_s=10)
        self.rules = rules(retry_delay_s=3.0)
        self.seconds = 0.0
        self.held: list[tuple[str, int]] = []
        self.finished: dict[str, int] = {}
        self.states: dict[str, State] = {}

    @rule(number=st.integers(0, 5), status=st.sampled_from(["ONSET", "ONSET", "ABATED"]))
    def submit(self, number: int, status: str) -> None:
        self.book.submit(self.rules, onset(number, target=f"t{number % 3}", status=status), WORLD, at(self.seconds))

    @rule(number=st.integers(0, 5), actor=st.sampled_from(["a", "b"]))
    def claim(self, number: int, actor: str) -> None:
        answer = self.book.claim(onset(number, target=f"t{number % 3}").request_id, actor, at(self.seconds))
        if isinstance(answer, Operation):
            self.held.append((answer.request_id, answer.token))

    @rule(pick=st.integers(0, 50), succeeded=st.booleans())
    def finish(self, pick: int, succeeded: bool) -> None:
        if self.held:
            request_id, token = self.held[pick % len(self.held)]
            answer = self.book.finish(request_id, token, succeeded, "", at(self.seconds))
            if isinstance(answer, Operation) and succeeded:
                assert self.finished.setdefault(request_id, token) == token

    @rule(pick=st.integers(0, 50))
    def renew(self, pick: int) -> None:
        if self.held:
            request_id, token = self.held[pick % len(self.held)]
            answer = self.book.renew(request_id, token, at(self.seconds))
            assert isinstance(answer, Refused) or answer.token == token

    @rule(seconds=st.sampled_from([0.5, 4.0, 11.0, 70.0]))
    def wait(self, seconds: float) -> None:
        self.seconds += seconds
        self.book.sweep(at(self.seconds))

    @rule(pick=st.integers(0, 50))
    def lose(self, pick: int) -> None:
        if self.held:
            self.book.lost(*self.held[pick % len(self.held)], at(self.seconds))

    @rule(number=st.integers(10, 12))
    def order(self, number: int) -> None:
        answer = hand(self.book, number, self.seconds, target=f"t{number % 3}")
        if isinstance(answer, Operation):
            self.held.append((answer.request_id, answer.token))

    @invariant()
    def no_group_has_two_actors(self) -> None:
        groups = [known.group for known in self.store.operations.values() if known.state is State.RUNNING]
        assert len(groups) == len(set(groups))

    @invariant()
    def no_end_is_undone_and_tokens_are_unique(self) -> None:
        for request_id, known in self.store.operations.items():
            before = self.states.get(request_id)
            assert before is None or before in OPEN or known.state is before
            self.states[request_id] = known.state
        tokens = [known.token for known in self.store.operations.values() if known.token]
        assert len(tokens) == len(set(tokens))

    def teardown(self) -> None:
        """Someone who does what is due brings everything to an end."""
        for _ in range(200):
            self.book.sweep(at(self.seconds))
            for known in self.book.due(at(self.seconds)):
                if known.state is State.PENDING and not known.outdated:
                    claimed = self.book.claim(known.request_id, "last", at(self.seconds))
                    if isinstance(claimed, Operation):
                        self.book.finish(known.request_id, claimed.token, True, "", at(self.seconds))
                else:
                    self.book.submit(self.rules, known.onset, WORLD, at(self.seconds))
            if not self.store.open():
                return
            self.seconds += 1
        raise AssertionError(f"stuck: {self.store.open()}")


Actors.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestActors = Actors.TestCase
