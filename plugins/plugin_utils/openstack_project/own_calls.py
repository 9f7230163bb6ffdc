# Copyright (c) 2026, The closedloop.mobility contributors
# SPDX-License-Identifier: Apache-2.0
"""What openstack.cloud has no module for."""

from __future__ import annotations

from typing import Any


def attach_port(connection: Any, *, server: str, port: str) -> None:
    """The port becomes an interface of the server. One that is another server's is refused by nova."""
    connection.compute.create_server_interface(server, port_id=port)


def wait_until_active(connection: Any, *, server: str, timeout_s: int) -> None:
    """A server that is being built, by a run that did not see the end of it."""
    connection.compute.wait_for_server(connection.compute.get_server(server), wait=timeout_s)


def set_rules(connection: Any, *, group: str, create: list[dict[str, Any]], remove: list[str]) -> None:
    """openstack.cloud.security_group takes a rule for any protocol for each one that the group has, and gives up on the second."""
    for rule in remove:
        connection.network.delete_security_group_rule(rule)
    for attributes in create:
        connection.network.create_security_group_rule(security_group_id=group, **attributes)


CALLS = {"own.attach_port": attach_port, "own.wait_until_active": wait_until_active, "own.set_rules": set_rules}
