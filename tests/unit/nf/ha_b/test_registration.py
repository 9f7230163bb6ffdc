"""HA-B's word on a registration: judged in RFC 6275's order, durable before it is answered, one owner per address."""

from __future__ import annotations

import pytest
from closedloop_nf.ha_b.actions import Send
from closedloop_nf.ha_b.admission import granted_lifetime, is_later
from closedloop_nf.ha_b.settings import TOMBSTONE_S
from closedloop_nf.link import messages as m

from tests.unit.nf.ha_b.harness import Bench, care_of, home


def test_nothing_is_answered_or_pushed_before_it_is_durable() -> None:
    bench = Bench()
    a, b = bench.join("a"), bench.join("b")
    bench.auto = False
    bench.clear()
    bench.ask(a, 1, 1)
    assert not bench.sent(a, m.Registered)
    assert not bench.sent(b, m.Bindings)
    assert bench.owner(1) is None
    bench.commit()
    assert bench.sent(a, m.Registered)[0].status == 0
    assert bench.sent(b, m.Bindings)[0].rows[0].home_address == home(1)
    assert not bench.sent(a, m.Bindings), "the owner knows by the answer"
    assert bench.owner(1) == "a"


def test_answers_follow_the_order_of_commits_in_one_group() -> None:
    bench = Bench()
    a, b = bench.join("a"), bench.join("b")
    bench.auto = False
    bench.clear()
    for number in range(10):
        bench.ask(a, number, number)
    bench.commit(3)
    assert [answer.transaction for answer in bench.sent(a, m.Registered)] == [0, 1, 2]
    bench.commit()
    assert [answer.transaction for answer in bench.sent(a, m.Registered)] == list(range(10))
    pushed = bench.sent(b, m.Bindings)
    assert [len(push.rows) for push in pushed] == [3, 7], "one message per group"
    revisions = [row.revision for push in pushed for row in push.rows]
    assert revisions == sorted(set(revisions))


@pytest.mark.parametrize(
    ("last", "sequence", "accepted"),
    [
        (5, 6, True),
        (5, 5, False),
        (5, 4, False),
        (65535, 0, True),
        (0, 65535, False),
        (0, 32767, True),
        (0, 32768, False),
        (40000, 7231, True),
        (40000, 7232, False),
    ],
)
def test_sequence_numbers_are_compared_modulo_2_16(last: int, sequence: int, accepted: bool) -> None:
    assert is_later(sequence, last) is accepted
    bench = Bench()
    a = bench.join("a")
    bench.register(a, 1, last)
    answer = bench.register(a, 1, sequence, care_of_address=care_of(2))
    assert answer.status == (0 if accepted else 135)
    assert answer.sequence == (sequence if accepted else last), "135 tells the last accepted number"


def test_an_identical_request_is_answered_as_the_first_was() -> None:
    bench = Bench()
    a = bench.join("a")
    first = bench.register(a, 1, 7, timestamp=99)
    again = bench.register(a, 1, 7, timestamp=99)
    assert first == again
    assert bench.register(a, 1, 7, timestamp=99, care_of_address=care_of(3)).status == 135
    gone = bench.register(a, 1, 8, timestamp=100, lifetime_s=0)
    assert gone.status == 0
    assert bench.register(a, 1, 8, timestamp=100, lifetime_s=0) == gone


def test_an_identical_request_waits_for_the_first_ones_commit() -> None:
    bench = Bench()
    a = bench.join("a")
    bench.auto = False
    bench.ask(a, 1, 7)
    bench.ask(a, 1, 7)
    assert not bench.sent(a, m.Registered)
    bench.commit()
    assert [answer.status for answer in bench.sent(a, m.Registered)] == [0, 0]


def test_a_timestamp_must_grow_and_is_told_otherwise() -> None:
    bench = Bench()
    a = bench.join("a")
    bench.register(a, 1, 1, timestamp=2**63 + 50)
    answer = bench.register(a, 1, 2, timestamp=2**63 + 50)
    assert (answer.status, answer.timestamp) == (144, 2**63 + 50)
    assert bench.register(a, 1, 2, timestamp=2**63 + 51).status == 0


def test_a_recorded_update_cannot_bring_back_a_removed_binding() -> None:
    bench = Bench()
    a = bench.join("a")
    bench.register(a, 1, 1, timestamp=10)
    bench.register(a, 1, 2, timestamp=20, lifetime_s=0)
    assert bench.register(a, 1, 1, timestamp=10).status == 144
    bench.live(1, a)
    assert bench.register(a, 1, 1, timestamp=21).status == 0, "any sequence number begins a new binding"


