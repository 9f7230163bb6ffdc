# Copyright (c) 2026, The closedloop.mobility contributors
# SPDX-License-Identifier: Apache-2.0
"""Keypair, images, flavors, server groups, servers and their volumes: declared against found. Pure."""

from __future__ import annotations

from typing import Any

from ansible_collections.closedloop.mobility.plugins.plugin_utils.openstack_project.compare_network import port_name
from ansible_collections.closedloop.mobility.plugins.plugin_utils.openstack_project.declaration import Declaration, Image, Server, Volume
from ansible_collections.closedloop.mobility.plugins.plugin_utils.openstack_project.differ import Thing, hold
from ansible_collections.closedloop.mobility.plugins.plugin_utils.openstack_project.ownership import (
    ACCESS_KEY,
    DEPLOYMENT_KEY,
    FLAVOR_KEY,
    KEYPAIR,
    ROLES_KEY,
    image_tag,
    is_own,
)
from ansible_collections.closedloop.mobility.plugins.plugin_utils.openstack_project.snapshot import Snapshot
from ansible_collections.closedloop.mobility.plugins.plugin_utils.openstack_project.steps import Plan, Ref, Step

ACTIVE = "all, until they are active"


def prerequisites(plan: Plan, declared: Declaration, found: Snapshot) -> None:
    """What servers are made from."""
    _keypair(plan, declared, found)
    for image in declared.images:
        _image(plan, declared, found, image)
    _flavors(plan, declared, found)
    for group in declared.server_groups:
        full = declared.full(group.name)
        create = Step("server_group", full, "create", "openstack.cloud.server_group", {"name": full, "policy": group.policy})
        thing = Thing(
            kind="server_group",
            name=full,
            where=f"openstack_project_server_groups[{group.name}]",
            wanted={"policy": group.policy},
            seen=lambda row: {"policy": row["policy"]},
            create=create,
            fixed=("policy",),
        )
        hold(plan, declared, found.server_groups, thing)


def _keypair(plan: Plan, declared: Declaration, found: Snapshot) -> None:
    if not declared.public_key:
        return
    full = declared.full(KEYPAIR)
    # Type and key; the comment is nobody's business.
    key = " ".join(declared.public_key.split()[:2])
    arguments = {"name": full, "public_key": declared.public_key.strip()}
    thing = Thing(
        kind="keypair",
        name=full,
        where="openstack_project_public_key",
        wanted={"public_key": key},
        seen=lambda row: {"public_key": " ".join((row["public_key"] or "").split()[:2])},
        create=Step("keypair", full, "create", "openstack.cloud.keypair", arguments),
        fixed=("public_key",),
    )
    hold(plan, declared, found.keypairs, thing)


def _image(plan: Plan, declared: Declaration, found: Snapshot, image: Image) -> None:
    full, where = declared.full(image.name), f"openstack_project_images[{image.name}]"
    file = found.files.get(image.name, {"exists": False})
    rows = [row for row in found.images if row["owner_id"] in (None, found.project_id)]
    half = [row for row in rows if row["name"] == full and is_own(declared, "image", row) and row["status"] in ("queued", "saving")]
    if not file["exists"] and not any(row["name"] == full for row in rows):
        plan.problems.append(f"cloud {declared.cloud}: {where}.file: {image.file} is no file that can be read here; give the image's path")
    removes = [
        Step("image", full, "remove", "openstack.cloud.image", {"name": row["id"], "state": "absent"}, part=row["id"]) for row in half
    ]
    # What an upload that was killed has left cannot be gone on with.
    plan.steps += removes
    arguments = {
        "name": full,
        "filename": image.file,
        "disk_format": image.disk_format,
        "min_disk": image.min_disk_gib,
        "min_ram": image.min_ram_mib,
        "properties": image.properties,
        "tags": [image_tag(declared)],
        "visibility": "private",
    }
    wanted: dict[str, Any] = {"disk_format": image.disk_format, "min_disk_gib": image.min_disk_gib, "min_ram_mib": image.min_ram_mib}
    if file["exists"]:
        wanted["bytes"] = file["size"]
    if "hash" in file:
        wanted["hash"] = file["hash"]
    seen_names = {
        "disk_format": "disk_format",
        "min_disk_gib": "min_disk",
        "min_ram_mib": "min_ram",
        "bytes": "size",
        "hash": "hash_value",
    }
    thing = Thing(
        kind="image",
        name=full,
        where=where,
        wanted=wanted,
        seen=lambda row: {name: row[seen_names[name]] for name in wanted},
        create=Step("image", full, "create", "openstack.cloud.image", arguments, frozenset(step.key for step in removes)),
        fixed=tuple(wanted),
    )
    hold(plan, declared, [row for row in rows if row not in half], thing)


