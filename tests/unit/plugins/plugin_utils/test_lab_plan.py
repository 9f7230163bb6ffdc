"""Declarations of a lab: what is made of them, and what is refused."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
from ansible_collections.closedloop.mobility.plugins.plugin_utils import lab_plan

LINKS = {"visited1": {"prefix": "2001:db8:1::/64"}, "transit": {"prefix": "2001:db8:f::/64"}}
HOSTS: dict[str, Any] = {
    "ar1": {
        "forwarding": True,
        "interfaces": [
            {
                "name": "transit",
                "link": "transit",
                "addresses": ["2001:db8:f::1/64"],
                "routes": [{"to": "default", "via": "2001:db8:f::ff"}],
            },
            {"name": "visited1", "link": "visited1", "addresses": ["2001:db8:1::ff/64"]},
        ],
        "router_advertisements": [{"interface": "visited1", "prefix": "2001:db8:1::/64"}],
    },
    "mn1": {"sysctls": {"net.ipv6.conf.default.accept_ra": 1}, "interfaces": [{"name": "eth0", "link": "visited1", "roaming": True}]},
}


def test_a_sound_declaration_has_no_problem() -> None:
    assert lab_plan.problems(HOSTS, LINKS, "cl") == []


def test_every_host_and_the_fabric_become_namespaces_of_the_lab() -> None:
    made = {entry["name"]: entry["sysctls"] for entry in lab_plan.namespaces(HOSTS, "cl")}
    assert sorted(made) == ["cl-ar1", "cl-fabric", "cl-mn1"]
    assert made["cl-ar1"]["net.ipv6.conf.all.forwarding"] == 1
    assert made["cl-mn1"]["net.ipv6.conf.all.forwarding"] == 0
    assert made["cl-mn1"]["net.ipv6.conf.default.accept_ra"] == 1


def test_every_interface_goes_into_its_hosts_namespace() -> None:
    assert [(entry["namespace"], entry["name"]) for entry in lab_plan.interfaces(HOSTS, "x")] == [
        ("x-ar1", "transit"),
        ("x-ar1", "visited1"),
        ("x-mn1", "eth0"),
    ]


def test_paths_lead_to_next_hops_and_to_given_addresses() -> None:
    assert lab_plan.paths(HOSTS, "cl") == [{"namespace": "cl-ar1", "to": "2001:db8:f::ff"}]
    assert lab_plan.paths_to(["cn"], "cl", ["2001:db8::1"]) == [{"namespace": "cl-cn", "to": "2001:db8::1"}]


def _with(path: list[Any], value: Any) -> dict[str, Any]:
    hosts = deepcopy(HOSTS)
    target: Any = hosts
    for step in path[:-1]:
        target = target[step]
    target[path[-1]] = value
    return hosts


@pytest.mark.parametrize(
    ("hosts", "message"),
    [
        (_with(["ar1", "interfaces", 0, "link"], "nowhere"), "host ar1, interface transit, link: there is no link 'nowhere'"),
        (_with(["ar1", "interfaces", 0, "addresses"], ["2001:db8:1::2/64"]), "is outside 2001:db8:f::/64 of link transit"),
        (_with(["ar1", "interfaces", 0, "addresses"], ["10.0.0.1/8"]), "'10.0.0.1/8' (str) is not an IPv6 address"),
        (_with(["ar1", "interfaces", 0, "addresses"], [17]), "17 (int) is not an IPv6 address"),
        (_with(["ar1", "interfaces", 0, "addresses"], "2001:db8:f::1/64"), "addresses: expected a list, got str"),
        (
            _with(["mn1", "interfaces", 0, "addresses"], ["2001:db8:1::ff/64"]),
            "2001:db8:1::ff is also that of host ar1",
        ),
        (_with(["ar1", "interfaces", 1, "name"], "transit"), "host ar1, interface transit: is declared twice"),
        (_with(["ar1", "interfaces", 1, "name"], "a name with spaces"), "has no valid name"),
        (_with(["ar1", "interfaces", 0, "routes"], [{"to": "default", "via": "2001:db8:1::1"}]), "is not an address on link transit"),
        (_with(["ar1", "interfaces", 0, "routes"], ["default"]), "is not a route"),
        (_with(["ar1", "interfaces", 0, "routes"], [{"to": "all", "via": "2001:db8:f::ff"}]), "routes, to: 'all' is not an IPv6 prefix"),
        (_with(["ar1", "router_advertisements"], [{"interface": "eth7", "prefix": "2001:db8:1::/64"}]), "there is no interface 'eth7'"),
        (_with(["ar1", "router_advertisements"], [{"interface": "visited1", "prefix": "2001:db8:1::1/64"}]), "is not an IPv6 prefix"),
        (_with(["ar1", "forwarding"], "yes"), "host ar1, forwarding: expected true or false, got str"),
        (_with(["ar1", "sysctls"], ["a"]), "host ar1, sysctls: expected a mapping, got list"),
        (_with(["ar1", "interfaces"], {"name": "eth0"}), "host ar1, interfaces: expected a list, got dict"),
        (_with(["ar1", "colour"], "red"), "host ar1, colour: is not a field"),
        (_with(["ar1", "interfaces", 0, "speed"], 1), "interface transit, speed: is not a field"),
        (_with(["ar1", "interfaces", 0, "mtu"], 1279), "host ar1, interface transit, mtu: 1279 is not valid; IPv6 needs 1280 to 65535"),
        (_with(["ar1", "interfaces", 0, "mtu"], "jumbo"), "mtu: 'jumbo' is not valid"),
        (_with(["ar1", "interfaces", 0, "mtu"], True), "mtu: True is not valid"),
        (_with(["ar1", "sysctls"], {"kernel.panic": 1}), "host ar1, sysctls: 'kernel.panic' is not one of a network namespace"),
        (_with(["ar1", "interfaces", 0, "sysctls"], {"../accept_ra": 1}), "interface transit, sysctls"),
        (_with(["ar1", "interfaces", 0, "sysctls"], "accept_ra"), "interface transit, sysctls: 'accept_ra' is not valid"),
        ({**HOSTS, "fabric": {"interfaces": []}}, "host 'fabric': the name is not valid"),
        ({**HOSTS, "x": None}, "host x: expected a mapping of fields, got NoneType"),
    ],
)
def test_a_wrong_host_is_named_with_field_value_and_remedy(hosts: dict[str, Any], message: str) -> None:
    found = lab_plan.problems(hosts, LINKS, "cl")
    assert any(message in line for line in found), found
    assert all(";" in line for line in found), "each problem ends with a remedy"


@pytest.mark.parametrize(
    ("links", "message"),
    [
        ({"a": {"prefix": "2001:db8::/32"}, "b": {"prefix": "2001:db8:1::/64"}}, "overlaps 2001:db8::/32 of link a"),
        ({"a": {"prefix": "2001:db8::1/64"}}, "is not an IPv6 prefix with zero host bits"),
        ({"a": {}}, "link a, prefix"),
        ({"a-name-too-long-for-linux": {"prefix": "2001:db8::/64"}}, "the name is not valid"),
    ],
)
def test_a_wrong_link_is_named(links: dict[str, Any], message: str) -> None:
    assert any(message in line for line in lab_plan.problems({}, links, "cl"))


@pytest.mark.parametrize("name", ["", "CL", "a-b", "x" * 17, 5, None])
def test_a_lab_name_that_could_not_be_a_prefix_is_refused(name: Any) -> None:
    assert "lab name" in lab_plan.problems({}, {}, name)[0]


@pytest.mark.parametrize(
    ("prefixes", "mode", "shared", "message"),
    [
        (["2001:db8:100::/64"], "shared", "2001:db8:100::1", None),
        (["2001:db8:100::/64"], "per_instance", "", None),
        (["2001:db8:100::/64"], "shared", "2001:db8:a::1", "is not an address of a home prefix"),
        (["2001:db8:100::/64"], "shared", "", "is not an address of a home prefix"),
        ([], "per_instance", "", "expected a list with at least one prefix"),
        (["100::1"], "per_instance", "", "is not an IPv6 prefix"),
    ],
)
def test_home_network(prefixes: list[str], mode: str, shared: str, message: str | None) -> None:
    found = lab_plan.home_network_problems(prefixes, mode, shared, "ha-b")
    assert (found == []) if message is None else (message in found[0] and "host ha-b" in found[0])


@pytest.mark.parametrize(
    ("address", "spi", "message"),
    [
        ("2001:db8:100::1001", 256, None),
        ("2001:db8:1::1", 256, "is not an address of the home prefix"),
        ("nonsense", 256, "'nonsense' is not an address"),
        ("2001:db8:100::1001", 255, "spi: 255 is not valid"),
        ("2001:db8:100::1001", True, "spi: True is not valid"),
        ("2001:db8:100::1001", "300", "spi: '300' is not valid"),
    ],
)
def test_mobile_node(address: str, spi: Any, message: str | None) -> None:
    found = lab_plan.home_address_problems(["2001:db8:100::/64"], address, spi, "mn1")
    assert (found == []) if message is None else message in found[0]


def test_no_two_mobile_nodes_have_one_home_address() -> None:
    others = {"mn2": "2001:DB8:100:0::1001", "mn3": "2001:db8:100::1003", "mn4": None}
    found = lab_plan.home_address_problems(["2001:db8:100::/64"], "2001:db8:100::1001", 256, "mn1", others)
    assert found == ["host mn1, home address: 2001:db8:100::1001 is also that of mn2; give each mobile node its own"]
