"""Who takes over, on which proof, and that nobody does without one."""

from __future__ import annotations

import pytest
from closedloop_nf.ha_b import commands as c
from closedloop_nf.ha_b.actions import Probe
from closedloop_nf.ha_b.core import Backend, StateConflict
from closedloop_nf.ha_b.inputs import ProbeResult
from closedloop_nf.ha_b.records import HomeAgentRecord, State
from closedloop_nf.link import messages as m

from tests.unit.nf.ha_b.harness import SHARED, WALL, Bench, care_of, home, settings


def record(name: str, *, serving: bool = True, role: str = "active") -> HomeAgentRecord:
    return HomeAgentRecord(
        name=name,
        epoch=1,
        instance=name + "-1",
        host_id="host-" + name,
        region="region",
        address=care_of(sum(name.encode())),
        home_link_address=home(1),
        health_host="2001:db8:9::1",
        health_port=8000,
        role=role,
        serving=serving,
    )


def pair() -> tuple[Bench, int, int]:
    """An active HA-PP with two bindings, and a standby."""
    bench = Bench()
    a, s = bench.join("a"), bench.join("s", role="standby")
    bench.register(a, 1, 1)
    bench.register(a, 2, 1)
    bench.clear()
    return bench, a, s


# --- proofs -----------------------------------------------------------------------------------------------------------


def test_loss_alone_is_no_proof() -> None:
    bench, a, s = pair()
    bench.lose(a)
    bench.answer_probes(refused=False)
    bench.live(1.9, s)
    assert not bench.sent(s, m.Adopt)
    assert bench.owner(1) == "a"


def test_two_refusals_of_the_health_port_prove_that_the_process_is_gone() -> None:
    bench, a, s = pair()
    bench.lose(a)
    (probe,) = bench.of(Probe)
    assert (probe.name, probe.host, probe.port) == ("a", "2001:db8:9::1", 8000)
    bench.feed(ProbeResult("a", "a-1", True))
    assert not bench.sent(s, m.Adopt)
    bench.advance(0.0049)
    assert len(bench.of(Probe)) == 1
    bench.advance(0.0002)
    assert len(bench.of(Probe)) == 2
    bench.feed(ProbeResult("a", "a-1", True))
    assert bench.events("stopped")[0].details["proof"] == "process_gone"
    (adopt,) = bench.sent(s, m.Adopt)
    assert adopt.previous_owner == "a"
    assert adopt.switch
    assert bench.owner(1) == bench.owner(2) == "s"


def test_a_refusal_followed_by_an_answer_is_no_proof() -> None:
    bench, a, s = pair()
    bench.lose(a)
    for refused in (True, False, True):
        bench.feed(ProbeResult("a", "a-1", refused))
        bench.advance(0.02)
    assert not bench.sent(s, m.Adopt)


def test_a_refusal_meant_for_an_earlier_process_proves_nothing() -> None:
    bench, a, s = pair()
    bench.lose(a)
    a = bench.join("a", instance="a-2")
    for _ in range(3):
        bench.feed(ProbeResult("a", "a-1", True))
    bench.lose(a)
    for _ in range(3):
        bench.feed(ProbeResult("a", "a-1", True))
    assert not bench.sent(s, m.Adopt)


def test_the_end_of_the_lease_is_a_proof() -> None:
    bench, a, s = pair()
    bench.live(1, a, s)
    bench.lose(a)
    bench.answer_probes(refused=False)
    bench.live(1.9, s)
    assert not bench.sent(s, m.Adopt)
    bench.live(0.3, s)
    assert bench.events("stopped")[0].details["proof"] == "lease_ended"
    assert bench.owner(1) == "s"


def test_bye_is_a_proof() -> None:
    bench, a, s = pair()
    bench.say(a, m.Bye("stopping"))
    assert bench.closed(a)
    assert bench.sent(s, m.Adopt)
    assert not bench.events("lost")


def test_a_clean_end_without_bindings_needs_no_successor() -> None:
    bench = Bench()
    a, s = bench.join("a"), bench.join("s", role="standby")
    bench.say(a, m.Bye("scaled in"))
    assert not bench.sent(s, m.Adopt)
    assert not bench.core.world.agents["a"].record.serving


def test_a_crash_without_bindings_needs_one() -> None:
    bench = Bench()
    a, s = bench.join("a"), bench.join("s", role="standby")
    bench.lose(a)
    bench.answer_probes(refused=True)
    assert bench.sent(s, m.Adopt)
    assert not bench.sent(s, m.Adopt)[0].switch