def test_deregistration_removes_and_is_pushed_as_a_tombstone() -> None:
    bench = Bench()
    a, b = bench.join("a"), bench.join("b")
    bench.register(a, 1, 1)
    bench.clear()
    answer = bench.register(a, 1, 2, lifetime_s=0)
    assert (answer.status, answer.lifetime_s) == (0, 0)
    assert bench.sent(b, m.Bindings)[0].rows[0].lifetime_s == 0
    assert bench.owner(1) is None
    assert bench.register(a, 2, 1, lifetime_s=0).status == 133, "RFC 6275 section 10.3.2"


@pytest.mark.parametrize(("asked", "granted"), [(0, 0), (4, 4), (3, 4), (403, 400), (100_000, 3600)])
def test_the_lifetime_granted_is_in_units_of_4_s_and_limited(asked: int, granted: int) -> None:
    assert granted_lifetime(asked, 3600) == granted


def test_an_address_outside_the_home_prefixes_is_refused() -> None:
    bench = Bench()
    a = bench.join("a")
    assert bench.register(a, 1, 1, home_address=care_of(1)).status == 132


def test_a_standby_registers_nothing() -> None:
    bench = Bench()
    bench.join("a")
    standby = bench.join("s", role="standby")
    assert bench.register(standby, 1, 1).status == 133


def test_a_session_that_is_not_synced_registers_nothing() -> None:
    bench = Bench()
    conn = bench.open()
    bench.hello(conn, "a")
    assert bench.register(conn, 1, 1).status == 130


def test_a_binding_ends_with_its_lifetime_and_every_ha_pp_is_told() -> None:
    bench = Bench()
    a, b = bench.join("a"), bench.join("b")
    bench.register(a, 1, 1, lifetime_s=8)
    bench.register(a, 2, 1, lifetime_s=400)
    bench.live(5, a, b)
    bench.register(a, 1, 2, lifetime_s=8)
    bench.clear()
    bench.live(7.9, a, b)
    assert bench.owner(1) == "a", "the refresh counts"
    bench.live(0.2, a, b)
    assert bench.owner(1) is None
    assert bench.owner(2) == "a"
    for conn in (a, b):
        assert [(row.home_address, row.lifetime_s) for push in bench.sent(conn, m.Bindings) for row in push.rows] == [(home(1), 0)]


def test_a_tombstone_is_forgotten_after_its_time_but_never_a_newer_row() -> None:
    bench = Bench()
    a = bench.join("a")
    bench.register(a, 1, 1)
    bench.register(a, 1, 2, lifetime_s=0)
    bench.lose(a)
    bench.advance(TOMBSTONE_S - 1)
    assert home(1) in bench.core.world.bindings.committed
    bench.advance(2)
    assert home(1) not in bench.core.world.bindings.committed


# --- from one HA-PP to another ----------------------------------------------------------------------------------------


def test_an_address_moves_only_after_its_owner_has_let_go() -> None:
    bench = Bench()
    a, b = bench.join("a"), bench.join("b")
    bench.register(a, 1, 1)
    bench.clear()
    bench.ask(b, 1, 2)
    assert [revoke.home_address for revoke in bench.sent(a, m.Revoke)] == [home(1)]
    assert bench.owner(1) == "a"
    bench.say(a, m.Revoked(home(1), 0))
    assert bench.sent(b, m.Registered)[0].status == 0
    assert bench.owner(1) == "b"
    assert bench.sent(a, m.Bindings)[0].rows[0].owner == "b"


def test_a_stale_request_of_another_ha_pp_revokes_nothing() -> None:
    bench = Bench()
    a, b = bench.join("a"), bench.join("b")
    bench.register(a, 1, 5)
    bench.clear()
    assert bench.register(b, 1, 5).status == 135
    assert not bench.sent(a, m.Revoke)


def test_requests_for_one_address_are_served_one_after_the_other() -> None:
    bench = Bench()
    a, b, c = bench.join("a"), bench.join("b"), bench.join("c")
    bench.register(a, 1, 1)
    bench.clear()
    bench.ask(b, 1, 2)
    bench.ask(c, 1, 3)
    bench.ask(a, 1, 4)
    assert len(bench.sent(a, m.Revoke)) == 1
    bench.say(a, m.Revoked(home(1), 0))
    assert bench.owner(1) == "b"
    assert not bench.sent(c, m.Registered)
    assert len(bench.sent(b, m.Revoke)) == 1
    bench.say(b, m.Revoked(home(1), 0))
    assert bench.owner(1) == "c"
    bench.say(c, m.Revoked(home(1), 0))
    assert bench.owner(1) == "a"
    assert [answer.status for conn in (b, c, a) for answer in bench.sent(conn, m.Registered)] == [0, 0, 0]


