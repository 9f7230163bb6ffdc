"""Which VF modules there should be, and where a successor comes from."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.closedloop.mobility.plugins.plugin_utils import vf_modules

REGIONS = {
    "region-a": {"backend": "lab", "link": "region-a", "prefix": "2001:db8:a::/64", "router": "2001:db8:a::ff", "capacity": 4},
    "region-b": {"backend": "lab", "link": "region-b", "prefix": "2001:db8:b::/64", "router": "2001:db8:b::ff", "capacity": 4},
}
HOME = {"link": "home", "prefix": "2001:db8:100::/64"}
LINKS = {"home": {}, "region-a": {}, "region-b": {}}
A: dict[str, Any] = {"name": "ha-pp-a", "region": "region-a", "role": "active"}
B: dict[str, Any] = {"name": "ha-pp-b", "region": "region-b", "role": "standby"}


def _names(modules: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(module["name"], module["role"]) for module in modules]


def test_a_cold_lab_begins_with_the_active_ones() -> None:
    assert _names(vf_modules.wanted([A, B], {}, "cold")) == [("ha-pp-a", "active")]


def test_a_lab_with_standby_begins_with_both() -> None:
    assert _names(vf_modules.wanted([A, B], {}, "standby")) == [("ha-pp-a", "active"), ("ha-pp-b", "standby")]


def test_after_a_failover_the_successor_is_kept_up_and_the_replaced_one_is_not_brought_back() -> None:
    placement = {"ha-pp-a": {**A, "state": "replaced"}, "ha-pp-b": {**B, "state": "present"}}
    assert _names(vf_modules.wanted([A, B], placement, "cold")) == [("ha-pp-b", "standby")]


def test_where_redundancy_is_asked_for_later_the_replaced_one_comes_back_as_standby() -> None:
    placement = {"ha-pp-a": {**A, "state": "replaced"}, "ha-pp-b": {**B, "state": "present"}}
    assert _names(vf_modules.wanted([A, B], placement, "standby")) == [("ha-pp-a", "standby"), ("ha-pp-b", "standby")]


def test_the_standby_that_comes_back_is_one_in_another_region() -> None:
    new = {"name": "ha-pp-region-a-1", "region": "region-a", "role": "standby"}
    placement = {"ha-pp-a": {**A, "state": "replaced"}, "ha-pp-b": {**B, "state": "replaced"}, new["name"]: {**new, "state": "present"}}
    assert [module["name"] for module in vf_modules.wanted([A, B], placement, "standby")] == ["ha-pp-b", "ha-pp-region-a-1"]


def test_vf_modules_that_came_at_run_time_are_kept_up() -> None:
    placement = {"x": {"name": "x", "region": "region-b", "role": "standby", "state": "present"}}
    assert ("x", "standby") in _names(vf_modules.wanted([A], placement, "cold"))


def test_the_successor_is_a_declared_one_of_the_region_that_is_not_there() -> None:
    placement = {"ha-pp-a": {**A, "state": "present"}}
    assert vf_modules.successor("ha-pp-a", "region-b", [A, B], placement, "standby")["name"] == "ha-pp-b"


def test_where_none_is_declared_a_new_one_is_named_after_the_region() -> None:
    placement = {"ha-pp-a": {**A, "state": "present"}}
    chosen = vf_modules.successor("ha-pp-a", "region-b", [A], placement, "standby")
    assert chosen == {"name": "ha-pp-region-b-1", "region": "region-b", "role": "standby"}


def test_the_successor_of_a_begun_failover_is_chosen_again_wherever_it_is() -> None:
    placement = {
        "ha-pp-a": {**A, "state": "present"},
        "ha-pp-region-a-1": {
            "name": "ha-pp-region-a-1",
            "region": "region-a",
            "role": "standby",
            "state": "present",
            "replaces": "ha-pp-a",
        },
    }
    assert vf_modules.successor("ha-pp-a", "region-b", [A, B], placement, "standby")["name"] == "ha-pp-region-a-1"


def test_new_names_do_not_meet_those_in_use() -> None:
    names: set[str] = set()
    placement: dict[str, Any] = {}
    for _number in range(5):
        chosen = vf_modules.successor("gone", "region-b", [], placement, "standby")
        placement[chosen["name"]] = {**chosen, "state": "present"}
        names.add(chosen["name"])
    assert len(names) == 5


def test_addresses_that_are_left_out_are_derived_from_the_name_and_stay_the_same() -> None:
    module = vf_modules.completed({"name": "new", "region": "region-b"}, REGIONS, HOME)
    assert module == vf_modules.completed({"name": "new", "region": "region-b"}, REGIONS, HOME)
    assert ipaddress.IPv6Address(module["address"]) in ipaddress.IPv6Network("2001:db8:b::/64")
    assert ipaddress.IPv6Address(module["home_link_address"]) in ipaddress.IPv6Network("2001:db8:100::/64")
    assert module["address"] != vf_modules.completed({"name": "other", "region": "region-b"}, REGIONS, HOME)["address"]
    assert module["role"] == "active"


def test_given_addresses_stay() -> None:
    module = vf_modules.completed({**A, "address": "2001:db8:a::1", "home_link_address": "2001:db8:100::a"}, REGIONS, HOME)
    assert (module["address"], module["home_link_address"]) == ("2001:db8:a::1", "2001:db8:100::a")


@pytest.mark.parametrize("prefix", ["2001:db8::/96", "nonsense", ""])
def test_no_address_is_derived_in_a_prefix_without_room(prefix: str) -> None:
    with pytest.raises(AnsibleFilterError, match="is not an IPv6 prefix of at most 64 bits"):
        vf_modules.address_in(prefix, "x")


def test_a_sound_declaration_has_no_problem() -> None:
    assert vf_modules.problems([A, B], REGIONS, HOME, LINKS, "cold") == []


@pytest.mark.parametrize(
    ("modules", "regions", "redundancy", "message"),
    [
        ([{**A, "region": "region-c"}], REGIONS, "cold", "VF module ha-pp-a, region: there is no region 'region-c'"),
        ([{**A, "region": None}], REGIONS, "cold", "there is no region None"),
        ([A, A], REGIONS, "cold", "VF module ha-pp-a: is declared twice"),
        ([{**A, "role": "boss"}], REGIONS, "cold", "role: 'boss' is not known"),
        ([{**A, "address": "2001:db8:b::1"}], REGIONS, "cold", "is not an address of 2001:db8:a::/64"),
        (
            [{**A, "home_link_address": "2001:db8:100::a"}, {**B, "home_link_address": "2001:db8:100::a"}],
            REGIONS,
            "cold",
            "is also that of VF module ha-pp-a",
        ),
        ([{**A, "size": 3}], REGIONS, "cold", "VF module ha-pp-a, size: is not a field"),
        ([{"region": "region-a"}], REGIONS, "cold", "has no valid name"),
        (["ha-pp-a"], REGIONS, "cold", "has no valid name"),
        ([A], REGIONS, "hot", "redundancy: 'hot' (str) is not known"),
        ([], {"r": {"backend": "cloud"}}, "cold", "region r, backend: 'cloud' is not known"),
        ([], {"r": {**REGIONS["region-a"], "link": "moon"}}, "cold", "region r, link: there is no link 'moon'"),
        ([], {"r": {**REGIONS["region-a"], "router": "2001:db8:b::1"}}, "cold", "region r, router"),
        ([], {"r": {**REGIONS["region-a"], "prefix": 7}}, "cold", "region r, prefix: 7 is not an IPv6 prefix"),
        ([], {"r": {**REGIONS["region-a"], "capacity": "4"}}, "cold", "region r, capacity: '4' (str) is not a number of VF modules; use 0"),
        ([], {"r": {**REGIONS["region-a"], "capacity": -1}}, "cold", "region r, capacity: -1 (int) is not a number"),
        ([], {"r": {key: value for key, value in REGIONS["region-a"].items() if key != "capacity"}}, "cold", "region r, capacity: None"),
        ([], {"r": None}, "cold", "region r: expected a mapping, got NoneType"),
    ],
)
def test_what_is_wrong_is_named(modules: list[Any], regions: dict[str, Any], redundancy: str, message: str) -> None:
    found = vf_modules.problems(modules, regions, HOME, LINKS, redundancy)
    assert any(message in line for line in found), found


def test_a_home_network_without_link_or_prefix_is_named() -> None:
    found = vf_modules.problems([], REGIONS, {"link": "moon", "prefix": "x"}, LINKS, "cold")
    assert [line.split(":")[0] for line in found] == ["home_network, prefix", "home_network, link"]


def test_a_function_without_a_collector_reports_to_nobody() -> None:
    assert vf_modules.ves_configuration({}, "/run/x") == {}


def test_events_wait_in_the_directory_of_the_function() -> None:
    collector = {"url": "https://[::1]:8443", "ca_file": "/ca.pem", "username": "ha-pp", "password_file": "/password"}
    made = vf_modules.ves_configuration(collector, "/run/x")["ves"]
    assert made["queue"] == "/run/x/events.sqlite"
    assert (made["tls"], made["username"], made["password_file"]) == ({"ca": "/ca.pem"}, "ha-pp", "/password")