def _flavors(plan: Plan, declared: Declaration, found: Snapshot) -> None:
    for flavor in declared.flavors:
        full = declared.full(flavor.name)
        extra_specs = {key: str(value) for key, value in flavor.extra_specs.items()} | {FLAVOR_KEY: declared.deployment}
        wanted = {"vcpus": flavor.vcpus, "ram_mib": flavor.ram_mib, "disk_gib": flavor.disk_gib, "extra_specs": extra_specs}
        arguments = {
            "name": full,
            "vcpus": flavor.vcpus,
            "ram": flavor.ram_mib,
            "disk": flavor.disk_gib,
            "extra_specs": extra_specs,
        }
        thing = Thing(
            kind="flavor",
            name=full,
            where=f"openstack_project_flavors[{flavor.name}]",
            wanted=wanted,
            seen=lambda row: {
                "vcpus": row["vcpus"],
                "ram_mib": row["ram"],
                "disk_gib": row["disk"],
                "extra_specs": row["extra_specs"] or {},
            },
            create=Step("flavor", full, "create", "openstack.cloud.compute_flavor", arguments),
            change=Step("flavor", full, "change", "openstack.cloud.compute_flavor", arguments),
            fixed=("vcpus", "ram_mib", "disk_gib"),
        )
        hold(plan, declared, found.flavors, thing)


def flavor_of(declared: Declaration, found: Snapshot, name: str) -> tuple[str, int, int, int] | None:
    """Name in the cloud, processors, MiB of memory and GiB of disk; None where there is no such flavor."""
    own = next((flavor for flavor in declared.flavors if flavor.name == name), None)
    if own is not None:
        return declared.full(name), own.vcpus, own.ram_mib, own.disk_gib
    row = next((row for row in found.flavors if name in (row["name"], row["id"])), None)
    return None if row is None else (row["name"], row["vcpus"], row["ram"], row["disk"])


def _looked_up(plan: Plan, declared: Declaration, found: Snapshot, server: Server) -> tuple[str, str, frozenset[str]] | None:
    """Names of the image and the flavor in the cloud, and what must be there first; None with a problem in the plan."""
    where = f"cloud {declared.cloud}: openstack_project_servers[{server.name}]"
    flavor = flavor_of(declared, found, server.flavor)
    if flavor is None:
        has = ", ".join(sorted(row["name"] for row in found.flavors)) or "none"
        plan.problems.append(
            f"{where}.flavor: there is no flavor '{server.flavor}', neither in openstack_project_flavors nor in the cloud; it has {has}"
        )
    own = next((image for image in declared.images if image.name == server.image), None)
    row = next((row for row in found.images if server.image in (row["name"], row["id"])), None)
    if own is None and row is None:
        has = ", ".join(sorted(row["name"] or row["id"] for row in found.images)) or "none"
        plan.problems.append(
            f"{where}.image: there is no image '{server.image}', neither in openstack_project_images nor in the cloud; it has {has}"
        )
    if flavor is None or (own is None and row is None):
        return None
    least = (own.min_ram_mib, own.min_disk_gib) if own else (row["min_ram"] or 0, row["min_disk"] or 0) if row else (0, 0)
    if flavor[2] < least[0] or 0 < flavor[3] < least[1]:
        plan.problems.append(
            f"{where}.flavor: '{server.flavor}' has {flavor[2]} MiB of memory and {flavor[3]} GiB of disk, image '{server.image}' needs "
            f"{least[0]} and {least[1]}; choose a larger one"
        )
    image_name = declared.full(own.name) if own else server.image
    return image_name, flavor[0], frozenset({f"image/{image_name}", f"flavor/{flavor[0]}"})


