"""The dispatcher: every onset becomes durable, every operation that is due goes out, whatever is killed, late or broken."""

from __future__ import annotations

import random

import pytest
from closedloop_loop.clock import Instant
from closedloop_loop.dispatch.core import (
    CLAIM_WITHIN_S,
    POLL_BUSY_S,
    POLL_IDLE_S,
    RETRY_S,
    Action,
    Arrived,
    Consult,
    Dispatcher,
    Failed,
    Handed,
    HandOn,
    Input,
    Seen,
    Settled,
)
from closedloop_loop.onset import Onset
from closedloop_loop.operations.journal import Journal
from closedloop_loop.operations.model import Operation, Refused, State
from closedloop_loop.operations.store.memory import MemoryStore

from tests.unit.loop.bench import at, onset, policy, world

WORLD = world(region_a=50, region_b=50)


class Bench:
    """A dispatcher, its journal, and a rulebook that takes what it gets at once."""

    def __init__(self, *, shared: bool = False, **loop: object) -> None:
        self.rules = policy(
            {"kind": "fault", "alarms": ["homeAgentLost"]}, **{"retries": 2, "retry_delay_s": 3.0, "timeout_s": 30.0, **loop}
        )
        self.journal = Journal(MemoryStore(), lease_s=10)
        self.core = Dispatcher(shared)
        self.seconds = 0.0
        self.stepped_s = 0.0
        self.handed: list[Operation] = []
        self.settled = 0
        self.consultations = 0
        self.broken = False
        self.feed(None)

    @property
    def now(self) -> Instant:
        mono, wall = at(self.seconds)
        return Instant(mono, wall + self.stepped_s)

    def feed(self, event: Input | None) -> None:
        actions = self.core.tick(self.now) if event is None else self.core.handle(event, self.now)
        while actions:
            answers = [answer for action in actions if (answer := self.carry_out(action)) is not None]
            actions = [further for answer in answers for further in self.core.handle(answer, self.now)]

    def carry_out(self, action: Action) -> Input | None:
        match action:
            case Consult():
                self.consultations += 1
                if self.broken:
                    return Failed()
                if action.sweep:
                    self.journal.sweep(self.now)
                for message in action.onsets:
                    self.journal.submit(self.rules, message, WORLD, self.now, action.accepted_us.get(message.request_id))
                return Seen(list(self.journal.opened()))
            case HandOn():
                self.handed.append(action.operation)
                return Handed(action.operation)
            case Settled():
                self.settled += action.onsets
                return None

    def run(self, seconds: float) -> None:
        """Let every timer ring that is due meanwhile."""
        end = self.seconds + seconds
        while (due := self.core.deadline()) is not None and due - at(0).mono <= end:
            self.seconds = max(self.seconds, due - at(0).mono)
            self.feed(None)
        self.seconds = end

    def claim(self, message: Onset, actor: str = "actor") -> Operation:
        answer = self.journal.claim(message.request_id, actor, self.now)
        assert isinstance(answer, Operation), answer
        return answer

    @property
    def ids(self) -> list[str]:
        return [known.request_id for known in self.handed]


def test_an_onset_is_durable_before_it_is_settled_and_goes_out_at_once() -> None:
    bench = Bench()
    bench.feed(Arrived([onset()]))
    assert bench.settled == 1
    assert [(known.request_id, known.action, known.region) for known in bench.handed] == [(onset().request_id, "failover", "region-a")]


def test_the_first_stage_is_when_the_event_was_durable_where_an_event_was_the_cause() -> None:
    bench = Bench()
    bench.feed(Arrived([onset(1), onset(2)], {onset(1).request_id: 7}))
    first, second = ([(stage.name, stage.at_us) for stage in known.stages] for known in bench.journal.opened())
    assert first[:2] == [("event_accepted", 7), ("accepted", bench.now.wall_us)]
    assert second[0] == ("accepted", bench.now.wall_us)


def test_what_was_claimed_is_not_handed_on_again_however_often_the_onset_comes() -> None:
    bench = Bench()
    bench.feed(Arrived([onset()]))
    running = bench.claim(onset())
    bench.feed(Arrived([onset(), onset()]))
    bench.run(5)
    bench.journal.finish(running.request_id, running.token, True, "", bench.now)
    bench.feed(Arrived([onset()]))
    bench.run(100)
    assert len(bench.handed) == 1
    assert bench.settled == 4


