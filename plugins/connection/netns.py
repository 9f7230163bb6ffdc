# Copyright (c) 2026, The closedloop.mobility contributors
# SPDX-License-Identifier: Apache-2.0
"""Connection to a host that is a network namespace of this machine."""

from __future__ import annotations

DOCUMENTATION = r"""
name: netns
short_description: Run tasks in a named network namespace of this machine
description:
  - Runs every command in a named network namespace of the machine that Ansible runs on, so that an inventory can list namespaces as hosts.
  - Commands run by C(ip netns exec), which also shows the namespace's own devices below C(/sys). Files are those of the machine.
  - Entering a namespace needs root.
author:
  - The closedloop.mobility contributors (@closedloop)
version_added: "0.1.0"
options:
  remote_addr:
    description: Name of the host, without the prefix of its lab.
    type: str
    default: inventory_hostname
    vars:
      - name: inventory_hostname
      - name: ansible_host
  prefix:
    description: What stands before the host's name in the name of its namespace, as C(ip netns list) shows it. Tells labs apart.
    type: str
    default: ""
    vars:
      - name: ansible_netns_prefix
extends_documentation_fragment:
  - connection_pipelining
"""

import shlex

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.connection.local import Connection as LocalConnection
from ansible_collections.closedloop.mobility.plugins.module_utils import namespaces
from ansible_collections.closedloop.mobility.plugins.module_utils.outcome import MobilityError


class Connection(LocalConnection):
    """The local connection; each command is prefixed by `ip netns exec`. File transfer stays that of the local connection."""

    transport = "closedloop.mobility.netns"
    has_pipelining = True

    @property
    def namespace(self) -> str:
        """Name of the host's network namespace."""
        return str(self.get_option("prefix")) + str(self.get_option("remote_addr"))

    def exec_command(self, cmd: str, in_data: bytes | None = None, sudoable: bool = True) -> tuple[int, bytes, bytes]:
        """Run the command in the namespace. A namespace that is not there is an unreachable host."""
        name = self.namespace
        try:
            namespaces.identity(name)
        except MobilityError as error:
            raise AnsibleConnectionFailure(str(error)) from error
        return super().exec_command(f"ip netns exec {shlex.quote(name)} {cmd}", in_data=in_data, sudoable=sudoable)
