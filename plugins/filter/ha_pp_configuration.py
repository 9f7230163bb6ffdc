# Copyright (c) 2026, The closedloop.mobility contributors
# SPDX-License-Identifier: Apache-2.0
"""Configuration of an HA-PP."""

from __future__ import annotations

DOCUMENTATION = r"""
name: ha_pp_configuration
positional: backend, user, settings
short_description: Configuration of an HA-PP
version_added: "0.1.0"
description:
  - Makes the content of an HA-PP's configuration file from its VF module.
options:
  _input:
    description: The VF module with all its addresses.
    type: dict
    required: true
  backend:
    description: HA-B with address, link_port, ca_file and token_file.
    type: dict
    required: true
  user:
    description: User that the HA-PP becomes, a name or a number.
    type: raw
    required: true
  settings:
    description: Further fields of the configuration.
    type: dict
    required: true
author:
  - The closedloop.mobility contributors (@closedloop)
"""

EXAMPLES = r"""
- name: The configuration is known
  ansible.builtin.set_fact:
    configuration: "{{ vf_module | closedloop.mobility.ha_pp_configuration(backend, 'nobody', {}) }}"
"""

RETURN = r"""
_value:
  description: The configuration as a mapping.
  type: dict
"""

from collections.abc import Callable
from typing import Any

from ansible_collections.closedloop.mobility.plugins.plugin_utils import vf_modules


class FilterModule:
    """The filter closedloop.mobility.ha_pp_configuration."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"ha_pp_configuration": vf_modules.ha_pp_configuration}
