"""What an operator asks for is checked first, done then, answered when durable."""

from __future__ import annotations

import pytest
from closedloop_nf.ha_b import commands as c
from closedloop_nf.ha_b.actions import Reply
from closedloop_nf.ha_b.inputs import Request
from closedloop_nf.ha_b.settings import DRAIN_REPEAT_S
from closedloop_nf.link import messages as m

from tests.unit.nf.ha_b.harness import SHARED, Bench, care_of, home


def test_fencing_a_lost_home_agent_frees_its_bindings_at_once() -> None:
    bench = Bench()
    a, s = bench.join("a"), bench.join("s", role="standby")
    bench.register(a, 1, 1)
    bench.lose(a)
    bench.answer_probes(refused=False)
    assert bench.command(c.Fence("a")).result == {"name": "a", "proof": "fenced", "lease_ms": 0}
    assert bench.sent(s, m.Adopt)
    assert bench.owner(1) == "s"


def test_fencing_a_connected_home_agent_cuts_it_off_and_waits_for_its_lease() -> None:
    bench = Bench()
    a, s = bench.join("a"), bench.join("s", role="standby")
    bench.register(a, 1, 1)
    result = bench.command(c.Fence("a")).result
    assert bench.closed(a)
    assert result["proof"] is None
    assert result["lease_ms"] == 2050
    assert not bench.sent(s, m.Adopt)
    back = bench.open()
    bench.hello(back, "a")
    assert bench.sent(back, m.Refused)[0].code == "superseded"
    bench.answer_probes(refused=False)
    bench.live(2.1, s)
    assert bench.sent(s, m.Adopt)
    again = bench.join("a", instance="a-2")
    assert bench.sent(again, m.Welcome)


def test_the_operators_word_that_it_is_stopped_is_a_proof() -> None:
    bench = Bench()
    a, s = bench.join("a"), bench.join("s", role="standby")
    bench.register(a, 1, 1)
    assert bench.command(c.Fence("a", stopped=True)).result["proof"] == "fenced"
    assert bench.sent(s, m.Adopt)


def test_promote_names_its_reason_when_it_cannot() -> None:
    bench = Bench()
    bench.join("a")
    b = bench.join("b")
    s = bench.join("s", role="standby")
    assert bench.command(c.Promote("x", "a")).problem == "not_found"
    assert bench.command(c.Promote("s")).field == "previous_owner"
    assert bench.command(c.Promote("s", "s")).problem == "conflict"
    assert bench.command(c.Promote("b")).result["state"] == "serving"
    bench.beat(s, open=False)
    assert bench.command(c.Promote("s", "a")).problem == "conflict"
    assert not bench.sent(b, m.Relinquish)


def test_one_that_is_active_itself_takes_over_from_the_one_that_is_named() -> None:
    bench = Bench()
    a, b = bench.join("a"), bench.join("b")
    bench.register(a, 1, 1)
    assert bench.command(c.Promote("b", "a")).result["state"] == "adopting"
    assert bench.sent(a, m.Relinquish)
    bench.say(a, m.Relinquished(0))
    assert bench.sent(b, m.Adopt)
    assert bench.owner(1) == "b"


def test_the_holder_of_the_shared_address_is_not_forgotten_before_another_has_taken_over() -> None:
    """Else nobody would know that there is something to take over."""
    bench = Bench(address_mode="shared", shared_address=SHARED)
    a, s = bench.join("a"), bench.join("s", role="standby")
    bench.lose(s)
    bench.lose(a)
    bench.answer_probes(refused=False)
    bench.advance(3)
    assert "takes over" in bench.command(c.Forget("a")).message
    bench.join("s", role="standby")
    assert bench.command(c.Forget("a")).result == {"removed": True}


def test_of_one_that_it_has_never_seen_it_tells_that_it_is_gone() -> None:
    bench = Bench()
    assert bench.command(c.Forget("a")).problem == "not_found"
    assert [notify.name for notify in bench.events("forgotten")] == ["a"]
    assert bench.command(c.Forget("no name\n")).problem == "not_found"
    assert len(bench.events("forgotten")) == 1


