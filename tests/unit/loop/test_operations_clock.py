"""The operations journal and a wall clock that is set back: what is to come does not come an hour late."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from closedloop_loop.operations.model import Operation, State
from closedloop_loop.operations.schedule import SKEW_S

from tests.unit.loop.bench import at, onset
from tests.unit.loop.test_operations import WORLD, begun, journal, operation, rules

BACK_S = -3600.0


def only(operations: Sequence[Operation]) -> Operation:
    (found,) = operations
    return found


def test_an_actor_that_is_lost_with_its_keeper_is_found_after_its_lease() -> None:
    book = journal()
    running = begun(book)
    operation(book.renew(running.request_id, running.token, at(5)))
    assert book.sweep(at(BACK_S)) == []
    assert only(book.opened()).lease_until_us == at(BACK_S + 10).wall_us
    assert book.sweep(at(BACK_S + 9)) == []
    assert only(book.sweep(at(BACK_S + 10))).message == "actor lost"


def test_an_attempt_has_its_time_and_no_more() -> None:
    book = journal()
    running = begun(book)
    book.renew(running.request_id, running.token, at(20))
    book.renew(running.request_id, running.token, at(BACK_S))
    for second in range(5, 40, 5):
        book.renew(running.request_id, running.token, at(BACK_S + second))
    assert book.sweep(at(BACK_S + 39)) == []
    assert only(book.sweep(at(BACK_S + 40))).state is State.RETRYING


def test_the_next_attempt_comes_after_its_delay() -> None:
    book = journal()
    running = begun(book)
    book.finish(running.request_id, running.token, False, "x", at(1))
    book.sweep(at(BACK_S))
    assert only(book.opened()).due_us == at(BACK_S + 5).wall_us
    assert operation(book.submit(rules(), onset(), WORLD, at(BACK_S + 5))).state is State.PENDING


def test_one_whose_actor_was_given_time_to_notice_is_claimed_after_that() -> None:
    book = journal()
    begun(book)
    book.sweep(at(10))
    book.sweep(at(BACK_S))
    assert operation(book.claim(onset().request_id, "another", at(BACK_S + 1.5))).state is State.RUNNING


def test_what_is_written_first_after_it_forgets_nothing() -> None:
    book = journal()
    running = begun(book)
    operation(book.submit(rules(), onset(status="ABATED"), WORLD, at(BACK_S)))
    assert only(book.opened()).lease_until_us == at(BACK_S + 10).wall_us
    assert operation(book.finish(running.request_id, running.token, True, "", at(BACK_S + 1))).state is State.SUCCEEDED


@pytest.mark.parametrize("back_s", [0.0, SKEW_S])
def test_clocks_of_two_machines_that_differ_a_little_change_nothing(back_s: float) -> None:
    book = journal()
    running = begun(book, seconds=back_s)
    assert book.sweep(at(0)) == []
    assert only(book.opened()) == running


def test_what_has_ended_stays_as_it_is() -> None:
    book = journal()
    running = begun(book)
    done = operation(book.finish(running.request_id, running.token, True, "", at(1)))
    book.sweep(at(BACK_S))
    assert operation(book.submit(rules(), onset(), WORLD, at(BACK_S))) == done
