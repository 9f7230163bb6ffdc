# Copyright (c) 2026, The closedloop.mobility contributors
# SPDX-License-Identifier: Apache-2.0
"""What is wrong with UMIP's addresses."""

from __future__ import annotations

DOCUMENTATION = r"""
name: umip_problems
positional: home_agent_address, node, ipsec, host
short_description: What is wrong with the addresses that UMIP is configured with
version_added: "0.1.0"
description:
  - Checks home agent and home addresses before anything is changed.
options:
  _input:
    description: Home addresses with their prefix length.
    type: list
    elements: str
    required: true
  home_agent_address:
    description: Address of the home agent.
    type: str
    required: true
  node:
    description: C(home_agent) or C(mobile_node).
    type: str
    required: true
  ipsec:
    description: Whether mobility messages are protected by IPsec.
    type: bool
    required: true
  host:
    description: Inventory name for the messages.
    type: str
    required: true
author:
  - The closedloop.mobility contributors (@closedloop)
"""

EXAMPLES = r"""
- name: Addresses are those of one home network
  ansible.builtin.assert:
    that: >-
      ['2001:db8:100::1001/64']
      | closedloop.mobility.umip_problems('2001:db8:100::1', 'mobile_node', false, inventory_hostname) | length == 0
"""

RETURN = r"""
_value:
  description: One line for each problem with host, field, value and remedy. Empty when there is none.
  type: list
  elements: str
"""

from collections.abc import Callable
from typing import Any

from ansible_collections.closedloop.mobility.plugins.plugin_utils import umip


class FilterModule:
    """The filter closedloop.mobility.umip_problems."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"umip_problems": umip.problems}
