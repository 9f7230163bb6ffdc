# Copyright (c) 2026, The closedloop.mobility contributors
# SPDX-License-Identifier: Apache-2.0
"""Runs the module closedloop.mobility.kernel_features without a new Python process where the host is this machine."""

from __future__ import annotations

from ansible_collections.closedloop.mobility.plugins.module_utils import kernel_features
from ansible_collections.closedloop.mobility.plugins.plugin_utils.in_process import InProcessAction


class ActionModule(InProcessAction):
    module_name = "closedloop.mobility.kernel_features"
    argument_spec = kernel_features.ARGUMENT_SPEC
    function = staticmethod(kernel_features.run)