def test_that_one_is_gone_already_is_told_when_that_is_durable() -> None:
    """Who hears it does not ask again; and an HA-B that is killed before would find the home agent in its table."""
    bench = Bench()
    a = bench.join("a")
    bench.lose(a)
    bench.answer_probes(refused=True)
    bench.auto = False
    bench.feed(Request(71, c.Forget("a")))
    bench.feed(Request(72, c.Forget("a")))
    assert bench.of(Reply) == []
    bench.commit()
    assert [(reply.request, reply.problem) for reply in bench.of(Reply)] == [(71, ""), (72, "not_found")]


def test_promote_again_finds_it_done() -> None:
    bench = Bench()
    a = bench.join("a")
    bench.join("s", role="standby")
    bench.register(a, 1, 1)
    bench.lose(a)
    bench.answer_probes(refused=True)
    assert bench.command(c.Promote("s", "a")).result["state"] == "serving"
    assert bench.command(c.Promote("s")).result["state"] == "serving"


def test_drain_asks_again_until_nothing_is_left_and_gives_no_new_ones() -> None:
    bench = Bench()
    a, b = bench.join("a"), bench.join("b")
    for number in range(3):
        bench.register(a, number, 1)
    bench.clear()
    assert bench.command(c.Drain("a")).result == {"name": "a", "draining": True, "bindings": 3}
    (switch,) = bench.sent(a, m.SwitchHomeAgent)
    assert switch.home_addresses == [home(0), home(1), home(2)]
    assert switch.home_agents == [care_of(98)]
    assert [agent.address for agent in bench.sent(b, m.HomeAgents)[-1].rows] == [care_of(98)]
    assert bench.register(a, 9, 1).status == 130
    assert bench.register(a, 0, 2).status == 0, "who is there may stay until it moves"
    bench.ask(b, 0, 3)
    bench.say(a, m.Revoked(home(0), 0))
    bench.live(DRAIN_REPEAT_S + 0.1, a, b)
    assert bench.sent(a, m.SwitchHomeAgent)[-1].home_addresses == [home(1), home(2)]
    for number in (1, 2):
        bench.ask(b, number, 2)
        bench.say(a, m.Revoked(home(number), 0))
    bench.live(DRAIN_REPEAT_S + 0.1, a, b)
    assert bench.events("drained")


def test_what_is_activated_is_not_drained_any_more() -> None:
    bench = Bench()
    a, b = bench.join("a"), bench.join("b")
    bench.register(a, 0, 1)
    bench.command(c.Drain("a"))
    bench.clear()
    assert bench.command(c.Activate("a")).result["state"] == "serving"
    assert bench.events("resumed")
    assert sorted(agent.address for agent in bench.sent(b, m.HomeAgents)[-1].rows) == [care_of(97), care_of(98)]
    assert bench.register(a, 9, 1).status == 0, "it takes new ones"
    bench.clear()
    bench.live(DRAIN_REPEAT_S + 0.1, a, b)
    assert not bench.sent(a, m.SwitchHomeAgent), "nobody is asked to leave"
    bench.command(c.Activate("a"))
    assert not bench.events("resumed"), "it had been taken back already"


def test_drain_needs_somebody_to_move_to() -> None:
    bench = Bench()
    bench.join("a")
    bench.join("s", role="standby")
    assert bench.command(c.Drain("a")).problem == "conflict"
    shared = Bench(address_mode="shared", shared_address=SHARED)
    shared.join("a")
    assert "promote" in shared.command(c.Drain("a")).message


def test_switch_moves_a_number_or_the_named_ones() -> None:
    bench = Bench()
    a = bench.join("a")
    bench.join("b")
    for number in range(3):
        bench.register(a, number, 1)
    assert bench.command(c.Switch("a", "b", count=2)).result["bindings"] == 2
    assert bench.sent(a, m.SwitchHomeAgent)[-1].home_addresses == [home(0), home(1)]
    bench.command(c.Switch("a", "b", home_addresses=[home(2)]))
    assert bench.sent(a, m.SwitchHomeAgent)[-1].home_addresses == [home(2)]
    for command, field in [
        (c.Switch("a", "b"), "count"),
        (c.Switch("a", "b", 1, [home(1)]), "count"),
        (c.Switch("a", "a", 1), "to"),
        (c.Switch("a", "x", 1), "to"),
        (c.Switch("a", "b", home_addresses=[home(7)]), "home_addresses"),
    ]:
        assert bench.command(command).field == field


