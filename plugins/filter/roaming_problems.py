# Copyright (c) 2026, The closedloop.mobility contributors
# SPDX-License-Identifier: Apache-2.0
"""What is wrong with the interfaces that a mobile node roams with."""

from __future__ import annotations

DOCUMENTATION = r"""
name: roaming_problems
positional: declared, host
short_description: What is wrong with the interfaces that a mobile node roams with
version_added: "0.1.0"
description:
  - Checks that the host has the interfaces before anything is changed.
options:
  _input:
    description: Names of the interfaces to roam with.
    type: list
    elements: str
    required: true
  declared:
    description: Interfaces of its host as declared, each with C(name). Nothing is looked up when there is none.
    type: list
    elements: dict
    required: true
  host:
    description: Inventory name for the messages.
    type: str
    required: true
author:
  - The closedloop.mobility contributors (@closedloop)
"""

EXAMPLES = r"""
- name: The mobile node has its interfaces
  ansible.builtin.assert:
    that: "['eth0'] | closedloop.mobility.roaming_problems(lab_host.interfaces, inventory_hostname) | length == 0"
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
    """The filter closedloop.mobility.roaming_problems."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"roaming_problems": lab_plan.roaming_problems}
