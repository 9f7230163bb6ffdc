"""The queue: nothing is lost, everything keeps its order, and it is bounded."""

from __future__ import annotations

import itertools
import random

import pytest
from closedloop_nf.ves import delivery as d
from closedloop_nf.ves.author import Written
from closedloop_nf.ves.delivery import Delivery, Verdict
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, precondition, rule

DOMAINS = ("fault", "heartbeat", "measurement", "notification", "stateChange")
BOUND = 200


def event(number: int, domain: str = "measurement", size: int = 20) -> Written:
    return Written(number, domain, b"x" * size)


def queue(*events: Written, max_events: int = BOUND) -> Delivery:
    """With events that are on disk already."""
    return Delivery(max_events, random.Random(1), events)


def sent(made: Delivery, now: float = 0.0) -> list[int]:
    post = made.begin(now)
    return [one.number for one in post.events] if post else []


class Queue(RuleBasedStateMachine):
    """Whatever a collector and a disk do, against a list of what went in."""

    batches: Bundle[int] = Bundle("batches")

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.numbers = itertools.count(1)
        self.delivery = Delivery(BOUND, random.Random(0))
        self.put: dict[int, str] = {}
        self.dropped: list[int] = []
        self.refused: list[int] = []
        self.accepted: list[int] = []
        self.on_way: list[int] = []
        self.stored = 0

    @rule(target=batches, domains=st.lists(st.sampled_from(DOMAINS), min_size=1, max_size=150))
    def add(self, domains: list[str]) -> int:
        events = [event(next(self.numbers), domain) for domain in domains]
        self.put |= {one.number: one.domain for one in events}
        self.dropped += self.delivery.add(events, self.now)
        return events[-1].number

    @rule(number=consumes(batches))
    def store(self, number: int) -> None:
        self.delivery.stored(number)
        self.stored = max(self.stored, number)

    @rule(seconds=st.floats(0, 10))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @precondition(lambda self: not self.on_way)
    @rule()
    def send(self) -> None:
        self.on_way = sent(self.delivery, self.now)
        assert all(number <= self.stored for number in self.on_way)
        assert len({self.put[number] for number in self.on_way}) <= 1
        assert len(self.on_way) <= d.BATCH_EVENTS

    @precondition(lambda self: self.on_way)
    @rule(verdict=st.sampled_from(Verdict), retry_after=st.sampled_from((0.0, 1.0, 1e9)))
    def answer(self, verdict: Verdict, retry_after: float) -> None:
        finished = self.delivery.answered(verdict, self.now, retry_after)
        assert finished in ([], self.on_way)
        (self.accepted if verdict is Verdict.ACCEPTED else self.refused).extend(finished)
        self.on_way = []

    @invariant()
    def bounded(self) -> None:
        assert len(self.delivery) <= BOUND
        assert (self.delivery.deadline() or 0) <= self.now + d.LONGEST_ASKED_S

    @invariant()
    def every_event_is_in_one_place(self) -> None:
        assert len(self.put) == len(self.delivery) + len(self.accepted) + len(self.dropped) + len(self.refused)
        assert self.delivery.counters["dropped"] == len(self.dropped)

    @invariant()
    def in_order_and_once(self) -> None:
        assert self.accepted == sorted(set(self.accepted))

    def teardown(self) -> None:
        """When the collector is well again everything that waits arrives."""
        self.delivery.stored(max(self.put, default=0))
        if self.on_way:
            self.answer(Verdict.UNAVAILABLE, 0.0)
        while len(self.delivery):
            self.now = max(self.now, self.delivery.deadline() or 0)
            self.on_way = sent(self.delivery, self.now)
            self.answer(Verdict.ACCEPTED, 0.0)
        self.in_order_and_once()
        assert set(self.put) == {*self.accepted, *self.dropped, *self.refused}


TestQueue = Queue.TestCase


def test_several_of_one_domain_go_together_and_no_request_mixes_domains() -> None:
    made = queue(*(event(number) for number in range(1, 6)), event(6, "fault"), event(7))
    for expected in ([1, 2, 3, 4, 5], [6], [7], []):
        assert sent(made) == expected
        made.answered(Verdict.ACCEPTED, 0.0)
    assert made.deadline() is None


