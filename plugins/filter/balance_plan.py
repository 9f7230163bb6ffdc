# Copyright (c) 2026, The closedloop.mobility contributors
# SPDX-License-Identifier: Apache-2.0
"""Which mobile nodes move so that the load is balanced."""

from __future__ import annotations

DOCUMENTATION = r"""
name: balance_plan
positional: home_agents, tolerance
short_description: Which mobile nodes move so that the load of home agents is balanced
version_added: "0.1.0"
description:
  - Takes the traffic of each mobile node as home agents measured it, and names the moves that balance the load. There are as few as can be
    found.
  - Home agents that are not ready, not active or being drained take no part.
options:
  _input:
    description: The bindings as M(closedloop.mobility.binding_info) returns them.
    type: list
    required: true
  home_agents:
    description: The home agents as M(closedloop.mobility.home_agent_info) returns them.
    type: list
    required: true
  tolerance:
    description: The share of the mean by which a home agent's load may exceed it.
    type: float
    default: 0.1
author:
  - The closedloop.mobility contributors (@closedloop)
"""

EXAMPLES = r"""
- name: The moves are planned
  ansible.builtin.set_fact:
    moves: "{{ bound.bindings | closedloop.mobility.balance_plan(seen.home_agents) }}"
"""

RETURN = r"""
_value:
  description: Orders with name, to, home_addresses and bit_per_s, one for each pair of home agents. Empty where the load is balanced.
  type: list
"""

from collections.abc import Callable
from typing import Any

from ansible_collections.closedloop.mobility.plugins.plugin_utils import balance


class FilterModule:
    """The filter closedloop.mobility.balance_plan."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"balance_plan": balance.balance_plan}
