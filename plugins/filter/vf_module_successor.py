# Copyright (c) 2026, The closedloop.mobility contributors
# SPDX-License-Identifier: Apache-2.0
"""The VF module that takes over from a failed one."""

from __future__ import annotations

DOCUMENTATION = r"""
name: vf_module_successor
positional: region, declared, placement, role
short_description: The VF module that takes over from a failed one
version_added: "0.1.0"
description:
  - Chooses a VF module for a region, the same one each time until the failover is complete.
options:
  _input:
    description: Name of the failed VF module.
    type: str
    required: true
  region:
    description: Region of the successor.
    type: str
    required: true
  declared:
    description: The declared VF modules.
    type: list
    required: true
  placement:
    description: What playbooks recorded while the lab ran, by name.
    type: dict
    required: true
  role:
    description: V(active) or V(standby).
    type: str
    required: true
author:
  - The closedloop.mobility contributors (@closedloop)
"""

EXAMPLES = r"""
- name: The successor is chosen
  ansible.builtin.set_fact:
    successor: "{{ 'ha-pp-a' | closedloop.mobility.vf_module_successor('region-b', vf_modules, {}, 'active') }}"
"""

RETURN = r"""
_value:
  description: The VF module.
  type: dict
"""

from collections.abc import Callable
from typing import Any

from ansible_collections.closedloop.mobility.plugins.plugin_utils import vf_modules


class FilterModule:
    """The filter closedloop.mobility.vf_module_successor."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"vf_module_successor": vf_modules.successor}
