# Copyright (c) 2026, The closedloop.mobility contributors
# SPDX-License-Identifier: Apache-2.0
"""Does the work of the module closedloop.mobility.operation, always in the controller's process: that is who carries the operation out."""

from __future__ import annotations

from typing import Any, ClassVar

from ansible_collections.closedloop.mobility.plugins.plugin_utils import operation
from ansible_collections.closedloop.mobility.plugins.plugin_utils.in_process import InProcessAction


class ActionModule(InProcessAction):
    module_name = "closedloop.mobility.operation"
    argument_spec = operation.ARGUMENT_SPEC
    function = staticmethod(operation.run)
    further_checks: ClassVar[dict[str, Any]] = operation.FURTHER_CHECKS

    def _here(self) -> bool:
        return True
