"""Sessions: who may begin one, what a snapshot holds, when one is lost."""

from __future__ import annotations

from typing import Any

import pytest
from closedloop_nf.ha_b.inputs import LinkWritable
from closedloop_nf.ha_b.records import State
from closedloop_nf.ha_b.settings import HELLO_TIMEOUT_S, RATES_VALID_S
from closedloop_nf.link import messages as m

from tests.unit.nf.ha_b.harness import SHARED, WALL, Bench, care_of, home


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"token": "wrong"}, "authentication"),
        ({"token": ""}, "authentication"),
        ({"token": "é"}, "authentication"),
        ({"version": 2}, "version"),
        ({"name": "Bad Name"}, "malformed"),
        ({"name": "a\n"}, "malformed"),
        ({"role": "king"}, "malformed"),
        ({"health_port": 0}, "malformed"),
        ({"instance": ""}, "malformed"),
    ],
)
def test_a_hello_that_is_not_good_is_refused_and_changes_nothing(changes: dict[str, Any], code: str) -> None:
    bench = Bench()
    conn = bench.open()
    bench.hello(conn, changes.pop("name", "a"), **changes)
    assert bench.sent(conn, m.Refused)[0].code == code
    assert bench.closed(conn)
    assert not bench.core.world.agents
    assert not bench.core.world.sessions


def test_a_certificate_speaks_for_its_own_name_only() -> None:
    bench = Bench(token=b"")
    conn = bench.open("a")
    bench.hello(conn, "b", token="")
    assert bench.sent(conn, m.Refused)[0].code == "authentication"
    conn = bench.open("a")
    bench.hello(conn, "a", token="")
    assert bench.sent(conn, m.Welcome)


def test_without_token_and_certificate_nobody_gets_in() -> None:
    bench = Bench(token=b"")
    conn = bench.open()
    bench.hello(conn, "a", token="")
    assert bench.sent(conn, m.Refused)[0].code == "authentication"


def test_the_epoch_is_durable_before_welcome_and_grows() -> None:
    bench = Bench(auto=False)
    conn = bench.open()
    bench.hello(conn, "a")
    assert not bench.sent(conn, m.Welcome)
    assert bench.persists[-1].epoch == 1
    bench.commit()
    assert bench.sent(conn, m.Welcome)[0].epoch == 1
    other = bench.open()
    bench.hello(other, "b")
    bench.commit()
    assert bench.sent(other, m.Welcome)[0].epoch == 2
    later = Bench(State(epoch=7))
    assert later.sent(later.join("a"), m.Welcome)[0].epoch == 8


def test_a_snapshot_holds_every_committed_row_in_pieces_with_time_between() -> None:
    rows = [m.Binding(home(n), care_of(n), 1, 4000, WALL + 4000, 0, "a", 1, 0, n) for n in range(2500)]
    keys = [m.SecurityAssociation(home(n), 256, bytes(16)) for n in range(1500)]
    bench = Bench(State(revision=2500, bindings=rows, associations=keys))
    conn = bench.open()
    bench.hello(conn, "b")
    assert bench.sent(conn, m.Welcome)
    assert not bench.sent(conn, m.Bindings), "the first piece is a step of its own"
    bench.core.tick(bench.now)
    bench.beat(conn)
    assert bench.sent(conn, m.BeatAck), "a heartbeat is answered between the pieces"
    bench.clear()
    conn = bench.join("c")
    pushed = bench.sent(conn, m.Bindings)
    assert [len(push.rows) for push in pushed] == [1000, 1000, 500]
    assert {row.home_address for push in pushed for row in push.rows} == {row.home_address for row in rows}
    assert [len(push.rows) for push in bench.sent(conn, m.SecurityAssociations)] == [1000, 500]
    assert bench.sent(conn, m.SnapshotDone)[0].revision == 2500


