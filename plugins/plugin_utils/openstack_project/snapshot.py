# Copyright (c) 2026, The closedloop.mobility contributors
# SPDX-License-Identifier: Apache-2.0
"""What is in an OpenStack project: read once, all lists at the same time, as plain data with openstacksdk's names."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from ipaddress import ip_network
from pathlib import Path
from typing import Any

from ansible_collections.closedloop.mobility.plugins.module_utils.openstack_connection import refusals
from ansible_collections.closedloop.mobility.plugins.plugin_utils.openstack_project.declaration import Declaration, Image

Rows = list[dict[str, Any]]
FIELDS: dict[str, tuple[str, ...]] = {
    "networks": ("id", "name", "description", "project_id", "mtu", "is_port_security_enabled", "is_router_external"),
    "subnets": (
        *("id", "name", "description", "network_id", "cidr", "ip_version", "is_dhcp_enabled", "gateway_ip"),
        *("dns_nameservers", "allocation_pools", "ipv6_ra_mode", "ipv6_address_mode"),
    ),
    "routers": ("id", "name", "description", "external_gateway_info"),
    "ports": (
        *("id", "name", "description", "network_id", "device_id", "device_owner", "fixed_ips"),
        *("allowed_address_pairs", "security_group_ids", "is_port_security_enabled"),
    ),
    "security_groups": ("id", "name", "description", "security_group_rules"),
    "floating_ips": ("id", "description", "floating_ip_address", "floating_network_id", "port_id"),
    "keypairs": ("name", "public_key"),
    "flavors": ("id", "name", "ram", "vcpus", "disk", "extra_specs"),
    "server_groups": ("id", "name", "policy", "member_ids"),
    "servers": (
        *("id", "name", "status", "task_state", "metadata", "flavor", "image", "key_name"),
        *("attached_volumes", "compute_host", "fault"),
    ),
    "images": ("id", "name", "status", "tags", "size", "disk_format", "min_disk", "min_ram", "hash_algo", "hash_value", "owner_id"),
    "volumes": ("id", "name", "status", "metadata", "size", "attachments"),
}


@dataclass(frozen=True)
class Limit:
    """How much of a thing a project may have, and has. None: as much as it wants."""

    allowed: int | None
    used: int


@dataclass
class Snapshot:
    """A project. Each list has the fields of FIELDS."""

    project_id: str
    networks: Rows = field(default_factory=list)
    subnets: Rows = field(default_factory=list)
    routers: Rows = field(default_factory=list)
    ports: Rows = field(default_factory=list)
    security_groups: Rows = field(default_factory=list)
    floating_ips: Rows = field(default_factory=list)
    keypairs: Rows = field(default_factory=list)
    flavors: Rows = field(default_factory=list)
    server_groups: Rows = field(default_factory=list)
    servers: Rows = field(default_factory=list)
    images: Rows = field(default_factory=list)
    volumes: Rows = field(default_factory=list)
    limits: dict[str, Limit] = field(default_factory=dict)
    has_volumes: bool = True
    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Of each declared image's file: `exists`, `size`, and `hash` where the cloud has an image to compare it with."""


def read(connection: Any, declared: Declaration) -> Snapshot:
    """The project that the connection is of. Raises MobilityError."""
    project = connection.current_project_id
    compute, network, image = connection.compute, connection.network, connection.image
    has_volumes = connection.has_service("block-storage")
    lists: dict[str, Callable[[], Any]] = {
        # Without a filter, for a provider's networks are another project's.
        "networks": network.networks,
        "subnets": lambda: network.subnets(project_id=project),
        "routers": lambda: network.routers(project_id=project),
        "ports": lambda: network.ports(project_id=project),
        "security_groups": lambda: network.security_groups(project_id=project),
        "floating_ips": lambda: network.ips(project_id=project),
        "keypairs": compute.keypairs,
        "flavors": compute.flavors,
        "server_groups": compute.server_groups,
        "servers": compute.servers,
        "images": image.images,
        "limits": lambda: [_limits(connection, project, has_volumes)],
    }
    if has_volumes:
        lists["volumes"] = connection.block_storage.volumes
    with refusals(declared.cloud, "the project cannot be read"), ThreadPoolExecutor(max_workers=len(lists)) as pool:
        answers = {name: pool.submit(lambda ask=ask: list(ask())) for name, ask in lists.items()}
        found = {name: answer.result() for name, answer in answers.items()}
    rows = {name: [plain(name, item) for item in found[name]] for name in lists if name != "limits"}
    return Snapshot(
        project_id=project,
        limits=found["limits"][0],
        has_volumes=has_volumes,
        files={entry.name: _file(entry, rows["images"], declared.full(entry.name)) for entry in declared.images},
        **rows,
    )


def plain(name: str, item: Any) -> dict[str, Any]:
    """The fields of FIELDS of a resource of openstacksdk."""
    whole = item.to_dict(computed=False)
    return {key: whole.get(key) for key in FIELDS[name]}


def _limits(connection: Any, project: str, has_volumes: bool) -> dict[str, Limit]:
    """By what one would ask an administrator for."""
    absolute = connection.compute.get_limits().absolute
    limits = {
        "instances": _limit(absolute.instances, absolute.instances_used),
        "cores": _limit(absolute.total_cores, absolute.total_cores_used),
        "ram": _limit(absolute.total_ram, absolute.total_ram_used),
        "server_groups": _limit(absolute.server_groups, absolute.server_groups_used),
        "server_group_members": _limit(absolute.server_group_members, 0),
    }
    quota = connection.network.get_quota(project, details=True)
    for name in ("networks", "subnets", "ports", "routers", "security_groups", "security_group_rules", "floating_ips"):
        entry = getattr(quota, name)
        limits[name] = _limit(entry["limit"], entry["used"])
    if has_volumes:
        usage = connection.block_storage.get_quota_set(project, usage=True)
        for name in ("volumes", "gigabytes"):
            limits[name] = _limit(getattr(usage, name), (usage.usage or {}).get(name, 0))
    return limits


def _limit(allowed: int | None, used: int | None) -> Limit:
    return Limit(None if allowed is None or allowed < 0 else allowed, used or 0)


def _file(image: Image, there: Rows, full: str) -> dict[str, Any]:
    path = Path(image.file)
    if not path.is_file() or not os.access(path, os.R_OK):
        return {"exists": False}
    facts: dict[str, Any] = {"exists": True, "size": path.stat().st_size}
    known = next((row for row in there if row["name"] == full and row["hash_algo"]), None)
    if known is not None and known["size"] == facts["size"]:
        with path.open("rb") as stream:
            facts["hash"] = hashlib.file_digest(stream, known["hash_algo"]).hexdigest()
    return facts


def same_prefix(one: str | None, other: str | None) -> bool:
    """Whether two texts are one address or prefix."""
    return (ip_network(one, strict=False) if one else None) == (ip_network(other, strict=False) if other else None)
