# Copyright (c) 2026, The closedloop.mobility contributors
# SPDX-License-Identifier: Apache-2.0
"""What is wrong with a configuration of a network function or of the control loop."""

from __future__ import annotations

DOCUMENTATION = r"""
name: configuration_problems
positional: function, command, where
short_description: What is wrong with a configuration of a network function or of the control loop
version_added: "0.1.0"
description:
  - Asks the installed library before anything is changed. Secrets and certificates need not exist yet.
options:
  _input:
    description: Content of the configuration file.
    type: str
    required: true
  function:
    description: >-
      V(ha_b), V(ha_pp) or V(mobile_node); V(policy) for a policy of the control loop, V(ves) for arguments of the event source.
    type: str
    required: true
  command:
    description: Path of the function's program.
    type: path
    required: true
  where:
    description: Whose configuration it is, for the messages.
    type: str
    required: true
author:
  - The closedloop.mobility contributors (@closedloop)
"""

EXAMPLES = r"""
- name: The mobile node's configuration is sound
  ansible.builtin.assert:
    that: content | closedloop.mobility.configuration_problems('mobile_node', '/usr/bin/mobile-node', 'host mn1') | length == 0
"""

RETURN = r"""
_value:
  description: One line for each problem with host, field, value and remedy. Empty when there is none.
  type: list
  elements: str
"""

from collections.abc import Callable
from typing import Any

from ansible_collections.closedloop.mobility.plugins.plugin_utils import function_configuration


class FilterModule:
    """The filter closedloop.mobility.configuration_problems."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"configuration_problems": function_configuration.problems}
