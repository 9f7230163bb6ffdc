"""A failover's plan, before, in the middle of and after one."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.closedloop.mobility.plugins.plugin_utils import failover

REGIONS = {"region-a": {}, "region-b": {}}
A: dict[str, Any] = {
    "name": "ha-pp-a",
    "region": "region-a",
    "role": "active",
    "address": "2001:db8:a::1",
    "home_link_address": "2001:db8:100::a",
}
B: dict[str, Any] = {
    "name": "ha-pp-b",
    "region": "region-b",
    "role": "standby",
    "address": "2001:db8:b::1",
    "home_link_address": "2001:db8:100::b",
}
BOTH = {"ha-pp-a": {**A, "state": "present"}, "ha-pp-b": {**B, "state": "present"}}
ONE = {"ha-pp-a": {**A, "state": "present"}}


def _seen(name: str, state: str, role: str, *, serving: bool | None = None) -> dict[str, Any]:
    return {"name": name, "state": state, "role": role, "serving": role == "active" if serving is None else serving}


def _plan(placement: dict[str, Any], seen: list[dict[str, Any]], redundancy: str = "cold", **choice: str) -> dict[str, Any]:
    return failover.plan([A, B], placement, seen, REGIONS, redundancy, **choice)


def test_nothing_failed_nothing_to_do() -> None:
    assert _plan(ONE, [_seen("ha-pp-a", "ready", "active")]) == {}


def test_cold_a_new_one_is_deployed_in_another_region() -> None:
    plan = _plan(ONE, [_seen("ha-pp-a", "stopped", "standby", serving=True)])
    assert (plan["failed"], plan["ordered"], plan["deploy"], plan["standby"]) == ("ha-pp-a", False, True, {})
    assert (plan["successor"]["name"], plan["successor"]["role"]) == ("ha-pp-b", "standby")


def test_cold_the_region_can_be_chosen() -> None:
    plan = _plan(ONE, [_seen("ha-pp-a", "lost", "active")], region="region-a")
    assert plan["successor"] == {"name": "ha-pp-region-a-1", "region": "region-a", "role": "standby"}


def test_a_standby_takes_over_without_a_deployment_and_the_failed_one_is_made_anew_as_standby() -> None:
    plan = _plan(BOTH, [_seen("ha-pp-a", "stopped", "standby", serving=False), _seen("ha-pp-b", "ready", "active")], "standby")
    assert (plan["failed"], plan["deploy"], plan["successor"]["name"]) == ("ha-pp-a", False, "ha-pp-b")
    assert (plan["standby"]["name"], plan["standby"]["role"], plan["standby"]["address"]) == ("ha-pp-a", "standby", "2001:db8:a::1")


def test_a_lost_standby_is_made_anew_and_the_serving_one_stays() -> None:
    plan = _plan(BOTH, [_seen("ha-pp-a", "ready", "active"), _seen("ha-pp-b", "lost", "standby")], "standby")
    assert (plan["failed"], plan["deploy"], plan["successor"]["name"], plan["standby"]["name"]) == ("ha-pp-b", False, "ha-pp-a", "ha-pp-b")


def test_there_is_a_standby_again_also_where_more_serve_than_were_declared() -> None:
    placement = {**BOTH, "ha-pp-c": {**B, "name": "ha-pp-c", "state": "present"}}
    lost, ready = (
        _seen("ha-pp-a", "stopped", "standby", serving=False),
        [_seen("ha-pp-b", "ready", "active"), _seen("ha-pp-c", "ready", "active")],
    )
    assert _plan(placement, [lost, *ready], "standby", failed="ha-pp-a")["standby"]["name"] == "ha-pp-a"


def test_the_one_that_serves_comes_first_where_two_have_failed() -> None:
    plan = _plan(BOTH, [_seen("ha-pp-a", "lost", "standby"), _seen("ha-pp-b", "lost", "active")], "standby")
    assert plan["failed"] == "ha-pp-b"


def test_one_that_still_works_is_handed_over_in_order() -> None:
    plan = _plan(ONE, [_seen("ha-pp-a", "ready", "active")], failed="ha-pp-a")
    assert (plan["ordered"], plan["deploy"], plan["successor"]["name"]) == (True, True, "ha-pp-b")


def test_a_killed_cold_failover_goes_on_with_its_successor_though_it_serves_already() -> None:
    begun = {**ONE, "ha-pp-b": {**B, "state": "present", "replaces": "ha-pp-a"}}
    plan = _plan(begun, [_seen("ha-pp-a", "stopped", "standby", serving=False), _seen("ha-pp-b", "ready", "active")])
    assert (plan["failed"], plan["deploy"], plan["successor"]["name"]) == ("ha-pp-a", True, "ha-pp-b")


def test_a_killed_failover_goes_on_though_ha_b_has_forgotten_the_failed_one() -> None:
    plan = _plan(BOTH, [_seen("ha-pp-b", "ready", "active")], "standby")
    assert (plan["failed"], plan["successor"]["name"], plan["standby"]["name"]) == ("ha-pp-a", "ha-pp-b", "ha-pp-a")


def test_a_complete_failover_leaves_nothing_to_do() -> None:
    done = {"ha-pp-a": {**A, "state": "replaced"}, "ha-pp-b": {**B, "state": "present", "replaces": ""}}
    assert _plan(done, [_seen("ha-pp-b", "ready", "active")]) == {}


def test_an_alert_that_comes_after_the_failover_finds_nothing_to_do() -> None:
    done = {"ha-pp-a": {**A, "state": "replaced"}, "ha-pp-b": {**B, "state": "present", "replaces": ""}}
    assert _plan(done, [_seen("ha-pp-b", "ready", "active")], failed="ha-pp-a", region="region-a") == {}


def test_a_resumed_failover_still_deploys_the_standby_that_is_missing() -> None:
    done = {"ha-pp-a": {**A, "state": "replaced"}, "ha-pp-b": {**B, "state": "present", "replaces": ""}}
    plan = _plan(done, [_seen("ha-pp-b", "ready", "active")], "standby", failed="ha-pp-a", region="region-a")
    assert (plan["deploy"], plan["successor"]["name"], plan["standby"]["region"]) == (False, "ha-pp-b", "region-a")


def test_an_attempt_elsewhere_leaves_the_successor_that_did_not_get_ready() -> None:
    begun = {**ONE, "ha-pp-b": {**B, "state": "present", "replaces": "ha-pp-a"}}
    lost = _seen("ha-pp-a", "lost", "active")
    plan = _plan(begun, [lost], failed="ha-pp-a", region="region-a")
    assert (plan["abandoned"], plan["deploy"], plan["successor"]["name"]) == ("ha-pp-b", True, "ha-pp-region-a-1")
    plan = _plan(begun, [lost, _seen("ha-pp-b", "ready", "standby")], failed="ha-pp-a", region="region-a")
    assert (plan["abandoned"], plan["successor"]["name"]) == ("", "ha-pp-b")


def test_a_successor_that_came_late_is_kept_and_the_one_deployed_in_its_place_removed() -> None:
    begun = {
        **ONE,
        "ha-pp-b": {**B, "state": "present", "replaces": "ha-pp-a"},
        "ha-pp-a-1": {**A, "name": "ha-pp-a-1", "state": "present", "replaces": "ha-pp-a"},
    }
    lost, late = _seen("ha-pp-a", "lost", "standby", serving=False), _seen("ha-pp-b", "ready", "active")
    plan = _plan(begun, [lost, late, _seen("ha-pp-a-1", "ready", "standby")], failed="ha-pp-a")
    assert (plan["successor"]["name"], plan["abandoned"]) == ("ha-pp-b", "ha-pp-a-1")
    plan = _plan(begun, [lost, late, _seen("ha-pp-a-1", "ready", "standby")], "standby", failed="ha-pp-a")
    assert plan["abandoned"] == "", "it is the standby"
    assert plan["standby"] == {}
    assert sorted(module["name"] for module in plan["placed"]) == ["ha-pp-a-1", "ha-pp-b"], "both stay, and replace nobody from then on"


def test_where_nobody_has_ever_served_the_successor_is_told_to() -> None:
    plan = _plan(BOTH, [_seen("ha-pp-b", "ready", "standby")], "standby", failed="ha-pp-a")
    assert (plan["ordered"], plan["owner"], plan["successor"]["name"]) == (True, "", "ha-pp-b")
    plan = _plan(BOTH, [_seen("ha-pp-a", "socket_closed", "standby"), _seen("ha-pp-b", "ready", "standby")], "standby", failed="ha-pp-a")
    assert (plan["ordered"], plan["owner"]) == (True, "")


def test_a_resumed_failover_waits_for_the_standby_that_ha_b_has_not_seen() -> None:
    done = {"ha-pp-a": {**A, "state": "present"}, "ha-pp-b": {**B, "state": "present"}, "x": {**A, "name": "x", "state": "replaced"}}
    plan = _plan(done, [_seen("ha-pp-b", "ready", "active")], "standby", failed="x")
    assert (plan["deploy"], plan["ordered"], plan["standby"]["name"], plan["standby"]["role"]) == (False, False, "ha-pp-a", "standby")
    closed = _seen("ha-pp-a", "socket_closed", "standby")
    assert _plan(done, [_seen("ha-pp-b", "ready", "active"), closed], "standby", failed="x") == {}, "it has an alert of its own"


def test_back_again() -> None:
    done = {"ha-pp-a": {**A, "state": "replaced"}, "ha-pp-b": {**B, "state": "present", "replaces": ""}}
    plan = _plan(done, [_seen("ha-pp-b", "stopped", "active")])
    assert (plan["failed"], plan["successor"]["name"], plan["successor"]["region"]) == ("ha-pp-b", "ha-pp-a", "region-a")


def test_another_active_one_does_not_stand_in_before_ha_b_has_given_it_the_bindings() -> None:
    third = {"name": "c", "region": "region-b", "role": "active", "address": "2001:db8:b::3", "home_link_address": "2001:db8:100::3"}
    placement = {**ONE, "c": {**third, "state": "present"}}
    plan = _plan(placement, [_seen("ha-pp-a", "lost", "active"), _seen("c", "ready", "active")])
    assert (plan["deploy"], plan["successor"]["name"]) == (True, "ha-pp-b")


@pytest.mark.parametrize(("choice", "message"), [({"failed": "x"}, "no VF module 'x'"), ({"region": "moon"}, "no region 'moon'")])
def test_unknown_names_are_refused(choice: dict[str, str], message: str) -> None:
    with pytest.raises(AnsibleFilterError, match=message):
        _plan(ONE, [_seen("ha-pp-a", "lost", "active")], **choice)


def test_one_whose_socket_is_closed_hands_over_in_order() -> None:
    plan = _plan(ONE, [_seen("ha-pp-a", "socket_closed", "active")], failed="ha-pp-a")
    assert (plan["ordered"], plan["deploy"]) == (True, True)


def test_who_serves_in_its_place_already_is_the_successor_and_not_another_standby() -> None:
    placement = {
        "ha-pp-a": {**A, "state": "present"},
        "ha-pp-b": {**B, "state": "present"},
        "ha-pp-c": {**B, "name": "ha-pp-c", "state": "present"},
    }
    seen = [_seen("ha-pp-a", "ready", "standby"), _seen("ha-pp-b", "socket_closed", "active"), _seen("ha-pp-c", "stopped", "standby")]
    plan = _plan(placement, seen, "standby", failed="ha-pp-c")
    assert (plan["successor"]["name"], plan["deploy"], plan["awaited"]) == ("ha-pp-b", False, False)
    assert plan["standby"] == {}


def test_another_one_that_serves_meanwhile_counts_before_the_one_an_earlier_attempt_has_deployed() -> None:
    placement = {**BOTH, "ha-pp-c": {**B, "name": "ha-pp-c", "state": "present", "replaces": "ha-pp-a"}}
    seen = [_seen("ha-pp-a", "stopped", "standby"), _seen("ha-pp-b", "ready", "active"), _seen("ha-pp-c", "ready", "standby")]
    plan = _plan(placement, seen, "standby", failed="ha-pp-a")
    assert (plan["successor"]["name"], plan["deploy"], plan["standby"]) == ("ha-pp-b", False, {})


def test_a_replaced_one_that_ha_b_still_lists_is_not_done_with() -> None:
    placement = {"ha-pp-a": {**A, "state": "replaced"}, "ha-pp-b": {**B, "state": "present"}}
    seen = [_seen("ha-pp-b", "ready", "active")]
    assert _plan(placement, seen, failed="ha-pp-a") == {}
    assert _plan(placement, [_seen("ha-pp-a", "stopped", "standby"), *seen], failed="ha-pp-a")["failed"] == "ha-pp-a"


def test_one_that_was_deployed_for_it_before_hab_had_promoted_another_does_not_stay_a_replacement() -> None:
    """The next time the same one fails, what is recorded to replace it would be taken for its successor, and no standby be made."""
    lost = _seen("ha-pp-b", "stopped", "standby")
    begun = {**BOTH, "ha-pp-a-1": {**A, "name": "ha-pp-a-1", "state": "present", "replaces": "ha-pp-b"}}
    plan = _plan(begun, [lost, _seen("ha-pp-a", "ready", "active"), _seen("ha-pp-a-1", "ready", "standby")], "standby", failed="ha-pp-b")
    assert (plan["successor"]["name"], plan["deploy"], plan["standby"]) == ("ha-pp-a", False, {})
    assert [module["name"] for module in plan["placed"]] == ["ha-pp-a-1"]


def test_what_a_killed_playbook_was_about_to_remove_as_abandoned_is_removed_by_the_next() -> None:
    abandoned = {**B, "name": "ha-pp-b-1", "address": "2001:db8:b::2", "home_link_address": "2001:db8:100::b1", "state": "replaced"}
    placement = {"ha-pp-a": {**A, "state": "replaced"}, "ha-pp-b": {**B, "state": "present"}, "ha-pp-b-1": abandoned}
    plan = _plan(placement, [_seen("ha-pp-b", "ready", "active"), _seen("ha-pp-b-1", "lost", "standby")], failed="ha-pp-a")
    assert (plan["abandoned"], plan["successor"]["name"], plan["deploy"], plan["standby"]) == ("ha-pp-b-1", "ha-pp-b", False, {})
    assert _plan(placement, [_seen("ha-pp-b", "ready", "active")], failed="ha-pp-a") == {}