def metadata(declared: Declaration, server: Server) -> dict[str, str]:
    access = declared.access_port(server).network
    network = declared.full(access) if declared.own_network(access) else access
    return {DEPLOYMENT_KEY: declared.deployment, ROLES_KEY: ",".join(server.roles), ACCESS_KEY: network}


def servers(plan: Plan, declared: Declaration, found: Snapshot, timeout_s: int) -> None:
    building: list[Step] = []
    for server in declared.servers:
        _server(plan, declared, found, server, timeout_s, building)
        for volume in server.volumes:
            _volume(plan, declared, found, server, volume, timeout_s)
    if building:
        arguments = {"servers": [Ref("server", step.name) for step in building], "timeout_s": timeout_s}
        needs = frozenset(step.key for step in building)
        plan.steps.append(Step("server", ACTIVE, "wait for", "own.wait_until_active", arguments, needs))


def _server(plan: Plan, declared: Declaration, found: Snapshot, server: Server, timeout_s: int, building: list[Step]) -> None:
    looked_up = _looked_up(plan, declared, found, server)
    if looked_up is None:
        return
    image, flavor, needs = looked_up
    full, where = declared.full(server.name), f"openstack_project_servers[{server.name}]"
    port_names = [port_name(declared, server, port) for port in server.ports]
    group = declared.full(server.server_group) if server.server_group else None
    marks = metadata(declared, server)
    arguments: dict[str, Any] = {
        "name": full,
        "image": image,
        "flavor": flavor,
        "nics": [{"port-id": Ref("port", name)} for name in port_names],
        "auto_ip": False,
        "config_drive": server.config_drive,
        "metadata": marks,
        "wait": False,
        **({"key_name": declared.full(KEYPAIR)} if declared.public_key else {}),
        **({"scheduler_hints": {"group": Ref("server_group", group)}} if group else {}),
        **({"availability_zone": server.availability_zone} if server.availability_zone else {}),
        **({"userdata": server.user_data} if server.user_data else {}),
    }
    needs |= {f"port/{name}" for name in port_names} | ({f"server_group/{group}"} if group else set())
    needs |= {f"keypair/{declared.full(KEYPAIR)}"} if declared.public_key else set()
    # Left behind by a run that was killed, or never to become one: away with it, then anew.
    gone = [
        row
        for row in found.servers
        if row["name"] == full and is_own(declared, "server", row) and (row["status"] == "ERROR" or row["task_state"] == "deleting")
    ]
    removes = [
        Step(
            "server", full, "remove", "openstack.cloud.server", {"name": row["id"], "state": "absent", "timeout": timeout_s}, part=row["id"]
        )
        for row in gone
    ]
    plan.steps += removes
    members = {member: row["name"] for row in found.server_groups for member in row["member_ids"] or []}
    image_names = {row["id"]: (row["name"], row["id"]) for row in found.images}
    wanted = {"image": image, "flavor": flavor, "server_group": group, "metadata": marks, "running": True}

    def seen(row: dict[str, Any]) -> dict[str, Any]:
        names = image_names.get((row["image"] or {}).get("id") or "", ())
        kind = row["flavor"] or {}
        return {
            # An image that the cloud no longer has, or a boot from a volume, says nothing.
            "image": image if not names or image in names else names[0],
            "flavor": kind.get("original_name") or kind.get("name"),
            "server_group": members.get(row["id"]),
            "metadata": {key: value for key, value in (row["metadata"] or {}).items() if key in marks},
            "running": row["status"] in ("ACTIVE", "BUILD", "REBOOT", "HARD_REBOOT", "MIGRATING", "RESIZE", "VERIFY_RESIZE"),
        }

    create = Step("server", full, "create", "openstack.cloud.server", arguments, needs | {step.key for step in removes})
    change = Step("server", full, "change", "openstack.cloud.server_metadata", {"name": full, "metadata": marks}, part="metadata")
    thing = Thing(
        kind="server",
        name=full,
        where=where,
        wanted=wanted,
        seen=seen,
        create=create,
        fixed=("image", "flavor", "server_group"),
    )
    row = hold(plan, declared, [entry for entry in found.servers if entry not in gone], thing)
    if row is None:
        building += [step for step in plan.steps if step is create]
        return
    before = plan.before[create.key]
    if before["metadata"] != marks:
        plan.steps.append(change)
    if not before["running"]:
        start = {"name": row["id"], "action": "start", "timeout": timeout_s}
        plan.steps.append(Step("server", full, "start", "openstack.cloud.server_action", start, part="start"))
    if row["status"] == "BUILD":
        # By a run that did not see the end of it.
        building.append(create)
        before["running"] = False
    _attached_ports(plan, found, row, create, port_names)


