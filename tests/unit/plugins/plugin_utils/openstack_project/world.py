"""A small declaration, and a cloud that carries out steps on plain data as the real one does: for tests of the comparison."""

from __future__ import annotations

import copy
import itertools
from typing import Any

from ansible_collections.closedloop.mobility.plugins.plugin_utils.openstack_project.compare import compare, ids
from ansible_collections.closedloop.mobility.plugins.plugin_utils.openstack_project.declaration import Declaration
from ansible_collections.closedloop.mobility.plugins.plugin_utils.openstack_project.snapshot import Limit, Snapshot
from ansible_collections.closedloop.mobility.plugins.plugin_utils.openstack_project.steps import Plan, Step, resolved

PROJECT = "p1"
RAW: dict[str, Any] = {
    "cloud": "lab",
    "deployment": "mip6",
    "networks": [
        {
            "name": "home",
            "subnets": [
                {"name": "home-6", "cidr": "2001:db8:100::/64", "addressing": "static", "gateway": "2001:db8:100::ff"},
                {"name": "home-4", "cidr": "192.0.2.0/24", "addressing": "dhcp", "dns": ["192.0.2.9"]},
            ],
        },
        {
            "name": "visited",
            "port_security": False,
            "mtu": 1400,
            "subnets": [{"name": "visited-6", "cidr": "2001:db8:1::/64", "addressing": "slaac_external"}],
        },
    ],
    "routers": [{"name": "out", "external_network": "public", "subnets": ["home-6"]}],
    "security_groups": [
        {
            "name": "mobile",
            "mobile_ipv6": True,
            "rules": [{"ether_type": "IPv6", "protocol": "tcp", "port_min": 22, "remote_prefix": "2001:db8::/32"}, {"ether_type": "IPv6"}],
        }
    ],
    "public_key": "ssh-ed25519 AAAA me@here",
    "server_groups": [{"name": "agents"}],
    "servers": [
        {
            "name": name,
            "roles": ["home_agent_hosts"],
            "image": "debian-12",
            "flavor": "m1.small",
            "server_group": "agents",
            "user_data": "#cloud-config\npassword: s3cr3t\n",
            "ports": [
                {
                    "network": "home",
                    "addresses": [f"2001:db8:100::{name[-1]}", f"192.0.2.1{number}"],
                    "security_groups": ["mobile"],
                    "allowed_addresses": ["2001:db8:100::/64", "2001:db8:100::1"],
                },
                {"network": "visited"},
            ],
        }
        for number, name in enumerate(("ha-a", "ha-b"))
    ],
    "floating_network": "public",
}


def declared(**changes: Any) -> Declaration:
    return Declaration.of(copy.deepcopy(RAW) | changes)


def empty() -> Snapshot:
    """A project with nothing in it, of a cloud with an external network, an image and a flavor."""
    return Snapshot(
        project_id=PROJECT,
        networks=[
            {
                "id": "n-public",
                "name": "public",
                "description": "",
                "project_id": "p0",
                "mtu": 1500,
                "is_port_security_enabled": True,
                "is_router_external": True,
            }
        ],
        flavors=[{"id": "f1", "name": "m1.small", "ram": 512, "vcpus": 1, "disk": 1, "extra_specs": {}}],
        images=[
            {
                "id": "i1",
                "name": "debian-12",
                "status": "active",
                "tags": [],
                "size": 9,
                "disk_format": "raw",
                "min_disk": 0,
                "min_ram": 0,
                "hash_algo": None,
                "hash_value": None,
                "owner_id": "p0",
            }
        ],
        limits={name: Limit(None, 0) for name in ("instances", "cores", "ram", "networks", "ports")},
        has_volumes=False,
    )


