# Copyright (c) 2026, The closedloop.mobility contributors
# SPDX-License-Identifier: Apache-2.0
"""A kubeconfig whose cluster, user and context are called after its cluster."""

from __future__ import annotations

DOCUMENTATION = r"""
name: kubeconfig_named
short_description: A kubeconfig whose cluster, user and context are called after its cluster
version_added: "0.1.0"
description:
  - Takes what kubeadm writes. What it says of a wrong one quotes nothing of it.
options:
  _input:
    description: Content of a kubeconfig with one cluster and one user.
    type: str
    required: true
  name:
    description: Name of the cluster.
    type: str
    required: true
author:
  - The closedloop.mobility contributors (@closedloop)
"""

EXAMPLES = r"""
- name: The cluster has a kubeconfig
  ansible.builtin.copy:
    dest: ~/.kube/east.conf
    content: "{{ slurped.content | b64decode | closedloop.mobility.kubeconfig_named('east') }}"
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
    """The filter closedloop.mobility.kubeconfig_named."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"kubeconfig_named": kubeconfig.kubeconfig_named}