def test_only_a_stopped_home_agent_without_bindings_is_forgotten() -> None:
    bench = Bench()
    a = bench.join("a")
    bench.register(a, 1, 1)
    assert "connected" in bench.command(c.Forget("a")).message
    bench.lose(a)
    bench.answer_probes(refused=False)
    assert "bindings" in bench.command(c.Forget("a")).message
    bench.command(c.DeleteBinding(home(1)))
    assert "may still serve" in bench.command(c.Forget("a")).message
    bench.advance(3)
    assert bench.command(c.Forget("a")).result == {"removed": True}
    assert not bench.core.world.agents


def test_a_deleted_binding_is_gone_everywhere() -> None:
    bench = Bench()
    a, b = bench.join("a"), bench.join("b")
    bench.register(a, 1, 1)
    bench.clear()
    assert bench.command(c.DeleteBinding(home(1))).result == {"removed": True}
    for conn in (a, b):
        assert bench.sent(conn, m.Bindings)[0].rows[0].lifetime_s == 0
    assert bench.command(c.DeleteBinding(home(1))).problem == "not_found"


def test_the_keys_of_a_mobile_node_are_a_set_that_is_replaced() -> None:
    bench = Bench()
    a = bench.join("a")
    bench.clear()
    assert bench.command(c.PutMobileNode(home(1), {256: b"k" * 16, 257: b"l" * 16})).result == {"created": True, "changed": True}
    assert bench.command(c.PutMobileNode(home(1), {256: b"k" * 16, 257: b"l" * 16})).result == {"created": False, "changed": False}
    assert bench.command(c.PutMobileNode(home(1), {257: b"m" * 16})).result == {"created": False, "changed": True}
    told = [(row.spi, row.removed) for push in bench.sent(a, m.SecurityAssociations) for row in push.rows]
    assert told == [(256, False), (257, False), (257, False), (256, True)]
    assert bench.core.world.keys == {home(1): {257: b"m" * 16}}
    assert bench.command(c.PutMobileNode(care_of(1), {256: b"k" * 16})).field == "home_address"


def test_a_removed_mobile_node_loses_its_binding_too() -> None:
    bench = Bench()
    a = bench.join("a")
    bench.command(c.PutMobileNode(home(1), {256: b"k" * 16}))
    bench.register(a, 1, 1)
    assert bench.command(c.DeleteMobileNode(home(1))).result == {"removed": True}
    assert bench.owner(1) is None
    assert not bench.core.world.keys
    assert bench.command(c.DeleteMobileNode(home(1))).problem == "not_found"


def test_the_answer_comes_when_the_effect_is_durable() -> None:
    bench = Bench(auto=False)
    bench.feed(Request(1, c.PutMobileNode(home(1), {256: b"k" * 16})))
    assert not bench.of(Reply)
    assert not bench.core.world.keys
    bench.commit()
    assert bench.of(Reply)


@pytest.mark.parametrize(
    "value", [c.PutMobileNode(home(1), {256: b"secretsecretsecr"}), m.SecurityAssociation(home(1), 256, b"secretsecretsecr")]
)
def test_a_key_is_in_no_text(value: object) -> None:
    assert "secret" not in repr(value)


def test_a_standby_that_is_activated_serves_beside_the_others_and_takes_nothing_over() -> None:
    bench = Bench()
    a, s = bench.join("a"), bench.join("s", role="standby")
    bench.register(a, 1, 1)
    assert bench.command(c.Activate("s")).result == {"name": "s", "previous_owner": "", "state": "adopting"}
    (adopt,) = bench.sent(s, m.Adopt)
    assert (adopt.previous_owner, adopt.switch, adopt.shared_address) == ("", False, b"")
    assert bench.owner(1) == "a"
    assert bench.command(c.Activate("s")).result["state"] == "serving"
    assert bench.command(c.Activate("x")).problem == "not_found"


def test_the_shared_address_has_one_holder_so_nobody_is_activated_beside_it() -> None:
    bench = Bench(address_mode="shared", shared_address=SHARED)
    bench.join("a")
    bench.join("s", role="standby")
    assert bench.command(c.Activate("s")).problem == "conflict"
