# Copyright (c) 2026, The closedloop.mobility contributors
# SPDX-License-Identifier: Apache-2.0
"""A compute host of a cloud is emptied of a deployment's servers, or takes servers again. Needs an administrator's rights."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from ansible_collections.closedloop.mobility.plugins.module_utils.openstack_connection import connected, refusals
from ansible_collections.closedloop.mobility.plugins.module_utils.outcome import MobilityError, Outcome

ARGUMENT_SPEC: dict[str, Any] = {
    "cloud": {"type": "str", "required": True},
    "name": {"type": "str", "required": True},
    "deployment": {"type": "str", "required": True},
    "state": {"type": "str", "default": "drained", "choices": ["drained", "in_service"]},
    "migration": {"type": "str", "default": "live", "choices": ["live", "cold"]},
    "timeout_s": {"type": "int", "default": 300},
}
REASON = "drained by closedloop.mobility"
DEPLOYMENT_KEY = "closedloop_deployment"
POLL_S = 0.5


@dataclass(frozen=True)
class Member:
    """A server, where it runs, and the servers that it must share no host with."""

    id: str
    name: str
    host: str
    status: str
    apart_from: frozenset[str] = frozenset()


def without_place(leaving: Iterable[Member], members: Iterable[Member], free_hosts: frozenset[str]) -> Iterator[str]:
    """Of each server that leaves, why no host can take it. `free_hosts` are those that are up, enabled and not the drained one. Pure."""
    where = {member.id: member.host for member in members}
    for member in leaving:
        taken = {where[other] for other in member.apart_from if other in where}
        if not free_hosts - taken:
            others = ", ".join(sorted(free_hosts)) or "none"
            yield f"server {member.name}: its anti-affinity leaves it no host ({others} could take servers); add or enable a compute host"


def run(params: dict[str, Any], *, check_mode: bool) -> Outcome:
    """Raises MobilityError."""
    cloud, name = params["cloud"], params["name"]
    connection = connected(cloud)
    with refusals(cloud, f"compute host {name} cannot be {'drained' if params['state'] == 'drained' else 'enabled'}"):
        services = list(connection.compute.services(binary="nova-compute"))
        service = next((entry for entry in services if entry.host == name), None)
        if service is None:
            has = ", ".join(sorted(entry.host for entry in services)) or "none"
            raise MobilityError(f"cloud {cloud}: there is no compute host '{name}'; it has {has}")
        if params["state"] == "in_service":
            return _in_service(connection, service, check_mode=check_mode)
        free = frozenset(entry.host for entry in services if entry.host != name and entry.status == "enabled" and entry.state == "up")
        return _drained(connection, params, service, free, check_mode=check_mode)


def _in_service(connection: Any, service: Any, *, check_mode: bool) -> Outcome:
    enabled = service.status == "enabled"
    if not enabled and not check_mode:
        connection.compute.enable_service(service)
    return Outcome(before={"enabled": enabled}, after={"enabled": True}, values={"migrated": []})


def _drained(connection: Any, params: dict[str, Any], service: Any, free: frozenset[str], *, check_mode: bool) -> Outcome:
    name = params["name"]
    members = _members(connection, params["deployment"])
    leaving = [member for member in members if member.host == name or member.status == "VERIFY_RESIZE"]
    problems = list(without_place(leaving, members, free))
    if problems:
        raise MobilityError(f"cloud {params['cloud']}: compute host {name} cannot be drained: {'; '.join(problems)}")
    before = {"enabled": service.status == "enabled", "servers": {member.name: member.host for member in members}}
    after = {"enabled": False, "servers": dict(before["servers"])}
    migrated = []
    if before["enabled"] and not check_mode:
        connection.compute.disable_service(service, disabled_reason=REASON)
    # One after the other: nova's scheduler keeps two servers apart only if it knows where the first one is.
    for member in leaving:
        begun = time.monotonic()
        host = "another" if check_mode else _migrate(connection, params, member)
        after["servers"][member.name] = host
        migrated.append({"name": member.name, "from": name, "to": host, "ms": round((time.monotonic() - begun) * 1000)})
    return Outcome(before=before, after=after, values={"migrated": migrated})


def _members(connection: Any, deployment: str) -> list[Member]:
    groups = [group for group in connection.compute.server_groups(all_projects=True) if group.policy == "anti-affinity"]
    return [
        Member(
            id=server.id,
            name=server.name,
            host=server.compute_host,
            status=server.status,
            apart_from=frozenset(other for group in groups if server.id in group.member_ids for other in group.member_ids) - {server.id},
        )
        for server in connection.compute.servers(all_projects=True)
        if (server.metadata or {}).get(DEPLOYMENT_KEY) == deployment
    ]


def _migrate(connection: Any, params: dict[str, Any], member: Member) -> str:
    """The host that the server is on afterwards."""
    compute = connection.compute
    earlier = {entry.id for entry in compute.migrations(server_id=member.id)}
    # Of a run that was killed, a migration may be under way.
    if member.status in ("ACTIVE", "SHUTOFF"):
        if params["migration"] == "live" and member.status == "ACTIVE":
            compute.live_migrate_server(member.id, host=None, block_migration="auto")
        else:
            compute.migrate_server(member.id)
    deadline = time.monotonic() + params["timeout_s"]
    confirmed = False
    while True:
        server = compute.get_server(member.id)
        if server.status == "VERIFY_RESIZE":
            # Once: it stays in this state while the confirmation is under way, and a second one is refused.
            if not confirmed:
                compute.confirm_server_resize(member.id)
            confirmed = True
        elif server.compute_host != member.host and server.task_state is None and server.status in ("ACTIVE", "SHUTOFF"):
            return str(server.compute_host)
        state = next((entry.status for entry in compute.migrations(server_id=member.id) if entry.id not in earlier), "under way")
        if server.status == "ERROR" or (state in ("error", "failed", "cancelled") and server.task_state is None):
            raise MobilityError(
                f"cloud {params['cloud']}: server {member.name} is {server.status} on {server.compute_host} and its migration {state}; "
                "see nova's log of the host and whether another has room, or set evacuate_migration to cold"
            )
        if time.monotonic() > deadline:
            raise MobilityError(
                f"cloud {params['cloud']}: server {member.name} was not migrated within {params['timeout_s']} s, its migration is {state}; "
                "wait for its end and run this again, or raise evacuate_timeout_s"
            )
        time.sleep(POLL_S)
