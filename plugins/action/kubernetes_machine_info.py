# Copyright (c) 2026, The closedloop.mobility contributors
# SPDX-License-Identifier: Apache-2.0
"""Runs the module closedloop.mobility.kubernetes_machine_info without a new Python process where the host is this machine."""

from __future__ import annotations

from ansible_collections.closedloop.mobility.plugins.module_utils import kubernetes_machine
from ansible_collections.closedloop.mobility.plugins.plugin_utils.in_process import InProcessAction


class ActionModule(InProcessAction):
    module_name = "closedloop.mobility.kubernetes_machine_info"
    argument_spec = kubernetes_machine.ARGUMENT_SPEC
    function = staticmethod(kubernetes_machine.run)
