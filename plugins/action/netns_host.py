# Copyright (c) 2026, The closedloop.mobility contributors
# SPDX-License-Identifier: Apache-2.0
"""Runs the module closedloop.mobility.netns_host without a new Python process where the host is this machine."""

from __future__ import annotations

from ansible_collections.closedloop.mobility.plugins.module_utils import netns_host
from ansible_collections.closedloop.mobility.plugins.plugin_utils.in_process import InProcessAction


class ActionModule(InProcessAction):
    module_name = "closedloop.mobility.netns_host"
    argument_spec = netns_host.ARGUMENT_SPEC
    function = staticmethod(netns_host.run)
