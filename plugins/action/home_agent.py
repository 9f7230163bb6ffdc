# Copyright (c) 2026, The closedloop.mobility contributors
# SPDX-License-Identifier: Apache-2.0
"""Runs the module closedloop.mobility.home_agent without a new Python process where the host is this machine."""

from __future__ import annotations

from typing import Any, ClassVar

from ansible_collections.closedloop.mobility.plugins.module_utils import backend_resources
from ansible_collections.closedloop.mobility.plugins.plugin_utils.in_process import InProcessAction


class ActionModule(InProcessAction):
    module_name = "closedloop.mobility.home_agent"
    argument_spec = backend_resources.HOME_AGENT_ARGUMENTS
    function = staticmethod(backend_resources.home_agent)
    inside_namespace = True
    further_checks: ClassVar[dict[str, Any]] = backend_resources.HOME_AGENT_CHECKS
