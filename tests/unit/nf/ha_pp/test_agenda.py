"""One due time for each home address, changed and taken back at will."""

from __future__ import annotations

from closedloop_nf.ha_pp.agenda import Agenda
from hypothesis import given
from hypothesis import strategies as st

A, B = b"a", b"b"


def test_an_address_is_due_once_at_the_time_planned_last() -> None:
    agenda = Agenda()
    agenda.plan(A, 10)
    agenda.plan(A, 20)
    agenda.plan(B, 15)
    assert agenda.take(14, 9) == []
    assert agenda.take(15, 9) == [B]
    assert agenda.take(20, 9) == [A]
    assert agenda.deadline() is None


def test_what_is_cancelled_is_not_due() -> None:
    agenda = Agenda()
    agenda.plan(A, 10)
    agenda.cancel(A)
    assert agenda.due(A) is None
    assert agenda.take(10, 9) == []


def test_planning_and_cancelling_again_and_again_does_not_pile_up() -> None:
    agenda = Agenda()
    for later in range(200):
        agenda.plan(A, 100 + later)
        agenda.cancel(A)
    assert len(agenda._queue) == 1


@given(st.lists(st.tuples(st.sampled_from([A, B, b"c"]), st.one_of(st.none(), st.integers(0, 30)))), st.integers(1, 3))
def test_each_address_comes_up_when_a_plain_dictionary_says_so(steps: list[tuple[bytes, int | None]], at_most: int) -> None:
    agenda, model = Agenda(), dict[bytes, int]()
    for address, due in steps:
        if due is None:
            agenda.cancel(address)
            model.pop(address, None)
        else:
            agenda.plan(address, due)
            model[address] = due
    found: dict[bytes, int] = {}
    for time in range(31):
        while (deadline := agenda.deadline()) is not None and deadline <= time:
            for address in agenda.take(time, at_most):
                assert address not in found
                found[address] = time
    assert found == model