# --- adoption ---------------------------------------------------------------------------------------------------------


def test_adopt_is_sent_when_it_is_durable_and_others_hear_of_the_rows() -> None:
    bench, a, s = pair()
    third = bench.join("t")
    bench.clear()
    bench.lose(a)
    bench.auto = False
    bench.answer_probes(refused=True)
    assert not bench.sent(s, m.Adopt)
    bench.commit()
    (adopt,) = bench.sent(s, m.Adopt)
    rows = [row for push in bench.sent(third, m.Bindings) for row in push.rows]
    assert {(row.owner, row.epoch, row.revision) for row in rows} == {("s", adopt.epoch, adopt.revision)}
    assert not bench.sent(s, m.Bindings), "Adopt says it all"


def test_the_standby_chosen_is_ready_and_the_first_by_name() -> None:
    bench = Bench()
    a = bench.join("a")
    y, x = bench.join("y", role="standby"), bench.join("x", role="standby")
    w = bench.join("w", role="standby")
    bench.beat(w, open=False)
    bench.register(a, 1, 1)
    bench.lose(a)
    bench.answer_probes(refused=True)
    assert bench.sent(x, m.Adopt)
    assert not bench.sent(y, m.Adopt)
    assert not bench.sent(w, m.Adopt)


def test_without_a_standby_the_bindings_wait_for_one() -> None:
    bench = Bench()
    a = bench.join("a")
    bench.register(a, 1, 1)
    bench.lose(a)
    bench.answer_probes(refused=True)
    assert bench.owner(1) == "a"
    late = bench.join("z", role="standby")
    assert bench.sent(late, m.Adopt)[0].previous_owner == "a"
    assert bench.owner(1) == "z"


def test_an_owner_that_returns_first_owns_its_bindings_again() -> None:
    bench = Bench()
    a = bench.join("a")
    bench.register(a, 1, 1)
    bench.lose(a)
    bench.answer_probes(refused=True)
    a = bench.join("a", instance="a-2", host_id="another host")
    assert bench.owner(1) == "a"
    s = bench.join("s", role="standby")
    assert not bench.sent(s, m.Adopt)
    assert bench.register(a, 1, 2).status == 0


def test_an_owner_that_returns_too_late_owns_nothing() -> None:
    bench, a, _ = pair()
    bench.lose(a)
    bench.answer_probes(refused=True)
    a = bench.join("a", instance="a-2")
    rows = [row for push in bench.sent(a, m.Bindings) for row in push.rows]
    assert {row.owner for row in rows} == {"s"}
    assert bench.owner(1) == "s"


def test_a_successor_that_dies_is_succeeded() -> None:
    bench, a, s = pair()
    t = bench.join("t", role="standby")
    bench.lose(a)
    bench.answer_probes(refused=True)
    bench.lose(s)
    bench.answer_probes(refused=True)
    assert bench.sent(t, m.Adopt)[0].previous_owner == "s"
    assert bench.owner(1) == "t"


def test_a_promoted_standby_is_active_when_it_reconnects() -> None:
    bench, a, s = pair()
    bench.lose(a)
    bench.answer_probes(refused=True)
    s = bench.join("s", role="standby")
    assert bench.sent(s, m.Welcome)[0].role == "active"


def test_another_active_ha_pp_takes_the_addresses_of_a_stopped_one_as_they_register() -> None:
    bench = Bench()
    a, b = bench.join("a"), bench.join("b")
    bench.register(a, 1, 1)
    bench.lose(a)
    bench.answer_probes(refused=True)
    assert bench.owner(1) == "a"
    assert bench.register(b, 1, 2).status == 0
    assert bench.owner(1) == "b"


# --- after a restart of HA-B --------------------------------------------------------------------------------------------


def restarted(lease_ms: int = 2000) -> Bench:
    rows = [m.Binding(home(1), care_of(1), 1, 4000, WALL + 4000, 0, "a", 1, 0, 5)]
    return Bench(State(revision=5, epoch=3, lease_ms=lease_ms, home_agents=[record("a")], bindings=rows))


def test_after_a_restart_every_owner_may_hold_a_lease() -> None:
    bench = restarted()
    s = bench.join("s", role="standby")
    bench.answer_probes(refused=False)
    bench.live(1.9, s)
    assert not bench.sent(s, m.Adopt)
    bench.live(0.3, s)
    assert bench.sent(s, m.Adopt)


