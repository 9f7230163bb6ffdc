# Copyright (c) 2026, The closedloop.mobility contributors
# SPDX-License-Identifier: Apache-2.0
"""What openstack.cloud has no module for."""

from __future__ import annotations

import time
from typing import Any

POLL_S = 1.0


def attach_port(connection: Any, *, server: str, port: str) -> None:
    """The port becomes an interface of the server. One that is another server's is refused by nova."""
    connection.compute.create_server_interface(server, port_id=port)


def wait_until_active(connection: Any, *, servers: list[str], timeout_s: int) -> None:
    """All of them, by one question for all: the module asks nova for each one, which costs the cloud more than building them."""
    deadline = time.monotonic() + timeout_s
    while True:
        found = [server for server in connection.compute.servers() if server.id in servers]
        broken = [
            f"{server.name}: {(server.fault or {}).get('message', 'no reason given')}" for server in found if server.status == "ERROR"
        ]
        if broken:
            raise RuntimeError(f"nova could not build {'; '.join(broken)}")
        slow = [server.name for server in found if server.status != "ACTIVE"]
        slow += sorted(set(servers) - {server.id for server in found})  # one that is not there is not active
        if not slow:
            return
        if time.monotonic() > deadline:
            raise RuntimeError(f"not active after {timeout_s} s (openstack_project_server_timeout_s): {', '.join(slow)}")
        time.sleep(POLL_S)


def set_rules(connection: Any, *, group: str, create: list[dict[str, Any]], remove: list[str]) -> None:
    """openstack.cloud.security_group takes a rule for any protocol for each one that the group has, and gives up on the second."""
    for rule in remove:
        connection.network.delete_security_group_rule(rule)
    for attributes in create:
        connection.network.create_security_group_rule(security_group_id=group, **attributes)


CALLS = {"own.attach_port": attach_port, "own.wait_until_active": wait_until_active, "own.set_rules": set_rules}
