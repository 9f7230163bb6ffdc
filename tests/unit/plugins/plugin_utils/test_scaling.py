"""Plans of scaling out and in, before, in the middle of and after."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.closedloop.mobility.plugins.plugin_utils import scaling, vf_modules

REGIONS = {"region-a": {}, "region-b": {}, "region-c": {}}
A: dict[str, Any] = {"name": "ha-pp-a", "region": "region-a", "role": "active"}
B: dict[str, Any] = {"name": "ha-pp-b", "region": "region-b", "role": "standby"}
HEAVY = [("h1", "ha-pp-a", 500), ("h2", "ha-pp-a", 500)]
MOVE = [{"name": "ha-pp-a", "to": "ha-pp-b", "home_addresses": ["h2"], "bit_per_s": 500}]


def present(*modules: dict[str, Any], **marks: str) -> dict[str, Any]:
    return {module["name"]: {**module, "state": "present", "replaces": "", "relieves": "", **marks} for module in modules}


def seen(name: str, role: str = "active", state: str = "ready", *, draining: bool = False, bindings: int = 0) -> dict[str, Any]:
    return {"name": name, "role": role, "state": state, "draining": draining, "bindings": bindings}


def bound(*rows: tuple[str, str, int]) -> list[dict[str, Any]]:
    return [{"home_address": home, "owner": owner, "from_node_bit_per_s": 0, "to_node_bit_per_s": rate} for home, owner, rate in rows]


def out(placement: dict[str, Any], agents: list[dict[str, Any]], rows: Any, redundancy: str = "cold", **choice: str) -> dict[str, Any]:
    return scaling.scale_out_plan([A, B], placement, agents, bound(*rows), REGIONS, redundancy, **choice)


def test_an_overloaded_one_is_relieved_by_one_more_in_another_region() -> None:
    plan = out(present(A), [seen("ha-pp-a")], HEAVY)
    assert plan == {"overloaded": "ha-pp-a", "added": {**B, "role": "active"}, "deploy": True, "standby": {}, "moves": MOVE}


def test_where_one_more_would_get_no_node_nothing_is_to_be_done_unless_it_is_asked_for() -> None:
    one_node = [("h1", "ha-pp-a", 500)]
    assert out(present(A), [seen("ha-pp-a")], one_node) == {}
    assert out(present(A), [seen("ha-pp-a")], one_node, overloaded="ha-pp-a")["moves"] == []


def test_the_region_that_is_asked_for_gets_it_and_else_the_emptiest_other_one() -> None:
    assert out(present(A), [seen("ha-pp-a")], HEAVY, region="region-c")["added"]["name"] == "ha-pp-region-c-1"
    placement = present(A, {**B, "role": "active"})
    assert out(placement, [seen("ha-pp-a"), seen("ha-pp-b")], HEAVY, overloaded="ha-pp-a")["added"]["region"] == "region-c"


def test_what_a_killed_run_has_begun_with_is_gone_on_with() -> None:
    begun = {**present(A), **present({**B, "role": "active"}, relieves="ha-pp-a")}
    for agents in ([seen("ha-pp-a")], [seen("ha-pp-a"), seen("ha-pp-b", state="syncing")], [seen("ha-pp-a"), seen("ha-pp-b")]):
        for named in ("", "ha-pp-a"):
            plan = out(begun, agents, HEAVY, overloaded=named)
            assert (plan["added"]["name"], plan["deploy"], plan["overloaded"]) == ("ha-pp-b", True, "ha-pp-a")
    moved = [("h1", "ha-pp-a", 500), ("h2", "ha-pp-b", 500)]
    assert out(begun, [seen("ha-pp-a"), seen("ha-pp-b")], moved)["moves"] == []


def test_a_waiting_standby_serves_at_once_and_there_is_another_one_afterwards() -> None:
    plan = out(present(A, B), [seen("ha-pp-a"), seen("ha-pp-b", "standby")], HEAVY, "standby")
    assert (plan["added"]["name"], plan["deploy"]) == ("ha-pp-b", False)
    assert plan["standby"] == {"name": "ha-pp-region-c-1", "region": "region-c", "role": "standby"}
    assert plan["moves"] == MOVE


def test_one_that_was_being_drained_serves_again_before_another_is_deployed() -> None:
    placement = present(A, {**B, "role": "active"})
    plan = out(placement, [seen("ha-pp-a"), seen("ha-pp-b", draining=True)], HEAVY, overloaded="ha-pp-a")
    assert (plan["added"]["name"], plan["deploy"], plan["moves"]) == ("ha-pp-b", False, MOVE)
    moved = [("h1", "ha-pp-b", 500), ("h2", "ha-pp-b", 500)]
    plan = out(placement, [seen("ha-pp-a"), seen("ha-pp-b", draining=True)], moved, overloaded="ha-pp-b")
    assert plan["added"]["name"] != "ha-pp-b", "it is overloaded itself"


def test_a_standby_that_is_lost_is_made_anew_by_its_own_failover() -> None:
    """One VF module more is what a scale-out may lead to."""
    plan = out(present(A, B), [seen("ha-pp-a"), seen("ha-pp-b", "standby", "lost")], HEAVY, "standby", overloaded="ha-pp-a")
    assert (plan["added"]["name"], plan["deploy"], plan["standby"]) == ("ha-pp-region-c-1", True, {})


def test_a_standby_that_has_never_reached_ha_b_is_started_again() -> None:
    plan = out(present(A, B), [seen("ha-pp-a")], HEAVY, "standby", overloaded="ha-pp-a")
    assert (plan["added"]["name"], plan["standby"]["name"]) == ("ha-pp-region-c-1", "ha-pp-b")


def test_a_standby_that_a_killed_run_has_activated_is_not_deployed_again_as_another_one() -> None:
    begun = {**present(A), **present(B, relieves="ha-pp-a")}
    before = out(begun, [seen("ha-pp-a"), seen("ha-pp-b", "standby")], HEAVY, "standby")
    assert (before["added"]["name"], before["deploy"]) == ("ha-pp-b", False)
    third = {"name": "ha-pp-region-c-1", "region": "region-c", "role": "standby"}
    after = out(
        {**begun, **present(third)},
        [seen("ha-pp-a"), seen("ha-pp-b"), seen("ha-pp-region-c-1", "standby")],
        [("h1", "ha-pp-a", 500), ("h2", "ha-pp-b", 500)],
        "standby",
    )
    assert (after["added"]["name"], after["standby"], after["moves"]) == ("ha-pp-b", {}, [])


def test_what_is_not_there_is_an_error_that_names_what_is() -> None:
    with pytest.raises(AnsibleFilterError, match=r"no VF module 'x'; name one of \['ha-pp-a'\]"):
        out(present(A), [seen("ha-pp-a")], HEAVY, overloaded="x")
    with pytest.raises(AnsibleFilterError, match="no region 'moon'"):
        out(present(A), [seen("ha-pp-a")], HEAVY, region="moon")
    with pytest.raises(AnsibleFilterError, match="no VF module 'x'"):
        scaling.scale_in_plan(present(A, B), [seen("ha-pp-a"), seen("ha-pp-b")], [], "x")


def test_the_least_loaded_one_goes_and_its_nodes_go_to_the_others() -> None:
    rows = bound(("h1", "ha-pp-a", 500), ("h2", "ha-pp-b", 100))
    plan = scaling.scale_in_plan(present(A, B), [seen("ha-pp-a"), seen("ha-pp-b")], rows)
    assert plan == {
        "leaving": "ha-pp-b",
        "drain": True,
        "moves": [{"name": "ha-pp-b", "to": "ha-pp-a", "home_addresses": ["h2"], "bit_per_s": 100}],
    }


def test_the_last_one_never_goes() -> None:
    assert scaling.scale_in_plan(present(A), [seen("ha-pp-a")], []) == {}
    with pytest.raises(AnsibleFilterError, match="is the last home agent that serves"):
        scaling.scale_in_plan(present(A), [seen("ha-pp-a")], [], "ha-pp-a")
    with pytest.raises(AnsibleFilterError, match="is the last home agent that serves"):
        scaling.scale_in_plan(present(A, B), [seen("ha-pp-a"), seen("ha-pp-b", "standby")], [], "ha-pp-a")


def test_a_killed_run_drains_and_removes_what_it_has_begun_with() -> None:
    agents = [seen("ha-pp-a", draining=True), seen("ha-pp-b")]
    assert scaling.scale_in_plan(present(A, B), agents, bound(("h1", "ha-pp-a", 900)))["leaving"] == "ha-pp-a"
    half_gone = {**present(A), "ha-pp-b": {**B, "state": "leaving"}}
    for gone in ([seen("ha-pp-a")], [seen("ha-pp-a"), seen("ha-pp-b", state="stopped")]):
        assert scaling.scale_in_plan(half_gone, gone, []) == {"leaving": "ha-pp-b", "drain": False, "moves": []}


def test_what_is_gone_already_is_left_alone() -> None:
    placement = {**present(A), "ha-pp-b": {**B, "state": "removed"}}
    assert scaling.scale_in_plan(placement, [seen("ha-pp-a")], [], "ha-pp-b") == {}


@pytest.mark.parametrize("state", ["removed", "leaving"])
def test_the_site_playbook_keeps_what_scaling_has_placed(state: str) -> None:
    both = [A, {**B, "role": "active"}]

    def names(placement: dict[str, Any]) -> list[str]:
        return [module["name"] for module in vf_modules.wanted(both, placement, "cold")]

    assert names({**present(A), "ha-pp-b": {**B, "state": state}}) == ["ha-pp-a"]
    assert names({**present(B), "ha-pp-a": {**A, "state": state}}) == ["ha-pp-b"]
    third = {"name": "ha-pp-c", "region": "region-c", "role": "active"}
    assert names(present(A, third, {**B, "role": "active"})) == ["ha-pp-a", "ha-pp-b", "ha-pp-c"]
