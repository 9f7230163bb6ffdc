# Copyright (c) 2026, The closedloop.mobility contributors
# SPDX-License-Identifier: Apache-2.0
"""Runs the module closedloop.mobility.binding_info without a new Python process where the host is this machine."""

from __future__ import annotations

from typing import Any, ClassVar

from ansible_collections.closedloop.mobility.plugins.module_utils import backend_resources
from ansible_collections.closedloop.mobility.plugins.plugin_utils.in_process import InProcessAction


class ActionModule(InProcessAction):
    module_name = "closedloop.mobility.binding_info"
    argument_spec = backend_resources.BINDING_INFO_ARGUMENTS
    function = staticmethod(backend_resources.binding_info)
    inside_namespace = True
    further_checks: ClassVar[dict[str, Any]] = backend_resources.BINDING_INFO_CHECKS