def test_a_change_during_the_snapshot_is_pushed_and_nothing_undurable_is_told() -> None:
    rows = [m.Binding(home(n), care_of(n), 1, 4000, WALL + 4000, 0, "a", 1, 0, n) for n in range(1500)]
    bench = Bench(State(revision=1500, bindings=rows))
    a = bench.join("a")
    b = bench.open()
    bench.hello(b, "b")
    bench.auto = False
    bench.ask(a, 1499, 2, care_of_address=care_of(9))
    bench.ask(a, 5000, 1)
    bench.clear()
    bench.run_due()
    told = {row.home_address: row for push in bench.sent(b, m.Bindings) for row in push.rows}
    assert told[home(1499)].care_of_address == care_of(1499)
    assert home(5000) not in told
    bench.commit()
    told = {row.home_address: row for push in bench.sent(b, m.Bindings) for row in push.rows}
    assert told[home(1499)].care_of_address == care_of(9)
    assert home(5000) in told


def test_a_snapshot_waits_for_a_peer_that_does_not_read() -> None:
    rows = [m.Binding(home(n), care_of(n), 1, 4000, WALL + 4000, 0, "x", 1, 0, n) for n in range(2500)]
    bench = Bench(State(bindings=rows))
    conn = bench.open()
    bench.hello(conn, "a")
    bench.feed(LinkWritable(conn, False))
    bench.run_due()
    assert not bench.sent(conn, m.Bindings)
    bench.feed(LinkWritable(conn, True))
    bench.run_due()
    assert bench.sent(conn, m.SnapshotDone)


def test_synced_and_an_open_socket_make_ready() -> None:
    bench = Bench()
    conn = bench.open()
    bench.hello(conn, "a")
    bench.run_due()
    bench.beat(conn)
    assert not bench.events("ready")
    bench.say(conn, m.Synced(0))
    assert bench.events("ready")
    bench.beat(conn, open=False)
    assert bench.events("not_ready")


@pytest.mark.parametrize("message", [m.Synced(0), m.Beat(1, True), m.Bye(), m.Register(1, home(1), care_of(1), 1, 4, 0, 0)])
def test_a_message_before_hello_ends_the_connection(message: m.ToBackend) -> None:
    bench = Bench()
    conn = bench.open()
    bench.say(conn, message)
    assert bench.closed(conn)


def test_a_second_hello_or_an_early_synced_ends_the_session() -> None:
    bench = Bench()
    conn = bench.join("a")
    bench.hello(conn, "a")
    assert bench.closed(conn)
    conn = bench.open()
    bench.hello(conn, "b")
    bench.say(conn, m.Synced(0))
    assert bench.closed(conn)


def test_a_connection_without_hello_is_closed() -> None:
    bench = Bench()
    conn = bench.open()
    bench.advance(HELLO_TIMEOUT_S - 0.01)
    assert not bench.closed(conn)
    bench.advance(0.02)
    assert bench.closed(conn)


# --- heartbeat --------------------------------------------------------------------------------------------------------


def test_three_missed_beats_end_a_session() -> None:
    bench = Bench()
    conn = bench.join("a")
    bench.live(1, conn)
    bench.advance(0.299)
    assert not bench.events("lost")
    bench.advance(0.002)
    assert bench.events("lost")[0].details["reason"] == "missed_beats"
    assert bench.closed(conn)


def test_the_end_of_the_connection_ends_a_session_at_once() -> None:
    bench = Bench()
    conn = bench.join("a")
    bench.lose(conn)
    assert bench.events("lost")[0].details["reason"] == "reset"


def test_a_backend_that_was_held_up_itself_gives_one_more_beat() -> None:
    bench = Bench()
    conn = bench.join("a")
    bench.live(0.2, conn)
    bench.time += 5
    bench.run_due()
    assert not bench.events("lost"), "the heartbeats may be waiting in the socket"
    bench.beat(conn)
    bench.advance(0.25)
    assert not bench.events("lost")
    bench.advance(0.1)
    assert bench.events("lost")


# --- names and instances ----------------------------------------------------------------------------------------------


def test_a_newer_session_of_the_same_process_supersedes_the_older() -> None:
    bench = Bench()
    old = bench.join("a")
    new = bench.join("a")
    assert bench.sent(old, m.Refused)[0].code == "superseded"
    assert bench.closed(old)
    assert bench.events("superseded")
    bench.clear()
    bench.ask(old, 1, 1)
    assert not bench.sent(old, object), "a superseded session is not heard"
    assert bench.register(new, 1, 1).status == 0