def test_where_the_journal_is_shared_the_onsets_of_another_are_left_to_that_one_at_first() -> None:
    bench = Bench(shared=True)
    bench.journal.submit(bench.rules, onset(1), WORLD, bench.now)
    bench.feed(Arrived([onset(2, target="ha-pp-b")]))
    bench.run(CLAIM_WITHIN_S - 0.2)
    assert bench.ids == []
    bench.run(1)
    assert bench.ids == [onset(1).request_id]
    first = bench.claim(onset(1))
    bench.journal.finish(first.request_id, first.token, True, "", bench.now)
    bench.run(0.5)
    assert bench.ids[1:] == [onset(2, target="ha-pp-b").request_id], "its own goes out at once when it is its turn"


def test_what_nobody_claims_is_handed_on_again() -> None:
    bench = Bench()
    bench.feed(Arrived([onset()]))
    bench.run(CLAIM_WITHIN_S - 0.2)
    assert len(bench.handed) == 1
    bench.run(0.5)
    assert len(bench.handed) == 2


def test_it_is_not_handed_on_twice_while_the_rulebook_does_not_take_it() -> None:
    core = Dispatcher()
    journal = Journal(MemoryStore())
    assert core.tick(at(0)) == [Consult([], False)]
    core.handle(Seen([]), at(0))
    assert core.handle(Arrived([onset()]), at(0)) == [Consult([onset()], False)]
    journal.submit(policy({"kind": "fault", "alarms": ["x"]}), onset(), None, at(0))
    actions = core.handle(Seen(list(journal.opened())), at(0))
    assert [type(action) for action in actions] == [Settled, HandOn]
    for second in range(1, 30):
        assert core.tick(at(second)) == [Consult([], False)]
        assert core.handle(Seen(list(journal.opened())), at(second)) == []
    core.handle(Handed(journal.opened()[0]), at(30))


def test_one_that_waits_for_another_goes_out_as_soon_as_that_has_ended() -> None:
    bench = Bench()
    first, second = onset(1, target="ha-pp-a"), onset(2, target="ha-pp-b")
    bench.feed(Arrived([first, second]))
    running = bench.claim(first)
    bench.run(7)
    assert bench.ids == [first.request_id]
    bench.journal.finish(running.request_id, running.token, True, "", bench.now)
    bench.run(POLL_BUSY_S + 0.01)
    assert bench.ids == [first.request_id, second.request_id]


def test_a_lost_actor_is_replaced_as_soon_as_its_keeper_has_told() -> None:
    bench = Bench()
    bench.feed(Arrived([onset()]))
    running = bench.claim(onset())
    bench.run(1)
    bench.journal.lost(running.request_id, running.token, bench.now)
    bench.run(POLL_BUSY_S + 0.01)
    assert len(bench.handed) == 2
    assert bench.handed[-1].half_done


def test_an_actor_that_is_lost_with_its_keeper_is_swept_when_its_lease_has_ended() -> None:
    bench = Bench()
    bench.feed(Arrived([onset()]))
    bench.claim(onset())
    bench.run(11.4)
    assert len(bench.handed) == 1
    bench.run(0.3)
    assert len(bench.handed) == 2


def test_a_failed_attempt_is_made_again_after_its_delay() -> None:
    bench = Bench()
    bench.feed(Arrived([onset()]))
    for attempt in (1, 2, 3):
        running = bench.claim(onset())
        assert running.attempt == attempt
        bench.journal.finish(running.request_id, running.token, False, "no", bench.now)
        bench.run(4)
    assert len(bench.handed) == 3
    found = bench.journal.get(onset().request_id)
    assert found is not None
    assert found.state is State.FAILED


def test_a_denied_onset_goes_out_when_the_guard_lets_go_and_costs_little_until_then() -> None:
    bench = Bench(guards={"frequency": [{"operations": 1, "within_s": 100}]})
    bench.feed(Arrived([onset(1)]))
    running = bench.claim(onset(1))
    bench.journal.finish(running.request_id, running.token, True, "", bench.now)
    bench.feed(Arrived([onset(2)]))
    before = bench.consultations
    bench.run(99)
    assert bench.ids == [onset(1).request_id]
    assert bench.consultations - before <= 99 / POLL_IDLE_S + 2
    bench.run(1.1)
    assert bench.ids == [onset(1).request_id, onset(2).request_id]


