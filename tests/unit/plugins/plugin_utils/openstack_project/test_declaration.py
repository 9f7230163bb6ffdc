"""What is wrong with a declaration by itself is told by field, with its value."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from ansible_collections.closedloop.mobility.plugins.plugin_utils.openstack_project.declaration import Declaration, problems
from ansible_collections.closedloop.mobility.plugins.plugin_utils.openstack_project.records import WrongDeclaration

from .world import RAW


def changed(path: list[str | int], value: Any) -> dict[str, Any]:
    raw = copy.deepcopy(RAW)
    place: Any = raw
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return raw


def told(raw: dict[str, Any]) -> str:
    try:
        return "; ".join(problems(Declaration.of(raw)))
    except WrongDeclaration as error:
        return str(error)


def test_a_sound_one_has_no_problem() -> None:
    assert told(RAW) == ""


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (["deployment"], "mip-6", "openstack_project_deployment 'mip-6' is not valid"),
        (["servers", 0, "name"], "HA", "openstack_project_servers: name 'HA' is not valid"),
        (["servers", 1, "name"], "ha-a", "openstack_project_servers: name 'ha-a' is there twice"),
        (["servers", 0, "roles"], ["home-agents"], "openstack_project_servers[ha-a].roles: 'home-agents' cannot be a group"),
        (["servers", 0, "server_group"], "x", "openstack_project_servers[ha-a].server_group 'x' is not in openstack_project_server_groups"),
        (["servers", 0, "flavour"], "x", "openstack_project_servers[ha-a]: flavour is not a field"),
        (["servers", 0, "image"], None, "openstack_project_servers[ha-a]: image is missing"),
        (["servers", 0, "ports"], [], "openstack_project_servers[ha-a].ports is empty"),
        (
            ["servers", 0, "ports", 0, "addresses"],
            ["192.0.2.10"],
            "subnet home-6 is static; give the server an address of 2001:db8:100::/64",
        ),
        (["servers", 0, "ports", 0, "addresses"], ["2001:db8:9::1"], "addresses: 2001:db8:9::1 is in no subnet of home"),
        (["servers", 0, "ports", 0, "addresses"], ["2001:db8:100::b"], "addresses: 2001:db8:100::b is server ha-a's, too"),
        (["servers", 0, "ports", 0, "addresses"], ["x"], "addresses: 'x' is not an address"),
        (["servers", 0, "ports", 0, "allowed_addresses"], ["::/0"], "allowed_addresses: ::/0 is every address"),
        (["servers", 0, "ports", 0, "allowed_addresses"], ["x"], "allowed_addresses: 'x' is not an address or prefix"),
        (["servers", 0, "ports", 0, "security_groups"], ["x"], "security_groups: 'x' is not in openstack_project_security_groups: mobile"),
        (["servers", 0, "ports", 1, "network"], "home", "two are on network 'home'"),
        (
            ["servers", 0, "ports", 1, "allowed_addresses"],
            ["2001:db8::1"],
            "has no port security, so no security group and no allowed address",
        ),
        (["access_network"], "x", "ports: none is on openstack_project_access_network 'x'"),
        (["routers", 0, "subnets"], ["x"], "openstack_project_routers[out].subnets: there is no subnet 'x'"),
        (["routers", 0, "subnets"], ["home-4"], "subnet 'home-4' has no gateway"),
        (["networks", 0, "subnets", 0, "cidr"], "2001:db8::1/64", "subnets[home-6].cidr '2001:db8::1/64' is not a prefix"),
        (
            ["networks", 0, "subnets", 0, "gateway"],
            "2001:db8::1",
            "subnets[home-6].gateway '2001:db8::1' is no address of 2001:db8:100::/64",
        ),
        (["networks", 0, "subnets", 0, "pool_start"], "2001:db8:100::5", "give pool_start and pool_end, or neither"),
        (["networks", 1, "subnets", 0, "cidr"], "2001:db8:1::/72", "SLAAC needs an IPv6 prefix of 64 bits"),
    ],
)
def test_a_wrong_value_is_told_by_its_field(path: list[str | int], value: Any, message: str) -> None:
    assert message in told(changed(path, value))