def test_a_new_process_on_the_same_host_replaces_the_old_one_for_good() -> None:
    bench = Bench()
    old = bench.join("a")
    bench.register(old, 1, 1)
    new = bench.join("a", instance="a-2")
    assert bench.events("stopped")[0].details["proof"] == "replaced"
    assert bench.owner(1) == "a"
    row = bench.core.world.bindings.committed[home(1)]
    assert row.epoch == bench.sent(new, m.Welcome)[0].epoch, "owned again under the new epoch"
    back = bench.open()
    bench.hello(back, "a")
    assert bench.sent(back, m.Refused)[0].code == "superseded"


def test_another_host_cannot_take_a_name_until_its_holder_is_proven_stopped() -> None:
    bench = Bench()
    first = bench.join("a")
    second = bench.open()
    bench.hello(second, "a", instance="a-2", host_id="elsewhere")
    assert bench.sent(second, m.Refused)[0].code == "name_in_use"
    assert not bench.closed(first)
    bench.lose(first)
    bench.answer_probes(refused=False)
    second = bench.open()
    bench.hello(second, "a", instance="a-2", host_id="elsewhere")
    assert bench.sent(second, m.Refused)[0].code == "name_in_use"
    bench.advance(2.1)
    second = bench.open()
    bench.hello(second, "a", instance="a-2", host_id="elsewhere")
    assert bench.sent(second, m.Welcome)


# --- what every HA-PP is told ------------------------------------------------------------------------------------------


def test_welcome_tells_the_role_in_force_and_the_address_mode() -> None:
    bench = Bench(address_mode="shared", shared_address=SHARED)
    a, b = bench.join("a"), bench.join("b")
    assert [w.role for w in bench.sent(a, m.Welcome)] == ["standby"], "nobody holds the address before it is ready"
    assert bench.sent(a, m.Adopt)[0].shared_address == SHARED
    assert not bench.sent(b, m.Adopt)
    again = bench.join("a")
    welcome = bench.sent(again, m.Welcome)[0]
    assert (welcome.role, welcome.holds_shared_address, welcome.shared_address) == ("active", True, SHARED)
    assert not bench.sent(again, m.Adopt)


def test_the_home_agents_list_follows_who_is_ready() -> None:
    bench = Bench()
    a, b = bench.join("a"), bench.join("b")
    assert [agent.address for agent in bench.sent(a, m.HomeAgents)[-1].rows] == sorted([care_of(97), care_of(98)])
    bench.clear()
    bench.lose(b)
    assert [agent.address for agent in bench.sent(a, m.HomeAgents)[-1].rows] == [care_of(97)]
    bench.clear()
    bench.beat(a)
    assert not bench.sent(a, m.HomeAgents), "told on change only"


def test_a_session_that_begins_without_its_socket_is_told_of_once() -> None:
    bench = Bench()
    conn = bench.open()
    bench.hello(conn, "a")
    bench.run_due()
    bench.say(conn, m.Synced(0))
    assert not bench.events("not_ready")
    bench.beat(conn, open=False)
    bench.beat(conn, open=False)
    assert len(bench.events("not_ready")) == 1


def test_rates_of_mobile_nodes_count_when_the_report_is_complete_and_as_long_as_it_is_recent() -> None:
    bench = Bench()
    a = bench.join("a")
    bench.register(a, 1, 1)
    session = bench.core.world.session_of("a")
    assert session is not None
    bench.say(a, m.Traffic([m.NodeRate(home(1), 8, 9), m.NodeRate(home(2), 1, 1)], first=True, last=False))
    assert session.measured(bench.now.mono) == {}
    bench.say(a, m.Traffic([], first=False, last=True))
    assert session.measured(bench.now.mono) == {home(1): m.NodeRate(home(1), 8, 9)}, "nothing is kept of a node without a binding"
    assert session.measured(bench.now.mono + RATES_VALID_S + 0.1) == {}
    bench.say(a, m.Traffic([], first=True, last=True))
    assert session.measured(bench.now.mono) == {}