def _attached_ports(plan: Plan, found: Snapshot, row: dict[str, Any], create: Step, port_names: list[str]) -> None:
    """A server that is there has its ports, unless somebody took one away."""
    if row["status"] == "BUILD":
        return
    device = {port["name"]: port["device_id"] for port in found.ports}
    plan.after[create.key]["ports"] = sorted(port_names)
    plan.before[create.key]["ports"] = sorted(name for name in port_names if device.get(name) == row["id"])
    for name in port_names:
        if device.get(name) != row["id"]:
            arguments = {"server": row["id"], "port": Ref("port", name)}
            needs = frozenset({f"port/{name}"})
            plan.steps.append(Step("server", row["name"], "attach", "own.attach_port", arguments, needs, part=f"port/{name}"))


def _volume(plan: Plan, declared: Declaration, found: Snapshot, server: Server, volume: Volume, timeout_s: int) -> None:
    full, host = declared.full(volume.name), declared.full(server.name)
    where = f"openstack_project_servers[{server.name}].volumes[{volume.name}]"
    if not found.has_volumes:
        plan.problems.append(f"cloud {declared.cloud}: {where}: the cloud has no volume service (block-storage); leave volumes out")
        return
    arguments: dict[str, Any] = {
        "name": full,
        "size": volume.size_gib,
        "metadata": {DEPLOYMENT_KEY: declared.deployment},
        "timeout": timeout_s,
        **({"volume_type": volume.type} if volume.type else {}),
    }
    create = Step("volume", full, "create", "openstack.cloud.volume", arguments)
    attach_arguments = {"server": host, "volume": full, "timeout": timeout_s}
    needs = frozenset({create.key, f"server/{host}", f"server/{ACTIVE}"})
    attach = Step("volume", full, "attach", "openstack.cloud.server_volume", attach_arguments, needs, part="attachment")
    ids = {row["id"]: row["name"] for row in found.servers}
    thing = Thing(
        kind="volume",
        name=full,
        where=where,
        wanted={"size_gib": volume.size_gib, "server": host},
        seen=lambda row: {
            "size_gib": row["size"],
            "server": next((ids.get(entry["server_id"], entry["server_id"]) for entry in row["attachments"] or []), None),
        },
        create=create,
        change=attach,
        fixed=("size_gib",),
    )
    if hold(plan, declared, found.volumes, thing) is None and create in plan.steps:
        plan.steps.append(attach)
