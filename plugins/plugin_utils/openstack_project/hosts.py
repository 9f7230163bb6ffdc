# Copyright (c) 2026, The closedloop.mobility contributors
# SPDX-License-Identifier: Apache-2.0
"""The deployment's servers as hosts of an inventory. Pure."""

from __future__ import annotations

from typing import Any

from ansible_collections.closedloop.mobility.plugins.plugin_utils.openstack_project.compare_network import port_name
from ansible_collections.closedloop.mobility.plugins.plugin_utils.openstack_project.declaration import Declaration
from ansible_collections.closedloop.mobility.plugins.plugin_utils.openstack_project.ownership import is_own
from ansible_collections.closedloop.mobility.plugins.plugin_utils.openstack_project.snapshot import Snapshot


def hosts(declared: Declaration, found: Snapshot) -> list[dict[str, Any]]:
    """Of each declared server that is there: `name`, `id`, `roles`, `address`, `compute_host`, and the addresses by network.

    `address` is where it is reached: its floating address, or else the first of its access port. `compute_host` is None for those who are
    no administrators.
    """
    told = []
    ports = {row["name"]: row for row in found.ports if is_own(declared, "port", row)}
    for server in declared.servers:
        full = declared.full(server.name)
        row = next((row for row in found.servers if row["name"] == full and is_own(declared, "server", row)), None)
        if row is None:
            continue
        by_network = {
            port.network: [entry["ip_address"] for entry in ports[name]["fixed_ips"]]
            for port in server.ports
            if (name := port_name(declared, server, port)) in ports
        }
        access = declared.access_port(server)
        access_id = ports.get(port_name(declared, server, access), {}).get("id")
        floating = next(
            (entry["floating_ip_address"] for entry in found.floating_ips if entry["port_id"] and entry["port_id"] == access_id), None
        )
        told.append(
            {
                "name": full,
                "id": row["id"],
                "roles": server.roles,
                "address": floating or next(iter(by_network.get(access.network, [])), None),
                "addresses": by_network,
                "compute_host": row["compute_host"],
            }
        )
    return told
