# Copyright (c) 2026, The closedloop.mobility contributors
# SPDX-License-Identifier: Apache-2.0
"""Several kubeconfigs in one."""

from __future__ import annotations

DOCUMENTATION = r"""
name: kubeconfigs_merged
short_description: Several kubeconfigs in one
version_added: "0.1.0"
description:
  - The clusters, users and contexts of all. The first context is the current one.
options:
  _input:
    description: Contents of kubeconfigs.
    type: list
    elements: str
    required: true
author:
  - The closedloop.mobility contributors (@closedloop)
"""

EXAMPLES = r"""
- name: All clusters are in one kubeconfig
  ansible.builtin.copy:
    dest: ~/.kube/config
    content: "{{ q('ansible.builtin.file', '~/.kube/east.conf', '~/.kube/west.conf') | closedloop.mobility.kubeconfigs_merged }}"
    mode: "0600"
  no_log: true
  diff: false
"""

RETURN = r"""
_value:
  description: The kubeconfig, as YAML.
  type: str
"""

from collections.abc import Callable
from typing import Any

from ansible_collections.closedloop.mobility.plugins.plugin_utils import kubeconfig


class FilterModule:
    """The filter closedloop.mobility.kubeconfigs_merged."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"kubeconfigs_merged": kubeconfig.kubeconfigs_merged}
