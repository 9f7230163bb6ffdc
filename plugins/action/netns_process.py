# Copyright (c) 2026, The closedloop.mobility contributors
# SPDX-License-Identifier: Apache-2.0
"""Runs the module closedloop.mobility.netns_process without a new Python process where the host is this machine."""

from __future__ import annotations

from typing import Any, ClassVar

from ansible_collections.closedloop.mobility.plugins.module_utils import processes
from ansible_collections.closedloop.mobility.plugins.plugin_utils.in_process import InProcessAction


class ActionModule(InProcessAction):
    module_name = "closedloop.mobility.netns_process"
    argument_spec = processes.ARGUMENT_SPEC
    function = staticmethod(processes.run)
    further_checks: ClassVar[dict[str, Any]] = {"required_if": processes.REQUIRED_IF}
