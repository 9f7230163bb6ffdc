# Copyright (c) 2026, The closedloop.mobility contributors
# SPDX-License-Identifier: Apache-2.0
"""Namespaces of a lab."""

from __future__ import annotations

DOCUMENTATION = r"""
name: lab_namespaces
positional: lab
short_description: Namespaces of a lab
version_added: "0.1.0"
description:
  - Turns the declaration of a lab into the option C(namespaces) of the module M(closedloop.mobility.netns).
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
- name: Every host is a namespace
  closedloop.mobility.netns:
    namespaces: "{{ hosts | closedloop.mobility.lab_namespaces('demo') }}"
"""

RETURN = r"""
_value:
  description: One entry for the fabric and one for each host.
  type: list
  elements: dict
"""

from collections.abc import Callable
from typing import Any

from ansible_collections.closedloop.mobility.plugins.plugin_utils import lab_plan


class FilterModule:
    """The filter closedloop.mobility.lab_namespaces."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"lab_namespaces": lab_plan.namespaces}
