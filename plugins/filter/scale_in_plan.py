# Copyright (c) 2026, The closedloop.mobility contributors
# SPDX-License-Identifier: Apache-2.0
"""What scaling in has to do."""

from __future__ import annotations

DOCUMENTATION = r"""
name: scale_in_plan
positional: home_agents, bindings, leaving
short_description: What scaling in has to do
version_added: "0.1.0"
description:
  - Names the VF module that goes, and where its mobile nodes move so that the load of the others is balanced. The last one that serves
    never goes.
options:
  _input:
    description: What playbooks recorded while the lab ran, by name.
    type: dict
    required: true
  home_agents:
    description: The home agents as M(closedloop.mobility.home_agent_info) returns them.
    type: list
    required: true
  bindings:
    description: The bindings as M(closedloop.mobility.binding_info) returns them.
    type: list
    required: true
  leaving:
    description: Name of the VF module that goes. Without it one that has begun to go, or the least loaded.
    type: str
    default: ""
author:
  - The closedloop.mobility contributors (@closedloop)
"""

EXAMPLES = r"""
- name: The plan is made
  ansible.builtin.set_fact:
    plan: "{{ vf_module_placement | closedloop.mobility.scale_in_plan(seen.home_agents, bound.bindings) }}"
"""

RETURN = r"""
_value:
  description: A mapping with leaving, drain and moves. Empty where there is nothing to do.
  type: dict
"""

from collections.abc import Callable
from typing import Any

from ansible_collections.closedloop.mobility.plugins.plugin_utils import scaling


class FilterModule:
    """The filter closedloop.mobility.scale_in_plan."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"scale_in_plan": scaling.scale_in_plan}
