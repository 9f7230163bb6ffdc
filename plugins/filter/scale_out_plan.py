# Copyright (c) 2026, The closedloop.mobility contributors
# SPDX-License-Identifier: Apache-2.0
"""What scaling out has to do."""

from __future__ import annotations

DOCUMENTATION = r"""
name: scale_out_plan
positional: placement, home_agents, bindings, regions, redundancy, overloaded, region
short_description: What scaling out has to do
version_added: "0.1.0"
description:
  - Names the VF module that serves beside the others next, and which mobile nodes move so that the load is balanced.
  - Gives the same plan until it is on record as complete, so that a killed playbook goes on where it was.
options:
  _input:
    description: The declared VF modules.
    type: list
    required: true
  placement:
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
  regions:
    description: The regions by name.
    type: dict
    required: true
  redundancy:
    description: V(cold) or V(standby).
    type: str
    required: true
  overloaded:
    description: Name of the VF module that is relieved. Without it the most loaded one, where one more would get a mobile node.
    type: str
    default: ""
  region:
    description: Region of the VF module to be deployed. Without it the other one with the fewest VF modules.
    type: str
    default: ""
author:
  - The closedloop.mobility contributors (@closedloop)
"""

EXAMPLES = r"""
- name: The plan is made
  ansible.builtin.set_fact:
    plan: >-
      {{ vf_modules | closedloop.mobility.scale_out_plan(vf_module_placement, seen.home_agents, bound.bindings, regions, 'cold') }}
"""

RETURN = r"""
_value:
  description: A mapping with overloaded, added, deploy, standby and moves. Empty where there is nothing to do.
  type: dict
"""

from collections.abc import Callable
from typing import Any

from ansible_collections.closedloop.mobility.plugins.plugin_utils import scaling


class FilterModule:
    """The filter closedloop.mobility.scale_out_plan."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"scale_out_plan": scaling.scale_out_plan}
