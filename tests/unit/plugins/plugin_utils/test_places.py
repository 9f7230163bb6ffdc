"""Where HA-B is reached and which interfaces a mobile node roams with, against what their hosts have."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.closedloop.mobility.plugins.plugin_utils import lab_plan

INTERFACES: list[dict[str, Any]] = [{"name": "eth0", "addresses": ["2001:db8:be::1/64"]}, {"name": "eth1"}]
PORTS = {"link_port": 7310, "api_port": 7311}


@pytest.mark.parametrize("declared", [INTERFACES, []])
def test_an_address_of_the_host_is_sound_and_none_is_looked_up_where_no_interface_is_declared(declared: list[dict[str, Any]]) -> None:
    assert lab_plan.backend_problems("2001:db8:be:0::1", declared, PORTS, 365, "ha-b") == []
    assert lab_plan.roaming_problems(["eth0"], declared, "mn1") == []


@pytest.mark.parametrize(
    ("address", "declared", "days", "line"),
    [
        ("2001:db8:bf::1", INTERFACES, 1, "address: 2001:db8:bf::1 is not an address of the host's interfaces; give one of 2001:db8:be::1"),
        ("2001:db8:be::1", [{"name": "eth1"}], 1, "address: 2001:db8:be::1 is not an address of the host's interfaces; declare it there"),
        ("ha-b.example", INTERFACES, 1, "address: 'ha-b.example' is not an IPv6 address; write one like 2001:db8:be::1"),
        ("2001:db8:be::1", INTERFACES, 0, "certificate days: 0 is not a number of days; use at least 1"),
    ],
)
def test_a_wrong_place_of_the_backend_is_told(address: str, declared: list[dict[str, Any]], days: int, line: str) -> None:
    assert lab_plan.backend_problems(address, declared, PORTS, days, "ha-b") == [f"host ha-b, {line}"]


@pytest.mark.parametrize(
    ("ports", "line"),
    [
        ({"link_port": 7310, "api_port": 70000}, "api_port: 70000 is not a TCP port; use 1 to 65535"),
        ({"link_port": "7310", "api_port": 7311}, "link_port: '7310' is not a TCP port; use 1 to 65535"),
        ({"link_port": 7310, "api_port": 7310}, "link_port and api_port: are the same port; give each a port of its own"),
    ],
)
def test_a_wrong_port_is_told_by_its_field(ports: dict[str, Any], line: str) -> None:
    assert lab_plan.backend_problems("2001:db8:be::1", INTERFACES, ports, 1, "ha-b") == [f"host ha-b, {line}"]


def test_an_interface_that_the_host_does_not_have_is_told() -> None:
    assert lab_plan.roaming_problems(["eth1", "nope"], INTERFACES, "mn1") == [
        "host mn1, interfaces: the host has no interface 'nope'; name one of ['eth0', 'eth1']"
    ]