class Cloud:
    """What is in the project, and what steps make of it."""

    def __init__(self) -> None:
        self.found = empty()
        self._ids = itertools.count(1)

    def plan(self, declaration: Declaration) -> Plan:
        return compare(declaration, self.found, server_timeout_s=60)

    def carry_out(self, declaration: Declaration, steps: list[Step]) -> None:
        """In the order given, as far as it goes."""
        for step in steps:
            known = ids(self.found, declaration)
            arguments = resolved(step.arguments, known)
            getattr(self, "_" + step.call.rpartition(".")[2])(step, arguments)

    def _resource(self, step: Step, arguments: dict[str, Any]) -> None:
        attributes = arguments["attributes"]
        if step.kind == "network":
            defaults = {"mtu": 1450, "is_router_external": False, "project_id": PROJECT}
            self._put(self.found.networks, step.name, defaults | attributes)
        elif step.kind == "router":
            self._put(self.found.routers, step.name, {"external_gateway_info": None} | attributes)
        elif step.kind == "floating_ip":
            if "id" in attributes:
                next(row for row in self.found.floating_ips if row["id"] == attributes["id"]).update(attributes)
                return
            row = {"name": None, "floating_ip_address": f"203.0.113.{next(self._ids)}"} | attributes
            self.found.floating_ips.append(row | {"id": f"x{next(self._ids)}"})

    def _put(self, rows: list[dict[str, Any]], name: str, row: dict[str, Any]) -> dict[str, Any]:
        """Made, or changed where there is one."""
        old = next((entry for entry in rows if entry["name"] == name), None)
        if old is None:
            old = {"id": f"x{next(self._ids)}", "name": name}
            rows.append(old)
        old.update(row)
        return old

    def _subnet(self, step: Step, arguments: dict[str, Any]) -> None:
        row = {
            "description": arguments["description"],
            "network_id": self._id(self.found.networks, arguments["network"]),
            "cidr": arguments["cidr"],
            "ip_version": arguments["ip_version"],
            "is_dhcp_enabled": arguments["is_dhcp_enabled"],
            "gateway_ip": arguments.get("gateway_ip"),
            "dns_nameservers": arguments["dns_nameservers"],
            "allocation_pools": arguments.get("allocation_pools", []),
            "ipv6_ra_mode": arguments.get("ipv6_ra_mode"),
            "ipv6_address_mode": arguments.get("ipv6_address_mode"),
        }
        self._put(self.found.subnets, step.name, row)

    def _router(self, step: Step, arguments: dict[str, Any]) -> None:
        router = self._id(self.found.routers, step.name)
        gateway = {"network_id": self._id(self.found.networks, arguments["network"])} if "network" in arguments else None
        self._put(self.found.routers, step.name, {"external_gateway_info": gateway})
        self.found.ports = [port for port in self.found.ports if port["device_id"] != router]
        for name in arguments["interfaces"]:
            subnet = next(row for row in self.found.subnets if row["name"] == name)
            fixed = [{"subnet_id": subnet["id"], "ip_address": subnet["gateway_ip"]}]
            row = {"device_owner": "network:router_interface", "device_id": router, "fixed_ips": fixed, "description": ""}
            self.found.ports.append(row | {"id": f"x{next(self._ids)}", "name": "", "network_id": subnet["network_id"]})

    def _security_group(self, step: Step, arguments: dict[str, Any]) -> None:
        group = self._put(self.found.security_groups, step.name, {"description": arguments["description"], "security_group_rules": []})
        self._set_rules(step, {"group": group["id"], "create": arguments["security_group_rules"], "remove": []})

    def _set_rules(self, step: Step, arguments: dict[str, Any]) -> None:
        group = next(row for row in self.found.security_groups if row["id"] == arguments["group"])
        kept = [rule for rule in group["security_group_rules"] if rule["id"] not in arguments["remove"]]
        for rule in arguments["create"]:
            row = dict.fromkeys(("protocol", "port_range_min", "port_range_max", "remote_ip_prefix", "remote_group_id"))
            kept.append(row | rule | {"id": f"x{next(self._ids)}", "ethertype": rule["ether_type"]})
        group["security_group_rules"] = kept

    def _port(self, step: Step, arguments: dict[str, Any]) -> None:
        network = self._id(self.found.networks, arguments["network"])
        groups = [self._id(self.found.security_groups, name) for name in arguments.get("security_groups", [])]
        subnets = [row for row in self.found.subnets if row["network_id"] == network]
        fixed = [{"subnet_id": "any", **entry} for entry in arguments.get("fixed_ips", [])]
        fixed += [{"subnet_id": row["id"], "ip_address": "2001:db8:1::77"} for row in subnets if row["ipv6_address_mode"] == "slaac"]
        old = next((row for row in self.found.ports if row["name"] == step.name), {})
        security = next(row for row in self.found.networks if row["id"] == network)["is_port_security_enabled"]
        pairs = [{"mac_address": "02:00:00:00:00:01", **pair} for pair in arguments.get("allowed_address_pairs", [])]
        row = {
            "description": arguments["description"],
            "network_id": network,
            "device_owner": "",
            "fixed_ips": fixed,
            "security_group_ids": groups,
        }
        # What is not given stays as it is, and comes of the network at first.
        kept = {"device_id": "", "allowed_address_pairs": [], "is_port_security_enabled": security}
        kept |= {name: old[name] for name in kept if name in old}
        if "allowed_address_pairs" in arguments:
            kept["allowed_address_pairs"] = pairs
        if "is_port_security_enabled" in arguments:
            kept["is_port_security_enabled"] = arguments["is_port_security_enabled"]
        self._put(self.found.ports, step.name, row | kept)

    def _keypair(self, step: Step, arguments: dict[str, Any]) -> None:
        self.found.keypairs.append({"name": step.name, "public_key": arguments["public_key"]})

    def _server_group(self, step: Step, arguments: dict[str, Any]) -> None:
        self._put(self.found.server_groups, step.name, {"policy": arguments["policy"], "member_ids": []})

    def _server(self, step: Step, arguments: dict[str, Any]) -> None:
        if arguments.get("state") == "absent":
            self.found.servers = [row for row in self.found.servers if row["id"] != arguments["name"]]
            return
        row = {
            "status": "BUILD",
            "task_state": None,
            "metadata": arguments["metadata"],
            "flavor": {"original_name": arguments["flavor"]},
            "image": {"id": self._id(self.found.images, arguments["image"])},
            "key_name": arguments.get("key_name"),
            "attached_volumes": [],
            "compute_host": None,
            "fault": None,
        }
        server = self._put(self.found.servers, step.name, row)
        for nic in arguments["nics"]:
            next(port for port in self.found.ports if port["id"] == nic["port-id"])["device_id"] = server["id"]
        group = arguments["scheduler_hints"]["group"]
        next(row for row in self.found.server_groups if row["id"] == group)["member_ids"].append(server["id"])

    def _server_metadata(self, step: Step, arguments: dict[str, Any]) -> None:
        self._put(self.found.servers, step.name, {"metadata": arguments["metadata"]})

    def _server_action(self, step: Step, arguments: dict[str, Any]) -> None:
        self._put(self.found.servers, step.name, {"status": "ACTIVE"})

    def _wait_until_active(self, step: Step, arguments: dict[str, Any]) -> None:
        for row in self.found.servers:
            if row["id"] in arguments["servers"]:
                row["status"] = "ACTIVE"

    def _attach_port(self, step: Step, arguments: dict[str, Any]) -> None:
        next(port for port in self.found.ports if port["id"] == arguments["port"])["device_id"] = arguments["server"]

    @staticmethod
    def _id(rows: list[dict[str, Any]], name: str) -> str:
        return str(next(row["id"] for row in rows if row["name"] == name))
