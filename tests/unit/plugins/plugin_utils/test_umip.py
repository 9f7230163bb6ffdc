"""UMIP's addresses are judged before anything is changed."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.closedloop.mobility.plugins.plugin_utils import umip

AGENT = "2001:db8:100::1"


def test_a_home_network_without_contradiction_is_taken() -> None:
    assert umip.problems(["2001:db8:100::1001/64"], AGENT, "mobile_node", True, "mn") == []
    assert umip.problems([], AGENT, "home_agent", False, "ha") == []


@pytest.mark.parametrize(
    ("addresses", "agent", "node", "message"),
    [
        (["2001:db8:100::1001"], AGENT, "mobile_node", "no address with its prefix length"),
        (["2001:db8:200::1001/64"], AGENT, "mobile_node", "share one"),
        ([AGENT + "/64"], AGENT, "mobile_node", "the home agent's own"),
        ([], AGENT, "mobile_node", "is empty"),
        (["2001:db8:100::1001/64"], "2001:db8:100::1; Exec x", "home_agent", "home_agent_address"),
        (["2001:db8:100::1001/64;\n}"], AGENT, "home_agent", "no address with its prefix length"),
        ("2001:db8:100::1001/64", AGENT, "mobile_node", "is no list"),
    ],
)
def test_what_is_wrong_is_told_with_host_field_and_remedy(addresses: Any, agent: str, node: str, message: str) -> None:
    (line,) = umip.problems(addresses, agent, node, False, "mn")
    assert line.startswith("host mn, home_a")
    assert message in line
