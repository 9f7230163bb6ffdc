# Copyright (c) 2026, The closedloop.mobility contributors
# SPDX-License-Identifier: Apache-2.0
"""VF modules that shall run."""

from __future__ import annotations

DOCUMENTATION = r"""
name: vf_modules_wanted
positional: placement, redundancy
short_description: VF modules that shall run
version_added: "0.1.0"
description:
  - Merges the declared VF modules with what failovers have made of them.
options:
  _input:
    description: The declared VF modules.
    type: list
    required: true
  placement:
    description: What playbooks recorded while the lab ran, by name.
    type: dict
    required: true
  redundancy:
    description: V(cold) or V(standby).
    type: str
    required: true
author:
  - The closedloop.mobility contributors (@closedloop)
"""

EXAMPLES = r"""
- name: The wanted VF modules are known
  ansible.builtin.set_fact:
    wanted: "{{ vf_modules | closedloop.mobility.vf_modules_wanted({}, 'cold') }}"
"""

RETURN = r"""
_value:
  description: The VF modules, active ones first.
  type: list
"""

from collections.abc import Callable
from typing import Any

from ansible_collections.closedloop.mobility.plugins.plugin_utils import vf_modules


class FilterModule:
    """The filter closedloop.mobility.vf_modules_wanted."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"vf_modules_wanted": vf_modules.wanted}
