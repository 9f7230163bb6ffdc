"""Connection to a machine that machine.py made."""

from __future__ import annotations

DOCUMENTATION = r"""
name: machine
short_description: Run tasks in a machine for tests
description:
  - Runs every command in the namespaces of a machine, with the environment of a login there and nothing of the controller's.
author:
  - The closedloop.mobility contributors (@closedloop)
options:
  state:
    description: Directory of the machines.
    type: path
    required: true
    vars:
      - name: ansible_machine_state
  remote_addr:
    description: Name of the machine.
    type: str
    default: inventory_hostname
    vars:
      - name: inventory_hostname
      - name: ansible_host
extends_documentation_fragment:
  - connection_pipelining
"""

import shlex
import subprocess
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.connection.local import Connection as LocalConnection

ENVIRONMENT = ("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "TERM=dumb", "LANG=C.UTF-8")


class Connection(LocalConnection):
    """The local connection, in the machine's namespaces."""

    transport = "machine"
    has_pipelining = True

    def _enter(self) -> list[str]:
        name = self.get_option("remote_addr")
        try:
            pid = Path(self.get_option("state"), name, "pid").read_text()
        except OSError as error:
            raise AnsibleConnectionFailure(f"there is no machine {name}: {error}") from error
        return ["nsenter", "--target", pid, "--all", "--root", "--wdns=/root", "env", "-i", *ENVIRONMENT]

    def exec_command(self, cmd: str, in_data: bytes | None = None, sudoable: bool = True) -> tuple[int, bytes, bytes]:
        return super().exec_command(f"{shlex.join(self._enter())} {cmd}", in_data=in_data, sudoable=sudoable)

    def put_file(self, in_path: str, out_path: str) -> None:
        with Path(in_path).open("rb") as source:
            self._pass(["dd", "status=none", "bs=1M", f"of={out_path}"], stdin=source)

    def fetch_file(self, in_path: str, out_path: str) -> None:
        with Path(out_path).open("wb") as target:
            self._pass(["cat", in_path], stdout=target)

    def _pass(self, command: list[str], **streams: Any) -> None:
        done = subprocess.run([*self._enter(), *command], stderr=subprocess.PIPE, check=False, **streams)
        if done.returncode:
            raise AnsibleConnectionFailure(done.stderr.decode(errors="replace"))
