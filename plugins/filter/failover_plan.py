# Copyright (c) 2026, The closedloop.mobility contributors
# SPDX-License-Identifier: Apache-2.0
"""What a failover has to do."""

from __future__ import annotations

DOCUMENTATION = r"""
name: failover_plan
positional: placement, home_agents, regions, redundancy, failed, region
short_description: What a failover has to do
version_added: "0.1.0"
description:
  - Compares the VF modules that should run with what HA-B sees, and names the failed one, who takes over, and what has to be deployed.
  - Gives the same plan until the failover is complete, so that a killed playbook goes on where it was.
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
  regions:
    description: The regions by name.
    type: dict
    required: true
  redundancy:
    description: V(cold) or V(standby).
    type: str
    required: true
  failed:
    description: Name of the VF module that is to go. Without it the one that HA-B has lost.
    type: str
    default: ""
  region:
    description: Region of the VF module to be deployed. Without it another one than that of the failed or the serving VF module.
    type: str
    default: ""
author:
  - The closedloop.mobility contributors (@closedloop)
"""

EXAMPLES = r"""
- name: The plan is made
  ansible.builtin.set_fact:
    plan: "{{ vf_modules | closedloop.mobility.failover_plan(vf_module_placement, seen.home_agents, regions, 'cold') }}"
"""

RETURN = r"""
_value:
  description: A mapping with failed, ordered, owner, successor, deploy, awaited, standby, abandoned and placed. Empty when nothing is
    left to do.
  type: dict
"""

from collections.abc import Callable
from typing import Any

from ansible_collections.closedloop.mobility.plugins.plugin_utils import failover


class FilterModule:
    """The filter closedloop.mobility.failover_plan."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"failover_plan": failover.plan}
