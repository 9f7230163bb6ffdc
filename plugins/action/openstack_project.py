# Copyright (c) 2026, The closedloop.mobility contributors
# SPDX-License-Identifier: Apache-2.0
"""The module closedloop.mobility.openstack_project, which exists here only: it runs modules of another collection."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleActionFail
from ansible_collections.closedloop.mobility.plugins.plugin_utils.in_process import InProcessAction
from ansible_collections.closedloop.mobility.plugins.plugin_utils.openstack_project import run as project


class ActionModule(InProcessAction):
    module_name = "closedloop.mobility.openstack_project"
    argument_spec = project.ARGUMENT_SPEC
    function = staticmethod(project.run)

    def _here(self) -> bool:
        """What is asked is the cloud, by whoever runs this: neither root nor the task's host matters."""
        return True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        if self._connection.transport not in ("local", "ansible.builtin.local"):
            raise AnsibleActionFail("this asks the cloud from the controller: run it on localhost, or delegate it to localhost")
        return super().run(tmp, task_vars)