def test_a_batch_is_bounded_in_octets_and_a_great_event_goes_alone() -> None:
    made = queue(event(1, size=d.BATCH_OCTETS), event(2, size=600_000), event(3, size=600_000))
    for expected in ([1], [2], [3]):
        assert sent(made) == expected
        made.answered(Verdict.ACCEPTED, 0.0)


def test_the_pause_grows_to_its_bound_and_begins_anew_after_success() -> None:
    made = queue(event(1))
    now, pauses = 0.0, []
    for _ in range(12):
        assert sent(made, now) == [1]
        made.answered(Verdict.UNAVAILABLE, now)
        due = made.deadline()
        assert due is not None
        assert sent(made, due - 0.001) == []
        pauses.append(due - now)
        now = due
    assert d.FIRST_RETRY_S * 0.75 <= pauses[0] <= d.FIRST_RETRY_S * 1.25
    assert all(d.LAST_RETRY_S * 0.75 <= pause <= d.LAST_RETRY_S * 1.25 for pause in pauses[-3:])
    sent(made, now)
    made.answered(Verdict.ACCEPTED, now)
    made.add([event(2)], now)
    made.stored(2)
    sent(made, now)
    made.answered(Verdict.UNAVAILABLE, now)
    assert (made.deadline() or 0) - now <= d.FIRST_RETRY_S * 1.25


def test_a_fault_does_not_wait_for_the_end_of_a_long_pause() -> None:
    made = queue(event(1))
    sent(made)
    made.answered(Verdict.UNAVAILABLE, 0.0, retry_after_s=30)
    assert made.deadline() == 30
    made.add([event(2, "heartbeat")], 1.0)
    assert made.deadline() == 30
    made.add([event(3, "fault")], 1.0)
    assert made.deadline() == 1.0 + d.FIRST_RETRY_S


def test_a_refused_batch_goes_one_by_one_and_what_is_refused_alone_is_given_up() -> None:
    made = queue(event(1), event(2), event(3))
    assert sent(made) == [1, 2, 3]
    assert made.answered(Verdict.REFUSED, 0.0) == []
    assert sent(made) == [1]
    assert made.answered(Verdict.ACCEPTED, 0.0) == [1]
    now = 0.0
    for attempt in range(1, d.REFUSALS + 1):
        assert sent(made, now) == [2]
        assert made.answered(Verdict.REFUSED, now) == ([2] if attempt == d.REFUSALS else [])
        now += 10
    assert sent(made, now) == [3]
    made.answered(Verdict.ACCEPTED, now)
    assert (made.counters["accepted"], made.counters["refused"], len(made)) == (2, 1, 0)


@pytest.mark.parametrize(("domain", "goes"), [("measurement", 1), ("fault", 1), ("heartbeat", 1)])
def test_a_full_queue_lets_the_oldest_figures_go_first(domain: str, goes: int) -> None:
    made = queue(*(event(number) for number in range(1, BOUND + 1)))
    assert made.add([event(BOUND + 1, domain)], 0.0) == [goes]


def test_faults_go_last_and_what_is_on_its_way_stays() -> None:
    made = queue(event(1), event(2, "notification"), *(event(number, "fault") for number in range(3, BOUND + 1)))
    assert sent(made) == [1]
    assert made.add([event(BOUND + 1, "fault")], 0.0) == [2]
    assert made.add([event(BOUND + 2, "fault")], 0.0) == [3]
    assert made.add([event(BOUND + 3)], 0.0) == [BOUND + 3]
    assert made.answered(Verdict.ACCEPTED, 0.0) == [1]


def test_octets_are_bounded_too() -> None:
    size = d.MAX_OCTETS // 10
    made = queue(*(event(number, size=size) for number in range(1, 15)))
    assert len(made) == 10
    assert sent(made)[0] == 5


@given(st.integers(1, 400))
def test_what_an_earlier_process_left_is_sent_first(count: int) -> None:
    made = queue(*(event(number) for number in range(1, count + 1)))
    made.add([event(1000)], 0.0)
    got: list[int] = []
    while numbers := sent(made):
        got += numbers
        made.answered(Verdict.ACCEPTED, 0.0)
    assert got == list(range(max(1, count - BOUND + 2), count + 1))  # 1000 made room for itself and is not on disk yet
