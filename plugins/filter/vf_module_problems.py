# Copyright (c) 2026, The closedloop.mobility contributors
# SPDX-License-Identifier: Apache-2.0
"""What is wrong with the declaration of VF modules."""

from __future__ import annotations

DOCUMENTATION = r"""
name: vf_module_problems
positional: regions, home_network, links, redundancy
short_description: What is wrong with the declaration of VF modules
version_added: "0.1.0"
description:
  - Checks regions and VF modules before anything is changed.
options:
  _input:
    description: The declared VF modules.
    type: list
    required: true
  regions:
    description: The regions by name.
    type: dict
    required: true
  home_network:
    description: Link and prefix of the home network.
    type: dict
    required: true
  links:
    description: The links by name.
    type: dict
    required: true
  redundancy:
    description: V(cold) or V(standby).
    type: str
    required: true
author:
  - The closedloop.mobility contributors (@closedloop)
"""

EXAMPLES = r"""
- name: The VF modules are declared without contradiction
  ansible.builtin.assert:
    that: vf_modules | closedloop.mobility.vf_module_problems(regions, home_network, links, 'cold') | length == 0
"""

RETURN = r"""
_value:
  description: One line for each problem. Empty when there is none.
  type: list
"""

from collections.abc import Callable
from typing import Any

from ansible_collections.closedloop.mobility.plugins.plugin_utils import vf_modules


class FilterModule:
    """The filter closedloop.mobility.vf_module_problems."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"vf_module_problems": vf_modules.problems}
