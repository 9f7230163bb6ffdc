# Copyright (c) 2026, The closedloop.mobility contributors
# SPDX-License-Identifier: Apache-2.0
"""What is wrong with HA-B's address, ports and certificates."""

from __future__ import annotations

DOCUMENTATION = r"""
name: backend_problems
positional: interfaces, ports, certificate_days, host
short_description: What is wrong with HA-B's address, ports and certificates
version_added: "0.1.0"
description:
  - Checks that the host has the address, that ports are ports and differ, and how long certificates last, before anything is changed.
options:
  _input:
    description: Address at which HA-B is reached.
    type: str
    required: true
  interfaces:
    description: Interfaces of its host as declared, each with C(addresses). The address is not looked up when there is none.
    type: list
    elements: dict
    required: true
  ports:
    description: TCP ports by the names of their fields.
    type: dict
    required: true
  certificate_days:
    description: Days for which certificates are issued.
    type: int
    required: true
  host:
    description: Inventory name for the messages.
    type: str
    required: true
author:
  - The closedloop.mobility contributors (@closedloop)
"""

EXAMPLES = r"""
- name: HA-B can be reached
  ansible.builtin.assert:
    that: backend.address | closedloop.mobility.backend_problems(lab_host.interfaces, ports, 365, inventory_hostname) | length == 0
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
    """The filter closedloop.mobility.backend_problems."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"backend_problems": lab_plan.backend_problems}
