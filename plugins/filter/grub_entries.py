# Copyright (c) 2026, The closedloop.mobility contributors
# SPDX-License-Identifier: Apache-2.0
"""The kernels in GRUB's menu."""

from __future__ import annotations

DOCUMENTATION = r"""
name: grub_entries
short_description: The kernels in GRUB's menu
version_added: "0.1.0"
description:
  - Reads a C(grub.cfg) that C(update-grub) has written.
options:
  _input:
    description: Content of C(/boot/grub/grub.cfg).
    type: str
    required: true
author:
  - The closedloop.mobility contributors (@closedloop)
"""

EXAMPLES = r"""
- name: The next boot is one of this kernel
  ansible.builtin.command:
    argv: [grub-reboot, "{{ (menu.content | b64decode | closedloop.mobility.grub_entries)['6.1.0-18-amd64'] }}"]
"""

RETURN = r"""
_value:
  description: From the release of each kernel to its entry, as C(grub-reboot) takes it.
  type: dict
"""

from collections.abc import Callable
from typing import Any

from ansible_collections.closedloop.mobility.plugins.plugin_utils import grub_menu


class FilterModule:
    """The filter closedloop.mobility.grub_entries."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"grub_entries": grub_menu.grub_entries}
