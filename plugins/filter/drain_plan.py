# Copyright (c) 2026, The closedloop.mobility contributors
# SPDX-License-Identifier: Apache-2.0
"""Which mobile nodes of a home agent move where so that it can go."""

from __future__ import annotations

DOCUMENTATION = r"""
name: drain_plan
positional: home_agents, name
short_description: Where the mobile nodes of a home agent move so that it can go
version_added: "0.1.0"
description:
  - Distributes the mobile nodes of one home agent over the others, so that the load of these is balanced.
options:
  _input:
    description: The bindings as M(closedloop.mobility.binding_info) returns them.
    type: list
    required: true
  home_agents:
    description: The home agents as M(closedloop.mobility.home_agent_info) returns them.
    type: list
    required: true
  name:
    description: The home agent that is to go.
    type: str
    required: true
author:
  - The closedloop.mobility contributors (@closedloop)
"""

EXAMPLES = r"""
- name: The moves are planned
  ansible.builtin.set_fact:
    moves: "{{ bound.bindings | closedloop.mobility.drain_plan(seen.home_agents, 'ha-pp-b') }}"
"""

RETURN = r"""
_value:
  description: Orders with name, to, home_addresses and bit_per_s, one for each home agent that takes over.
  type: list
"""

from collections.abc import Callable
from typing import Any

from ansible_collections.closedloop.mobility.plugins.plugin_utils import balance


class FilterModule:
    """The filter closedloop.mobility.drain_plan."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"drain_plan": balance.drain_plan}
