# Copyright (c) 2026, The closedloop.mobility contributors
# SPDX-License-Identifier: Apache-2.0
"""What a plan would take of the project's quotas. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from ansible_collections.closedloop.mobility.plugins.plugin_utils.openstack_project.compare_servers import flavor_of
from ansible_collections.closedloop.mobility.plugins.plugin_utils.openstack_project.declaration import Declaration
from ansible_collections.closedloop.mobility.plugins.plugin_utils.openstack_project.snapshot import Snapshot
from ansible_collections.closedloop.mobility.plugins.plugin_utils.openstack_project.steps import Plan

QUOTA_OF = {
    "network": "networks",
    "subnet": "subnets",
    "router": "routers",
    "port": "ports",
    "security_group": "security_groups",
    "floating_ip": "floating_ips",
    "server_group": "server_groups",
    "server": "instances",
    "volume": "volumes",
}


def demand(plan: Plan, declared: Declaration, found: Snapshot) -> Counter[str]:
    """What the plan adds, by quota."""
    made = [step for step in plan.steps if step.verb == "create"]
    wanted: Counter[str] = Counter(QUOTA_OF[step.kind] for step in made if step.kind in QUOTA_OF)
    names = {(step.kind, step.name) for step in made}
    for server in declared.servers:
        flavor = flavor_of(declared, found, server.flavor)
        if ("server", declared.full(server.name)) in names and flavor is not None:
            wanted.update(cores=flavor[1], ram=flavor[2])
        wanted.update(gigabytes=sum(volume.size_gib for volume in server.volumes if ("volume", declared.full(volume.name)) in names))
    for step in made:
        if step.kind == "security_group":
            wanted.update(security_group_rules=len(step.arguments["security_group_rules"]))
    # A router has a port on each subnet and one outside.
    for step in plan.steps:
        if step.kind == "router" and step.part == "interfaces":
            there = plan.before.get(f"router/{step.name}", {}).get("interfaces", [])
            wanted.update(ports=len(set(step.arguments["interfaces"]) - set(there)))
    return wanted


def exceeded(plan: Plan, declared: Declaration, found: Snapshot) -> Iterator[str]:
    """A problem for each quota that the plan does not fit in."""
    for name, more in sorted(demand(plan, declared, found).items()):
        limit = found.limits.get(name)
        if limit is not None and limit.allowed is not None and more and limit.used + more > limit.allowed:
            yield (
                f"quota {name}: {limit.used} of {limit.allowed} are used and {more} more are needed; have it raised to "
                f"{limit.used + more}, or remove something"
            )
    members = found.limits.get("server_group_members")
    for group in declared.server_groups:
        size = sum(server.server_group == group.name for server in declared.servers)
        if members is not None and members.allowed is not None and size > members.allowed:
            where = f"openstack_project_server_groups[{group.name}]"
            yield f"quota server_group_members: {size} servers are in {where} and {members.allowed} may be; have it raised to {size}"
