# Copyright (c) 2026, The closedloop.mobility contributors
# SPDX-License-Identifier: Apache-2.0
"""What is wrong with the declaration of a lab."""

from __future__ import annotations

DOCUMENTATION = r"""
name: lab_problems
positional: links, lab
short_description: What is wrong with the declaration of a lab
version_added: "0.1.0"
description:
  - Checks names, prefixes, addresses, links and routes of a lab before anything is changed.
options:
  _input:
    description: The hosts by name, as the role C(lab_network) takes them.
    type: dict
    required: true
  links:
    description: The links by name, each with its C(prefix).
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
- name: The lab is declared without contradiction
  ansible.builtin.assert:
    that: hosts | closedloop.mobility.lab_problems(links, 'demo') | length == 0
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
    """The filter closedloop.mobility.lab_problems."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"lab_problems": lab_plan.problems}
