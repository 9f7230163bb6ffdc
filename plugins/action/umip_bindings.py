# Copyright (c) 2026, The closedloop.mobility contributors
# SPDX-License-Identifier: Apache-2.0
"""Runs the module closedloop.mobility.umip_bindings without a new Python process where the host is this machine."""

from __future__ import annotations

from ansible_collections.closedloop.mobility.plugins.module_utils import umip_vt
from ansible_collections.closedloop.mobility.plugins.plugin_utils.in_process import InProcessAction


class ActionModule(InProcessAction):
    module_name = "closedloop.mobility.umip_bindings"
    argument_spec = umip_vt.ARGUMENT_SPEC
    function = staticmethod(umip_vt.run)
    inside_namespace = True
