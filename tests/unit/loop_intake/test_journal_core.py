"""The journal's core under a random schedule of requests, commits that fail, consumers that dawdle, and crashes."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
from closedloop_loop.clock import Instant
from closedloop_loop.journal.core import FINISH_DELAY_S, JournalCore, Limits
from closedloop_loop.journal.messages import (
    Action,
    Answer,
    Commit,
    Committed,
    Entry,
    Failed,
    Finished,
    Loaded,
    Read,
    ReadFailed,
    Ready,
    Recovered,
    Refill,
    Submit,
    Verdict,
)
from hypothesis import given, settings
from hypothesis import strategies as st

NOW = Instant(0.0, 0.0)


def entry(number: int, size: int = 10) -> Entry:
    return Entry(b"%d" % number, b"%d" % number + b"." * size)


def commits(actions: Sequence[Action]) -> list[Commit]:
    return [action for action in actions if isinstance(action, Commit)]


def answers(actions: Sequence[Action]) -> dict[int, Verdict]:
    return {action.request: action.verdict for action in actions if isinstance(action, Answer)}


def core(**limits: int) -> JournalCore:
    return JournalCore(Limits(**limits), Recovered())


def test_nothing_is_acknowledged_before_its_commit() -> None:
    journal = core()
    actions = journal.handle(Submit(1, [entry(1)]), NOW)
    assert len(commits(actions)) == 1
    assert not answers(actions)
    assert answers(journal.handle(Committed(), NOW)) == {1: Verdict.ACCEPTED}


def test_what_comes_during_a_commit_is_the_next_one() -> None:
    journal = core()
    journal.handle(Submit(1, [entry(1)]), NOW)
    assert journal.handle(Submit(2, [entry(2)]), NOW) == []
    assert journal.handle(Submit(3, [entry(3)]), NOW) == []
    [commit] = commits(journal.handle(Committed(), NOW))
    assert [body for _, _, body in commit.rows] == [entry(2).body, entry(3).body]
    assert answers(journal.handle(Committed(), NOW)) == {2: Verdict.ACCEPTED, 3: Verdict.ACCEPTED}


def test_a_second_delivery_waits_for_the_first_and_stores_nothing() -> None:
    journal = core()
    journal.handle(Submit(1, [entry(1)]), NOW)
    assert journal.handle(Submit(2, [entry(1)]), NOW) == []
    actions = journal.handle(Committed(), NOW)
    assert answers(actions) == {1: Verdict.ACCEPTED, 2: Verdict.ACCEPTED}
    assert not commits(actions)
    assert journal.handle(Submit(3, [entry(1)]), NOW) == [Answer(3, Verdict.ACCEPTED, 1)]
    assert [delivery.body for delivery in journal.take(9)] == [entry(1).body]


def test_a_failed_commit_fails_whoever_relies_on_it_and_is_forgotten() -> None:
    journal = core()
    journal.handle(Submit(1, [entry(1)]), NOW)
    journal.handle(Submit(2, [entry(1), entry(2)]), NOW)
    journal.handle(Submit(3, [entry(3)]), NOW)
    actions = journal.handle(Failed(), NOW)
    assert answers(actions) == {1: Verdict.FAILED, 2: Verdict.FAILED}
    assert answers(journal.handle(Committed(), NOW)) == {3: Verdict.ACCEPTED}
    [commit] = commits(journal.handle(Submit(4, [entry(1), entry(2)]), NOW))
    assert [body for _, _, body in commit.rows] == [entry(1).body]


def test_too_much_is_refused_and_a_large_request_alone_is_not() -> None:
    journal = core(pending_octets=100, backlog_events=3)
    journal.handle(Submit(1, [entry(1, 1000)]), NOW)
    assert answers(journal.handle(Submit(2, [entry(2)]), NOW)) == {2: Verdict.BUSY}
    journal.handle(Committed(), NOW)
    assert answers(journal.handle(Submit(3, [entry(3), entry(4), entry(5)]), NOW)) == {3: Verdict.BUSY}
    assert not journal.full
    journal.handle(Submit(4, [entry(3), entry(4)]), NOW)
    assert journal.full
    journal.handle(Committed(), NOW)
    assert answers(journal.handle(Submit(5, [entry(3)]), NOW)) == {5: Verdict.ACCEPTED}, "a duplicate needs no room"
    journal.handle(Finished([delivery.id for delivery in journal.take(2)]), NOW)
    assert not journal.full


def test_only_so_many_keys_are_remembered() -> None:
    journal = core(remember_events=2)
    for number in range(3):
        [commit] = commits(journal.handle(Submit(number, [entry(number)]), NOW))
        journal.handle(Committed(), NOW)
    assert commit.forget == 1
    assert answers(journal.handle(Submit(8, [entry(2)]), NOW)) == {8: Verdict.ACCEPTED}
    assert commits(journal.handle(Submit(9, [entry(0)]), NOW))


def test_a_finished_event_leaves_the_store_within_the_delay_even_when_nothing_else_comes() -> None:
    journal = core()
    journal.handle(Submit(1, [entry(1)]), NOW)
    journal.handle(Committed(), NOW)
    [delivery] = journal.take(1)
    journal.handle(Finished([delivery.id], b"state"), NOW)
    due = journal.deadline()
    assert due == pytest.approx(FINISH_DELAY_S)
    [commit] = commits(journal.tick(Instant(due, 0.0)))
    assert (commit.rows, commit.finished, commit.state) == ([], delivery.id, b"state")
    assert not journal.idle
    journal.handle(Committed(), NOW)
    assert journal.idle
    assert journal.deadline() is None


def test_a_state_whose_storing_is_asked_for_is_stored_at_once_and_answered() -> None:
    journal = core()
    [commit] = commits(journal.handle(Finished([], b"one", 7), NOW))
    assert commit.state == b"one"
    assert answers(journal.handle(Committed(), NOW)) == {7: Verdict.ACCEPTED}
    journal.handle(Submit(1, [entry(1)]), NOW)
    assert journal.handle(Finished([], b"two", 8), NOW) == [], "a commit is under way"
    [commit] = commits(journal.handle(Committed(), NOW))
    assert commit.state == b"two"
    assert answers(journal.handle(Failed(), NOW)) == {8: Verdict.FAILED}
    [commit] = commits(journal.handle(Finished([], b"two", 9), NOW))
    assert answers(journal.handle(Committed(), NOW)) == {9: Verdict.ACCEPTED}


def test_a_state_that_could_not_be_stored_is_tried_again() -> None:
    journal = core()
    journal.handle(Finished([], b"one"), NOW)
    journal.tick(Instant(1.0, 0.0))
    journal.handle(Failed(), NOW)
    [commit] = commits(journal.tick(Instant(2.0, 0.0)))
    assert commit.state == b"one"


def test_a_finish_that_fell_due_during_a_commit_is_not_forgotten() -> None:
    journal = core()
    journal.handle(Submit(1, [entry(1)]), NOW)
    journal.handle(Committed(), NOW)
    journal.handle(Finished([delivery.id for delivery in journal.take(1)]), NOW)
    journal.handle(Submit(2, [entry(2)]), NOW)
    journal.handle(Finished([], b"state"), NOW)
    assert journal.tick(Instant(1.0, 0.0)) == [], "a commit is under way"
    journal.handle(Committed(), Instant(2.0, 0.0))
    due = journal.deadline()
    assert due is not None
    assert [commit.state for commit in commits(journal.tick(Instant(due, 0.0)))] == [b"state"]


def test_a_read_that_failed_is_tried_again_without_anybody_asking() -> None:
    journal = JournalCore(Limits(), Recovered(finished=0, last=1, backlog=1))
    assert journal.start() == [Read(0, 1, 1024, Limits().window_octets)]
    assert journal.handle(ReadFailed(), NOW) == []
    due = journal.deadline()
    assert due is not None
    assert [type(action) for action in journal.tick(Instant(due, 0.0))] == [Read]
    assert journal.handle(Loaded([(1, b"body")], more=False), NOW) == [Ready()]
    assert [(delivery.id, delivery.again) for delivery in journal.take(9)] == [(1, True)]


class World:
    """A disk, a consumer and senders around one core; everything chosen by one seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.limits = Limits(
            pending_octets=self.random.choice((50, 10_000)),
            backlog_events=self.random.choice((5, 1000)),
            window_events=self.random.choice((2, 8, 1000)),
            window_octets=self.random.choice((40, 100_000)),
            remember_events=1000,
        )
        self.events: dict[int, bytes] = {}
        self.seen: dict[int, bytes] = {}
        self.finished = 0
        self.clock = 0.0
        self.sent: dict[int, list[Entry]] = {}
        self.acknowledged: set[bytes] = set()
        self.delivered: dict[bytes, int] = {}
        self.number = self.request = 0
        self.restarts = 0
        self.boot()

    def boot(self) -> None:
        last = max((self.finished, *self.events, *self.seen))
        backlog = sum(number > self.finished for number in self.events)
        self.core = JournalCore(self.limits, Recovered(self.finished, last, backlog, tuple(sorted(self.seen.items()))))
        self.disk: list[Commit | Read] = []
        self.waiting: set[int] = set()
        self.held: list[int] = []
        self.apply(self.core.start())

    @property
    def now(self) -> Instant:
        return Instant(self.clock, 0.0)

    def apply(self, actions: Sequence[Action]) -> None:
        for action in actions:
            match action:
                case Commit() | Read():
                    self.disk.append(action)
                case Answer(request, verdict):
                    self.waiting.remove(request)
                    if verdict is Verdict.ACCEPTED:
                        keys = {each.key for each in self.sent[request]}
                        assert keys <= set(self.seen.values()), "acknowledged, not durable"
                        self.acknowledged |= keys
                case Ready():
                    pass
        assert sum(isinstance(work, Commit) for work in self.disk) <= 1
        assert len(self.core._window) <= self.limits.window_events + 1000
        assert self.core.pending_octets <= max(self.limits.pending_octets, 200)

    def submit(self) -> None:
        self.request += 1
        fresh = [entry(self.number + each + 1, 10) for each in range(self.random.randint(0, 3))]
        old = [entry(self.random.randint(1, max(1, self.number))) for _ in range(self.random.randint(0 if fresh else 1, 2))]
        self.number += len(fresh)
        entries = fresh + old
        self.random.shuffle(entries)
        self.sent[self.request] = entries
        self.waiting.add(self.request)
        self.apply(self.core.handle(Submit(self.request, entries), self.now))

    def work(self, *, fail: bool = False) -> None:
        if not self.disk:
            return
        work = self.disk.pop(0)
        if isinstance(work, Read):
            if fail:
                self.apply(self.core.handle(ReadFailed(), self.now))
                return
            rows = sorted((number, body) for number, body in self.events.items() if work.after < number <= work.through)
            limit = self.random.randint(1, work.rows)
            self.apply(self.core.handle(Loaded(rows[:limit], len(rows) > limit), self.now))
            return
        if fail:
            self.apply(self.core.handle(Failed(), self.now))
            return
        self.write(work)
        self.apply(self.core.handle(Committed(), self.now))

    def write(self, commit: Commit) -> None:
        for number, key, body in commit.rows:
            assert key not in self.seen.values(), "stored twice"
            self.events[number], self.seen[number] = body, key
        self.finished = commit.finished
        self.events = {number: body for number, body in self.events.items() if number > commit.finished}

    def consume(self) -> None:
        before = self.held[-1] if self.held else 0
        for delivery in self.core.take(self.random.randint(1, 4)):
            assert delivery.id > before, "out of order"
            before = delivery.id
            key = delivery.body.rstrip(b".")
            self.delivered[key] = self.delivered.get(key, 0) + 1
            assert self.delivered[key] <= 1 + self.restarts, "delivered again without a crash"
            assert delivery.again or self.delivered[key] == 1
            self.held.append(delivery.id)
        self.apply(self.core.handle(Refill(), self.now))

    def finish(self) -> None:
        done = self.random.sample(self.held, self.random.randint(0, len(self.held)))
        self.held = [number for number in self.held if number not in done]
        self.apply(self.core.handle(Finished(done), self.now))

    def crash(self) -> None:
        """Of what the disk was told to do, the commit may have happened."""
        for work in self.disk:
            if isinstance(work, Commit) and self.random.random() < 0.5:
                self.write(work)
        self.restarts += 1
        self.boot()

    def step(self) -> None:
        self.clock += self.random.choice((0.0, 0.05, 0.5))
        self.apply(self.core.tick(self.now))
        choice = self.random.random()
        if choice < 0.35:
            self.submit()
        elif choice < 0.65:
            self.work(fail=self.random.random() < 0.1)
        elif choice < 0.8:
            self.consume()
        elif choice < 0.97:
            self.finish()
        else:
            self.crash()

    def settle(self) -> None:
        """Faults end; the consumer is quick."""
        for _ in range(20_000):
            self.clock += 0.5
            self.apply(self.core.tick(self.now))
            self.work()
            self.consume()
            self.apply(self.core.handle(Finished(self.held), self.now))
            self.held = []
            if self.core.idle and not self.disk and not self.core.backlog:
                return
        raise AssertionError("does not come to rest")


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_no_acknowledged_event_is_lost_and_none_is_delivered_twice_without_a_crash(seed: int) -> None:
    world = World(seed)
    for _ in range(150):
        world.step()
    world.settle()
    assert not world.waiting
    assert world.acknowledged <= set(world.delivered)
    assert not world.events
