# Copyright (c) 2026, The closedloop.mobility contributors
# SPDX-License-Identifier: Apache-2.0
"""Paths from hosts of a lab to addresses."""

from __future__ import annotations

DOCUMENTATION = r"""
name: lab_paths_to
positional: lab, addresses
short_description: Paths from hosts of a lab to addresses
version_added: "0.1.0"
description:
  - Makes the option C(paths) of the module M(closedloop.mobility.netns_reachable) for every pair of a host and an address.
options:
  _input:
    description: The hosts' names.
    type: list
    required: true
  lab:
    description: Prefix of the namespaces.
    type: str
    required: true
  addresses:
    description: The addresses that shall answer.
    type: list
    required: true
author:
  - The closedloop.mobility contributors (@closedloop)
"""

EXAMPLES = r"""
- name: The host reaches the address
  closedloop.mobility.netns_reachable:
    paths: "{{ ['cn'] | closedloop.mobility.lab_paths_to('demo', ['2001:db8:100::1001']) }}"
"""

RETURN = r"""
_value:
  description: One entry for each host and address.
  type: list
  elements: dict
"""

from collections.abc import Callable
from typing import Any

from ansible_collections.closedloop.mobility.plugins.plugin_utils import lab_plan


class FilterModule:
    """The filter closedloop.mobility.lab_paths_to."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"lab_paths_to": lab_plan.paths_to}
