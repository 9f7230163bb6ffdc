# Copyright (c) 2026, The closedloop.mobility contributors
# SPDX-License-Identifier: Apache-2.0
"""What is wrong with the declaration of a mobile node."""

from __future__ import annotations

DOCUMENTATION = r"""
name: home_address_problems
positional: home_address, spi, host, others
short_description: What is wrong with the declaration of a mobile node
version_added: "0.1.0"
description:
  - Checks a mobile node's home address and security association before anything is changed.
options:
  _input:
    description: The home prefixes.
    type: list
    required: true
  home_address:
    description: The home address.
    type: str
    required: true
  spi:
    description: Index of the security association.
    type: int
    required: true
  host:
    description: Inventory name for the messages.
    type: str
    required: true
  others:
    description: Home addresses of the other mobile nodes by their inventory names. None of them may be the same.
    type: dict
    default: {}
author:
  - The closedloop.mobility contributors (@closedloop)
"""

EXAMPLES = r"""
- name: The mobile node is declared without contradiction
  ansible.builtin.assert:
    that: prefixes | closedloop.mobility.home_address_problems('2001:db8:100::1001', 256, inventory_hostname) | length == 0
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
    """The filter closedloop.mobility.home_address_problems."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"home_address_problems": lab_plan.home_address_problems}
