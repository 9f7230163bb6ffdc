# Copyright (c) 2026, The closedloop.mobility contributors
# SPDX-License-Identifier: Apache-2.0
"""Whose something in the project is: the mark of a deployment, which everything that it makes carries from its first moment."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ansible_collections.closedloop.mobility.plugins.plugin_utils.openstack_project.declaration import Declaration
from ansible_collections.closedloop.mobility.plugins.plugin_utils.openstack_project.snapshot import Snapshot

DEPLOYMENT_KEY = "closedloop_deployment"
ROLES_KEY = "closedloop_roles"
ACCESS_KEY = "closedloop_access_network"
FLAVOR_KEY = "closedloop:deployment"
"""With a scope, for the scheduler takes an extra spec without one for a demand on the compute host."""
KEYPAIR = "key"
DESCRIBED = ("network", "subnet", "router", "port", "security_group", "floating_ip")


def image_tag(declared: Declaration) -> str:
    return f"{DEPLOYMENT_KEY}={declared.deployment}"


def is_own(declared: Declaration, kind: str, row: dict[str, Any]) -> bool:
    """Whether the deployment made it."""
    if kind in DESCRIBED:
        return bool(row["description"] == declared.owner)
    if kind in ("server", "volume"):
        return bool((row["metadata"] or {}).get(DEPLOYMENT_KEY) == declared.deployment)
    if kind == "image":
        return image_tag(declared) in (row["tags"] or [])
    if kind == "flavor":
        return bool((row["extra_specs"] or {}).get(FLAVOR_KEY) == declared.deployment)
    # Keypairs and server groups have nothing but a name, which is the deployment's.
    if kind == "keypair":
        return bool(row["name"] == declared.full(KEYPAIR))
    return bool(row["name"].startswith(declared.full("")))


def owned(declared: Declaration, found: Snapshot) -> Iterator[tuple[str, dict[str, Any]]]:
    """All that the deployment made."""
    kinds = {
        "network": found.networks,
        "subnet": found.subnets,
        "router": found.routers,
        "port": found.ports,
        "security_group": found.security_groups,
        "floating_ip": found.floating_ips,
        "keypair": found.keypairs,
        "flavor": found.flavors,
        "server_group": found.server_groups,
        "server": found.servers,
        "image": found.images,
        "volume": found.volumes,
    }
    own_servers = {row["id"] for row in found.servers if is_own(declared, "server", row)}
    for kind, rows in kinds.items():
        for row in rows:
            # A server group that somebody else's server is in is somebody else's, whatever its name.
            foreign = kind == "server_group" and not own_servers.issuperset(row["member_ids"] or [])
            if is_own(declared, kind, row) and not foreign:
                yield kind, row
