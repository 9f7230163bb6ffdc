# Copyright (c) 2026, The closedloop.mobility contributors
# SPDX-License-Identifier: Apache-2.0
"""What is wrong with the declaration of a home network."""

from __future__ import annotations

DOCUMENTATION = r"""
name: home_network_problems
positional: mode, shared_address, host
short_description: What is wrong with the declaration of a home network
version_added: "0.1.0"
description:
  - Checks home prefixes and the home agent address before anything is changed.
options:
  _input:
    description: The home prefixes.
    type: list
    required: true
  mode:
    description: V(shared) or V(per_instance).
    type: str
    required: true
  shared_address:
    description: The home agent address that moves with V(shared).
    type: str
    required: true
  host:
    description: Inventory name for the messages.
    type: str
    required: true
author:
  - The closedloop.mobility contributors (@closedloop)
"""

EXAMPLES = r"""
- name: The home network is declared without contradiction
  ansible.builtin.assert:
    that: prefixes | closedloop.mobility.home_network_problems('per_instance', '', inventory_hostname) | length == 0
"""

RETURN = r"""
_value:
  description: One line for each problem with host, field, value and remedy. Empty when there is none.
  type: list
  elements: str
"""

from collections.abc import Callable
from typing import Any

from ansible_collections.closedloop.mobility.plugins.plugin_utils import lab_plan


class FilterModule:
    """The filter closedloop.mobility.home_network_problems."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"home_network_problems": lab_plan.home_network_problems}