def test_revoke_follows_the_registration_that_made_the_owner() -> None:
    bench = Bench()
    a, b = bench.join("a"), bench.join("b")
    bench.auto = False
    bench.clear()
    bench.ask(a, 1, 1)
    bench.ask(b, 1, 2)
    assert not bench.sent(a, m.Revoke)
    bench.commit()
    kinds = [type(message).__name__ for message in bench.sent(a, object)]
    assert kinds.index("Registered") < kinds.index("Revoke")


def test_an_owner_that_renewed_while_it_was_asked_to_stop_is_asked_again() -> None:
    """Its own request waited first: it serves once more, and the next in line must not take the address without a new Revoked."""
    bench = Bench()
    a, b, c = bench.join("a"), bench.join("b"), bench.join("c")
    bench.register(a, 1, 1)
    bench.ask(c, 1, 2)
    bench.lose(c)
    bench.clear()
    bench.ask(a, 1, 3)
    bench.ask(b, 1, 4)
    bench.say(a, m.Revoked(home(1), 0))
    assert bench.owner(1) == "a"
    assert not bench.sent(b, m.Registered)
    assert len(bench.sent(a, m.Revoke)) == 1
    bench.say(a, m.Revoked(home(1), 0))
    assert bench.owner(1) == "b"


def test_a_new_owner_hears_of_no_older_row_after_its_registration() -> None:
    """Both registrations become durable in one commit: the row of the first, pushed after the answer to the second, would undo it."""
    bench = Bench()
    a, b = bench.join("a"), bench.join("b")
    bench.auto = False
    bench.clear()
    bench.ask(a, 1, 1)
    bench.lose(a)
    bench.ask(b, 1, 2)
    bench.hello(bench.open(), "a", instance="a-2")
    bench.commit()
    assert [answer.status for answer in bench.sent(b, m.Registered)] == [0]
    assert not bench.sent(b, m.Bindings)
    assert bench.owner(1) == "b"


def test_who_adopts_hears_of_a_binding_that_becomes_durable_with_the_adoption() -> None:
    bench = Bench()
    a, c = bench.join("a"), bench.join("c", role="standby")
    bench.auto = False
    bench.clear()
    bench.ask(a, 1, 1)
    bench.lose(a)
    bench.answer_probes(refused=True)
    bench.commit()
    told = [action.message for action in bench.of(Send) if action.conn == c and isinstance(action.message, (m.Bindings, m.Adopt))]
    assert [type(message) for message in told] == [m.Bindings, m.Adopt]
    assert [row.home_address for row in told[0].rows] == [home(1)]


def test_an_address_is_given_back_when_nobody_takes_it_after_all() -> None:
    bench = Bench()
    a, b = bench.join("a"), bench.join("b")
    bench.register(a, 1, 1)
    bench.ask(b, 1, 2)
    bench.lose(b)
    bench.clear()
    bench.say(a, m.Revoked(home(1), 0))
    assert bench.owner(1) == "a"
    assert bench.sent(a, m.Bindings)[0].rows[0].owner == "a", "it serves the address again"


def test_an_owner_that_does_not_answer_revoke_loses_its_session_and_then_its_lease() -> None:
    bench = Bench()
    a, b = bench.join("a"), bench.join("b")
    bench.register(a, 1, 1)
    bench.ask(b, 1, 2)
    bench.live(2.2, a, b)
    assert bench.closed(a)
    assert bench.owner(1) == "a"
    bench.live(2.2, b)
    assert bench.owner(1) == "b"


def test_a_lost_owner_is_waited_for_until_its_lease_ends() -> None:
    bench = Bench()
    a, b = bench.join("a"), bench.join("b")
    bench.register(a, 1, 1)
    bench.lose(a)
    bench.answer_probes(refused=False)
    bench.clear()
    bench.ask(b, 1, 2)
    bench.live(1.8, b)
    assert bench.owner(1) == "a"
    bench.live(0.4, b)
    assert bench.owner(1) == "b"
    assert bench.sent(b, m.Registered)[0].status == 0


def test_an_owner_that_reconnects_is_asked_again() -> None:
    bench = Bench()
    a, b = bench.join("a"), bench.join("b")
    bench.register(a, 1, 1)
    bench.ask(b, 1, 2)
    bench.lose(a)
    bench.clear()
    a = bench.join("a")
    assert [revoke.home_address for revoke in bench.sent(a, m.Revoke)] == [home(1)]
    bench.say(a, m.Revoked(home(1), 0))
    assert bench.owner(1) == "b"


def test_requests_waiting_for_one_address_are_limited() -> None:
    bench = Bench()
    a, b = bench.join("a"), bench.join("b")
    bench.register(a, 1, 1)
    bench.clear()
    for sequence in range(2, 20):
        bench.ask(b, 1, sequence)
    assert {answer.status for answer in bench.sent(b, m.Registered)} == {130}
    assert len(bench.sent(b, m.Registered)) == 10
