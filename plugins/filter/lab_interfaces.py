# Copyright (c) 2026, The closedloop.mobility contributors
# SPDX-License-Identifier: Apache-2.0
"""Interfaces of a lab."""

from __future__ import annotations

DOCUMENTATION = r"""
name: lab_interfaces
positional: lab
short_description: Interfaces of a lab
version_added: "0.1.0"
description:
  - Turns the declaration of a lab into the option C(interfaces) of the module M(closedloop.mobility.netns_link).
options:
  _input:
    description: The hosts by name, as the role C(lab_network) takes them.
    type: dict
    required: true
  lab:
    description: Prefix of the namespaces.
    type: str
    required: true
author:
  - The closedloop.mobility contributors (@closedloop)
"""

EXAMPLES = r"""
- name: Every host is attached to its links
  closedloop.mobility.netns_link:
    fabric: demo-fabric
    interfaces: "{{ hosts | closedloop.mobility.lab_interfaces('demo') }}"
"""

RETURN = r"""
_value:
  description: One entry for each interface of each host.
  type: list
  elements: dict
"""

from collections.abc import Callable
from typing import Any

from ansible_collections.closedloop.mobility.plugins.plugin_utils import lab_plan


class FilterModule:
    """The filter closedloop.mobility.lab_interfaces."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"lab_interfaces": lab_plan.interfaces}
