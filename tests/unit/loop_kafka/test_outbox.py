"""202 for what the broker has acknowledged, and nothing else; memory is bounded; duplicates collapse."""

from __future__ import annotations

from closedloop_loop.journal.messages import Answer, Entry, Submit, Verdict
from closedloop_loop.kafka.outbox import OutboxCore, Produce
from hypothesis import given
from hypothesis import strategies as st


def entry(number: int, size: int = 10) -> Entry:
    return Entry(b"%d" % number, b"." * size, f"ha-pp-{number}")


def submit(request: int, *numbers: int, size: int = 10) -> Submit:
    return Submit(request, [entry(number, size) for number in numbers])


def test_a_request_is_accepted_when_all_of_it_is_acknowledged() -> None:
    core = OutboxCore(1000, 10)
    assert core.submit(submit(1, 1, 2)) == [Produce(entry(1)), Produce(entry(2))]
    assert core.delivered(b"2", True) == []
    assert core.delivered(b"1", True) == [Answer(1, Verdict.ACCEPTED, 0)]
    assert (core.pending_octets, core.waiting) == (0, 0)


def test_one_event_that_is_not_acknowledged_fails_the_request_and_only_that_one_goes_out_again() -> None:
    core = OutboxCore(1000, 10)
    core.submit(submit(1, 1, 2))
    core.delivered(b"1", True)
    assert core.delivered(b"2", False) == [Answer(1, Verdict.FAILED, 0)]
    assert core.submit(submit(2, 1, 2)) == [Produce(entry(2))]
    assert core.delivered(b"2", True) == [Answer(2, Verdict.ACCEPTED, 1)]


def test_the_same_event_again_waits_for_the_fate_of_the_first() -> None:
    core = OutboxCore(1000, 10)
    core.submit(submit(1, 1))
    assert core.submit(submit(2, 1)) == []
    assert core.delivered(b"1", False) == [Answer(1, Verdict.FAILED, 0), Answer(2, Verdict.FAILED, 1)]


def test_past_the_limit_a_request_is_refused_whole_unless_it_is_the_only_one() -> None:
    core = OutboxCore(100, 10)
    assert len(core.submit(submit(1, 1, size=500))) == 1
    assert core.full
    assert core.submit(submit(2, 2)) == [Answer(2, Verdict.BUSY)]
    core.delivered(b"1", True)
    assert not core.full
    assert len(core.submit(submit(3, 2))) == 1


def test_only_the_latest_are_known_again() -> None:
    core = OutboxCore(1000, 2)
    for number in range(3):
        core.submit(submit(number, number))
        core.delivered(b"%d" % number, True)
    assert core.submit(submit(8, 2)) == [Answer(8, Verdict.ACCEPTED, 1)]
    assert core.submit(submit(9, 0)) == [Produce(entry(0))]


@given(st.lists(st.tuples(st.lists(st.integers(0, 5), min_size=1, max_size=4), st.booleans()), max_size=30), st.randoms())
def test_every_request_has_one_answer_and_accepted_means_acknowledged(requests: list[tuple[list[int], bool]], chance: object) -> None:
    core, acknowledged = OutboxCore(60, 3), set[bytes]()
    answers: dict[int, list[Verdict]] = {}
    under_way: list[bytes] = []

    def apply(actions: list[Produce | Answer]) -> None:
        for action in actions:
            if isinstance(action, Produce):
                under_way.append(action.entry.key)
            else:
                answers.setdefault(action.request, []).append(action.verdict)
                if action.verdict is Verdict.ACCEPTED:
                    assert {b"%d" % number for number in requests[action.request][0]} <= acknowledged

    def deliver(durable: bool) -> None:
        key = under_way.pop(0)
        if durable:
            acknowledged.add(key)
        apply(core.delivered(key, durable))

    for request, (numbers, durable) in enumerate(requests):
        apply(core.submit(submit(request, *numbers)))
        if under_way and chance.random() < 0.5:  # type: ignore[attr-defined] # hypothesis' random.Random
            deliver(durable)
    while under_way:
        deliver(True)
    assert all(len(each) == 1 for each in answers.values())
    assert len(answers) == len(requests)
    assert core.pending_octets == 0