def test_a_longer_lease_of_the_run_before_is_waited_for() -> None:
    bench = restarted(lease_ms=5000)
    s = bench.join("s", role="standby")
    bench.answer_probes(refused=False)
    bench.live(4.9, s)
    assert not bench.sent(s, m.Adopt)
    bench.live(0.3, s)
    assert bench.sent(s, m.Adopt)


def test_after_a_restart_probes_find_who_is_gone() -> None:
    bench = restarted()
    s = bench.join("s", role="standby")
    bench.answer_probes(refused=True)
    assert bench.owner(1) == "s"
    assert bench.sent(s, m.Adopt)[0].epoch > 3


def test_after_a_restart_an_owner_goes_on_with_its_bindings() -> None:
    bench = restarted()
    a = bench.join("a")
    assert bench.owner(1) == "a"
    assert bench.register(a, 1, 2).status == 0


def test_several_serving_home_agents_do_not_fit_a_shared_address() -> None:
    state = State(home_agents=[record("a"), record("b")])
    with pytest.raises(StateConflict, match="drain"):
        Backend(settings(address_mode="shared", shared_address=SHARED), state, Bench().now)


# --- the shared address -------------------------------------------------------------------------------------------------


def shared() -> tuple[Bench, int, int]:
    bench = Bench(address_mode="shared", shared_address=SHARED)
    a, s = bench.join("a"), bench.join("s", role="standby")
    bench.register(a, 1, 1)
    bench.clear()
    return bench, a, s


def test_a_standby_does_not_take_an_address_that_nobody_ever_held() -> None:
    bench = Bench(address_mode="shared", shared_address=SHARED)
    s = bench.join("s", role="standby")
    assert not bench.sent(s, m.Adopt)
    assert bench.command(c.Promote("s")).result["state"] == "adopting"
    assert bench.sent(s, m.Adopt)[0].shared_address == SHARED


def test_the_shared_address_moves_with_the_bindings_and_without_switching_mobile_nodes() -> None:
    bench, a, s = shared()
    bench.lose(a)
    bench.answer_probes(refused=True)
    (adopt,) = bench.sent(s, m.Adopt)
    assert adopt.shared_address == SHARED
    assert not adopt.switch
    a = bench.join("a", instance="a-2")
    assert bench.sent(a, m.Welcome)[0].role == "standby"
    assert bench.register(a, 1, 2).status == 133
    assert bench.register(s, 1, 2).status == 0


def test_a_clean_end_of_the_holder_hands_the_address_over_even_without_bindings() -> None:
    bench = Bench(address_mode="shared", shared_address=SHARED)
    a, s = bench.join("a"), bench.join("s", role="standby")
    bench.say(a, m.Bye())
    assert bench.sent(s, m.Adopt)


def test_a_planned_hand_over_waits_for_relinquished() -> None:
    bench, a, s = shared()
    reply = bench.command(c.Promote("s"))
    assert (reply.problem, reply.result["previous_owner"]) == ("", "a")
    assert bench.sent(a, m.Relinquish)
    assert bench.register(a, 1, 2).status == 0, "it serves until it says that it does not"
    assert not bench.sent(s, m.Adopt)
    bench.say(a, m.Relinquished(0))
    assert bench.sent(s, m.Adopt)
    assert bench.owner(1) == "s"
    assert bench.register(a, 1, 3).status == 133
    bench.lose(s)
    bench.answer_probes(refused=True)
    assert bench.sent(a, m.Adopt), "who relinquished is a standby now"
    assert bench.register(a, 1, 3).status == 0


def test_a_holder_that_does_not_relinquish_loses_its_session_and_lease() -> None:
    bench, a, s = shared()
    bench.command(c.Promote("s"))
    bench.live(5.2, a, s)
    assert bench.closed(a)
    assert not bench.sent(s, m.Adopt)
    bench.live(2.2, s)
    assert bench.owner(1) == "s"


def test_a_holder_that_dies_while_it_relinquishes_is_adopted_by_the_planned_one() -> None:
    bench, a, _ = shared()
    bench.join("b", role="standby")
    bench.command(c.Promote("s"))
    bench.lose(a)
    bench.answer_probes(refused=True)
    assert bench.owner(1) == "s"


def test_a_holder_whose_successor_vanished_serves_again() -> None:
    bench, a, s = shared()
    bench.command(c.Promote("s"))
    bench.lose(s)
    bench.say(a, m.Relinquished(0))
    (adopt,) = bench.sent(a, m.Adopt)
    assert adopt.previous_owner == "a"
    assert bench.register(a, 1, 2).status == 0