def test_abated_is_noted_and_not_handed_on() -> None:
    bench = Bench()
    bench.feed(Arrived([onset()]))
    bench.feed(Arrived([onset(status="ABATED")]))
    bench.run(20)
    assert bench.settled == 2
    assert len(bench.handed) == 1
    found = bench.journal.get(onset().request_id)
    assert found is not None
    assert found.state is State.CANCELLED


def test_nothing_is_settled_while_the_journal_cannot_be_used_and_all_is_afterwards() -> None:
    bench = Bench()
    bench.broken = True
    bench.feed(Arrived([onset(1)]))
    bench.feed(Arrived([onset(2, target="t2")]))
    before = bench.consultations
    bench.run(20)
    assert bench.settled == 0
    assert bench.core.waiting == 2
    assert bench.consultations - before <= 20 / RETRY_S + 1
    bench.broken = False
    bench.run(RETRY_S)
    assert bench.settled == 2
    assert bench.ids == [onset(1).request_id]


def test_a_clock_that_is_set_back_does_not_make_it_spin() -> None:
    bench = Bench()
    bench.feed(Arrived([onset()]))
    now = Instant(bench.now.mono, bench.now.wall - 1e6)
    bench.core.tick(Instant(now.mono + 1, now.wall))
    bench.core.handle(Seen(list(bench.journal.opened())), Instant(now.mono + 1, now.wall + 1))
    due = bench.core.deadline()
    assert due is not None
    assert due > now.mono + 1


def test_a_lost_actor_is_replaced_in_time_though_the_clock_is_set_back() -> None:
    bench = Bench()
    bench.feed(Arrived([onset()]))
    bench.claim(onset())
    bench.run(5)
    bench.stepped_s = -3600.0
    bench.run(11.7)
    assert len(bench.handed) == 2


@pytest.mark.parametrize("seed", range(150))
def test_whatever_happens_every_onset_ends_and_nothing_runs_twice(seed: int) -> None:
    """Restarts of the dispatcher, a journal that comes and goes, actors that are killed, late or fail, hand-overs that are lost."""
    chance = random.Random(seed)
    bench = Bench(retries=1)
    sent = [onset(number, target=f"t{number % 3}") for number in range(6)]
    arrived: list[Onset] = []
    actors: dict[str, Operation] = {}
    done: list[str] = []
    for step in range(400):
        calm = step > 250
        if len(arrived) < len(sent) and chance.random() < 0.2:
            arrived.append(sent[len(arrived)])
            bench.feed(Arrived([arrived[-1]]))
        if not calm and chance.random() < 0.05:  # killed; the intake gives everything once more that was not settled, and more
            bench.core = Dispatcher()
            durable = next((n for n, message in enumerate(arrived) if bench.journal.get(message.request_id) is None), len(arrived))
            bench.feed(Arrived(arrived[chance.randint(0, durable) :]))
        bench.broken = not calm and (bench.broken != (chance.random() < 0.1))
        for known in bench.handed:
            if calm or chance.random() < 0.7:
                answer = bench.journal.claim(known.request_id, f"actor-{step}", bench.now)
                if isinstance(answer, Operation):
                    actors[answer.request_id] = answer
        bench.handed.clear()
        for request_id, actor in list(actors.items()):
            fate = chance.random()
            if fate < 0.3 or calm:
                succeeded = calm or chance.random() < 0.7
                answer = bench.journal.finish(request_id, actor.token, succeeded, "", bench.now)
                del actors[request_id]
                if isinstance(answer, Operation) and succeeded:
                    done.append(request_id)
                else:
                    assert isinstance(answer, (Refused, Operation))
            elif fate < 0.4:
                bench.journal.lost(request_id, actor.token, bench.now)
                del actors[request_id]
            elif fate < 0.5:
                del actors[request_id]  # killed with its keeper
        bench.run(chance.choice([0.05, 0.3, 1.0, 6.0]))
    assert len(arrived) == len(sent)
    states = {message.request_id: bench.journal.get(message.request_id) for message in sent}
    assert all(known is not None and not known.open for known in states.values()), states
    assert len(done) == len(set(done))


def test_about_what_is_not_placed_nothing_goes_out() -> None:
    bench = Bench()
    bench.feed(Arrived([onset(1, target="nowhere"), onset(2)]))
    assert [known.target for known in bench.handed] == ["ha-pp-a"]
    bench.feed(Arrived([onset(1, target="nowhere", status="ABATED")]))
    closed = bench.journal.get(onset(1, target="nowhere").request_id)
    assert closed is not None
    assert (closed.state, closed.guard) == (State.CANCELLED, "target")
