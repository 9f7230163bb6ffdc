# Copyright (c) 2026, The closedloop.mobility contributors
# SPDX-License-Identifier: Apache-2.0
"""Where a function reports to."""

from __future__ import annotations

DOCUMENTATION = r"""
name: ves_configuration
positional: directory
short_description: Where a function sends its VES events
version_added: "0.1.0"
description:
  - Makes the part C(ves) of a function's configuration file.
options:
  _input:
    description: The collector with url, ca_file, username and password_file. Empty where there is none.
    type: dict
    required: true
  directory:
    description: The directory of the function's user. What the collector has not taken waits there, in C(events.sqlite).
    type: path
    required: true
author:
  - The closedloop.mobility contributors (@closedloop)
"""

EXAMPLES = r"""
- name: The configuration is known
  ansible.builtin.set_fact:
    configuration: "{{ function | combine(collector | closedloop.mobility.ves_configuration('/var/lib/ha-b')) }}"
"""

RETURN = r"""
_value:
  description: A mapping with C(ves), or an empty one.
  type: dict
"""

from collections.abc import Callable
from typing import Any

from ansible_collections.closedloop.mobility.plugins.plugin_utils import vf_modules


class FilterModule:
    """The filter closedloop.mobility.ves_configuration."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"ves_configuration": vf_modules.ves_configuration}
