# Copyright (c) 2026, The closedloop.mobility contributors
# SPDX-License-Identifier: Apache-2.0
"""Runs the module closedloop.mobility.kernel_build without a new Python process where the host is this machine."""

from __future__ import annotations

from ansible_collections.closedloop.mobility.plugins.module_utils import kernel_build
from ansible_collections.closedloop.mobility.plugins.plugin_utils.in_process import InProcessAction


class ActionModule(InProcessAction):
    module_name = "closedloop.mobility.kernel_build"
    argument_spec = kernel_build.ARGUMENT_SPEC
    function = staticmethod(kernel_build.run)
