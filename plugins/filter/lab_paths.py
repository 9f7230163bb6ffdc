# Copyright (c) 2026, The closedloop.mobility contributors
# SPDX-License-Identifier: Apache-2.0
"""Paths that must work in a lab's network."""

from __future__ import annotations

DOCUMENTATION = r"""
name: lab_paths
positional: lab
short_description: Paths that must work in a lab's network
version_added: "0.1.0"
description:
  - Turns the declaration of a lab into the option C(paths) of the module M(closedloop.mobility.netns_reachable).
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
- name: Every host reaches the routers it was given
  closedloop.mobility.netns_reachable:
    paths: "{{ hosts | closedloop.mobility.lab_paths('demo') }}"
"""

RETURN = r"""
_value:
  description: One entry for each route of each interface, to its next hop.
  type: list
  elements: dict
"""

from collections.abc import Callable
from typing import Any

from ansible_collections.closedloop.mobility.plugins.plugin_utils import lab_plan


class FilterModule:
    """The filter closedloop.mobility.lab_paths."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"lab_paths": lab_plan.paths}
