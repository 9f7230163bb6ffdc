# Copyright (c) 2026, The closedloop.mobility contributors
# SPDX-License-Identifier: Apache-2.0
"""The declaration held against the project: what is to be made or changed, and what stands in the way. Pure."""

from __future__ import annotations

from typing import Any

from ansible_collections.closedloop.mobility.plugins.plugin_utils.openstack_project import compare_network, compare_servers
from ansible_collections.closedloop.mobility.plugins.plugin_utils.openstack_project.declaration import Declaration
from ansible_collections.closedloop.mobility.plugins.plugin_utils.openstack_project.ownership import owned
from ansible_collections.closedloop.mobility.plugins.plugin_utils.openstack_project.quota import exceeded
from ansible_collections.closedloop.mobility.plugins.plugin_utils.openstack_project.snapshot import Snapshot
from ansible_collections.closedloop.mobility.plugins.plugin_utils.openstack_project.steps import Ids, Plan


def compare(declared: Declaration, found: Snapshot, *, server_timeout_s: int) -> Plan:
    """The plan that makes the project as declared."""
    plan = Plan()
    compare_network.networks(plan, declared, found)
    compare_network.routers(plan, declared, found)
    compare_network.security_groups(plan, declared, found)
    compare_network.ports(plan, declared, found)
    compare_servers.prerequisites(plan, declared, found)
    compare_servers.servers(plan, declared, found, server_timeout_s)
    compare_network.floating_addresses(plan, declared, found)
    plan.problems += [f"cloud {declared.cloud}: {text}" for text in exceeded(plan, declared, found)]
    known = set(plan.after)
    # A floating address has no name; those of ports that are gone are used again.
    named = (f"{kind}/{row['name']}" for kind, row in owned(declared, found) if kind != "floating_ip")
    plan.undeclared = sorted(key for key in named if key not in known)
    return plan


def ids(found: Snapshot, declared: Declaration) -> Ids:
    """Of what is there already and steps may refer to."""
    kinds: dict[str, list[dict[str, Any]]] = {
        "network": found.networks,
        "port": found.ports,
        "server": found.servers,
        "server_group": found.server_groups,
    }
    prefix = declared.full("")
    return {(kind, row["name"]): row["id"] for kind, rows in kinds.items() for row in rows if (row["name"] or "").startswith(prefix)}
