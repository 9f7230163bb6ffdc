# Copyright (c) 2026, The closedloop.mobility contributors
# SPDX-License-Identifier: Apache-2.0
"""A VF module with all its addresses."""

from __future__ import annotations

DOCUMENTATION = r"""
name: vf_module_completed
positional: regions, home_network
short_description: A VF module with all its addresses
version_added: "0.1.0"
description:
  - Fills in the addresses that were left out; they are derived from the name and the prefixes.
options:
  _input:
    description: The VF module.
    type: dict
    required: true
  regions:
    description: The regions by name.
    type: dict
    required: true
  home_network:
    description: Link and prefix of the home network.
    type: dict
    required: true
author:
  - The closedloop.mobility contributors (@closedloop)
"""

EXAMPLES = r"""
- name: The VF module's addresses are known
  ansible.builtin.set_fact:
    module: "{{ vf_module | closedloop.mobility.vf_module_completed(regions, home_network) }}"
"""

RETURN = r"""
_value:
  description: The VF module with name, region, role, address and home_link_address.
  type: dict
"""

from collections.abc import Callable
from typing import Any

from ansible_collections.closedloop.mobility.plugins.plugin_utils import vf_modules


class FilterModule:
    """The filter closedloop.mobility.vf_module_completed."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"vf_module_completed": vf_modules.completed}
