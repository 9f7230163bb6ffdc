# Copyright (c) 2026, The closedloop.mobility contributors
# SPDX-License-Identifier: Apache-2.0
"""What is to be removed so that nothing of a deployment is left, and what of others is in the way. Pure."""

from __future__ import annotations

from typing import Any

from ansible_collections.closedloop.mobility.plugins.plugin_utils.openstack_project.declaration import Declaration
from ansible_collections.closedloop.mobility.plugins.plugin_utils.openstack_project.ownership import owned
from ansible_collections.closedloop.mobility.plugins.plugin_utils.openstack_project.snapshot import Snapshot
from ansible_collections.closedloop.mobility.plugins.plugin_utils.openstack_project.steps import Plan, Step

NETWORK_TYPES = {"network": "network", "port": "port", "floating_ip": "ip", "security_group": "security_group"}
AFTER = {
    "volume": ("server",),
    "port": ("server",),
    "server_group": ("server",),
    "keypair": ("server",),
    "flavor": ("server",),
    "image": ("server",),
    "router": ("floating_ip",),
    "security_group": ("port",),
    "network": ("port", "router"),
}


def remove(declared: Declaration, found: Snapshot, *, server_timeout_s: int) -> Plan:
    """Subnets go with their networks."""
    plan = Plan()
    rows = list(owned(declared, found))
    keys = {
        kind: [f"{kind}/{_name(kind, row)}/{_id(row)}" for other, row in rows if other == kind] for kind in {kind for kind, _row in rows}
    }
    for kind, row in rows:
        plan.before[f"{kind}/{_name(kind, row)}"] = "present"
        if kind == "subnet":
            continue
        needs = frozenset(key for other in AFTER.get(kind, ()) for key in keys.get(other, []))
        call, arguments = _call(kind, row, server_timeout_s)
        plan.steps.append(Step(kind, _name(kind, row), "remove", call, arguments, needs, part=_id(row)))
    plan.problems = _in_the_way(declared, found, rows)
    return plan


def _name(kind: str, row: dict[str, Any]) -> str:
    return str(row["floating_ip_address"] if kind == "floating_ip" else row["name"])


def _id(row: dict[str, Any]) -> str:
    return str(row.get("id") or row["name"])


def _call(kind: str, row: dict[str, Any], timeout_s: int) -> tuple[str, dict[str, Any]]:
    if kind in NETWORK_TYPES:
        arguments = {"service": "network", "type": NETWORK_TYPES[kind], "attributes": {"id": row["id"]}, "state": "absent"}
        return "openstack.cloud.resource", arguments
    modules = {"flavor": "compute_flavor"}
    name = row["name"] if kind in ("keypair", "flavor") else row["id"]
    waits = {"timeout": timeout_s} if kind in ("server", "volume") else {}
    return f"openstack.cloud.{modules.get(kind, kind)}", {"name": name, "state": "absent", **waits}


def _in_the_way(declared: Declaration, found: Snapshot, rows: list[tuple[str, dict[str, Any]]]) -> list[str]:
    """Ports of others on the deployment's networks: the cloud would refuse to remove these, half-way."""
    networks = {row["id"]: row["name"] for kind, row in rows if kind == "network"}
    own = {row["id"] for kind, row in rows if kind in ("port", "router", "server")}
    return [
        f"cloud {declared.cloud}: port {port['name'] or port['id']} on network {networks[port['network_id']]} is not of deployment "
        f"{declared.deployment}, but of {port['device_owner'] or 'nobody'} {port['device_id']}; remove it first"
        for port in found.ports
        if port["network_id"] in networks
        and port["id"] not in own
        and port["device_id"] not in own
        and not (port["device_owner"] or "").startswith(("network:dhcp", "network:distributed", "network:router_centralized"))
    ]
