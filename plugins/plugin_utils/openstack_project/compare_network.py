# Copyright (c) 2026, The closedloop.mobility contributors
# SPDX-License-Identifier: Apache-2.0
"""Networks, subnets, routers, security groups, ports and floating addresses: declared against found. Pure."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import Any

from ansible_collections.closedloop.mobility.plugins.plugin_utils.openstack_project.declaration import (
    MOBILE_IPV6_PROTOCOLS,
    Declaration,
    Network,
    Port,
    Rule,
    SecurityGroup,
    Server,
    Subnet,
)
from ansible_collections.closedloop.mobility.plugins.plugin_utils.openstack_project.differ import Thing, hold
from ansible_collections.closedloop.mobility.plugins.plugin_utils.openstack_project.ownership import is_own
from ansible_collections.closedloop.mobility.plugins.plugin_utils.openstack_project.snapshot import Snapshot
from ansible_collections.closedloop.mobility.plugins.plugin_utils.openstack_project.steps import Plan, Ref, Step

RESOURCE = "openstack.cloud.resource"
SLAAC = {"slaac": ("slaac", "slaac"), "slaac_external": (None, "slaac")}
"""`ipv6_ra_mode`, `ipv6_address_mode`."""
PROTOCOL_NAMES = {"58": "ipv6-icmp", "icmpv6": "ipv6-icmp", "1": "icmp", "6": "tcp", "17": "udp"}
NUMBERS = {"ipv6-encap": "41", "ipv6-route": "43", "esp": "50", "ipv6-opts": "60"}


def networks(plan: Plan, declared: Declaration, found: Snapshot) -> None:
    own_rows = [row for row in found.networks if row["project_id"] == found.project_id]
    for network in declared.networks:
        full = declared.full(network.name)
        wanted: dict[str, Any] = {"port_security": network.port_security, "mtu": network.mtu}
        attributes = {"name": full, "description": declared.owner, "is_port_security_enabled": network.port_security}
        if network.mtu is None:
            del wanted["mtu"]
        else:
            attributes["mtu"] = network.mtu
        arguments = {"service": "network", "type": "network", "attributes": attributes}
        row = hold(
            plan,
            declared,
            own_rows,
            Thing(
                kind="network",
                name=full,
                where=f"openstack_project_networks[{network.name}]",
                wanted=wanted,
                seen=lambda row: {"port_security": row["is_port_security_enabled"], "mtu": row["mtu"]},
                create=Step("network", full, "create", RESOURCE, arguments),
                change=Step("network", full, "change", RESOURCE, arguments),
            ),
        )
        if row is not None and network.mtu is None:
            plan.before[f"network/{full}"].pop("mtu")
        for subnet in network.subnets:
            _subnet(plan, declared, found, network, subnet)


def _subnet(plan: Plan, declared: Declaration, found: Snapshot, network: Network, subnet: Subnet) -> None:
    full = declared.full(subnet.name)
    ra_mode, address_mode = SLAAC.get(subnet.addressing, (None, None))
    if subnet.addressing == "dhcp" and subnet.ip_version == 6:
        ra_mode = address_mode = "dhcpv6-stateful"
    wanted = {
        "cidr": str(ip_network(subnet.cidr)),
        "dhcp": subnet.addressing != "static",
        "ra_mode": ra_mode,
        "address_mode": address_mode,
        "gateway": str(ip_address(subnet.gateway)) if subnet.gateway else None,
        "dns": [str(ip_address(server)) for server in subnet.dns],
    }
    arguments: dict[str, Any] = {
        "name": full,
        "description": declared.owner,
        "network": declared.full(network.name),
        "cidr": wanted["cidr"],
        "ip_version": subnet.ip_version,
        "is_dhcp_enabled": wanted["dhcp"],
        "dns_nameservers": wanted["dns"],
        **({"gateway_ip": wanted["gateway"]} if subnet.gateway else {"disable_gateway_ip": True}),
        **({"ipv6_ra_mode": ra_mode} if ra_mode else {}),
        **({"ipv6_address_mode": address_mode} if address_mode else {}),
    }
    if subnet.pool_start is not None:
        wanted["pool"] = [{"start": str(ip_address(subnet.pool_start)), "end": str(ip_address(subnet.pool_end or subnet.pool_start))}]
        arguments["allocation_pools"] = wanted["pool"]

    def seen(row: dict[str, Any]) -> dict[str, Any]:
        pools = [{"start": pool["start"], "end": pool["end"]} for pool in row["allocation_pools"] or []]
        state = {
            "cidr": row["cidr"],
            "dhcp": row["is_dhcp_enabled"],
            "ra_mode": row["ipv6_ra_mode"],
            "address_mode": row["ipv6_address_mode"],
            "gateway": row["gateway_ip"],
            "dns": list(row["dns_nameservers"] or []),
        }
        return state | ({"pool": pools} if "pool" in wanted else {})

    network_key = f"network/{declared.full(network.name)}"
    hold(
        plan,
        declared,
        found.subnets,
        Thing(
            kind="subnet",
            name=full,
            where=f"openstack_project_networks[{network.name}].subnets[{subnet.name}]",
            wanted=wanted,
            seen=seen,
            create=Step("subnet", full, "create", "openstack.cloud.subnet", arguments, frozenset({network_key})),
            change=Step("subnet", full, "change", "openstack.cloud.subnet", arguments),
            fixed=("cidr", "ra_mode", "address_mode"),
        ),
    )


def external_network(plan: Plan, declared: Declaration, found: Snapshot, where: str, name: str) -> dict[str, Any] | None:
    """The network of that name that leads outside, or a problem."""
    row = next((row for row in found.networks if row["name"] == name), None)
    if row is None or not row["is_router_external"]:
        has = ", ".join(sorted(row["name"] for row in found.networks if row["is_router_external"])) or "none"
        why = "does not lead outside" if row else "is not there"
        plan.problems.append(f"cloud {declared.cloud}: {where}: network '{name}' {why}; the cloud's external networks: {has}")
        return None
    return row


def routers(plan: Plan, declared: Declaration, found: Snapshot) -> None:
    subnet_ids = {row["id"]: row["name"] for row in found.subnets}
    for router in declared.routers:
        full, where = declared.full(router.name), f"openstack_project_routers[{router.name}]"
        outside = None
        if router.external_network is not None:
            outside = external_network(plan, declared, found, f"{where}.external_network", router.external_network)
        interfaces = sorted(declared.full(name) for name in router.subnets)
        attributes = {"name": full, "description": declared.owner}
        create = Step("router", full, "create", RESOURCE, {"service": "network", "type": "router", "attributes": attributes})
        join_arguments: dict[str, Any] = {"name": full, "interfaces": interfaces}
        if router.external_network is not None:
            join_arguments["network"] = router.external_network
        needs = frozenset({create.key, *(f"subnet/{name}" for name in interfaces)})
        join = Step("router", full, "change", "openstack.cloud.router", join_arguments, needs, part="interfaces")

        def seen(row: dict[str, Any]) -> dict[str, Any]:
            ports = [port for port in found.ports if port["device_id"] == row["id"] and "router_interface" in (port["device_owner"] or "")]
            joined = {subnet_ids.get(address["subnet_id"], address["subnet_id"]) for port in ports for address in port["fixed_ips"]}
            return {"interfaces": sorted(joined), "external": (row["external_gateway_info"] or {}).get("network_id")}

        wanted = {"interfaces": interfaces, "external": outside["id"] if outside else None}
        thing = Thing(kind="router", name=full, where=where, wanted=wanted, seen=seen, create=create, change=join)
        if hold(plan, declared, found.routers, thing) is None and create in plan.steps:
            plan.steps.append(join)


def wanted_rules(group: SecurityGroup) -> list[Rule]:
    """What comes in, by declaration."""
    rules = [Rule("IPv6", protocol) for protocol in MOBILE_IPV6_PROTOCOLS] if group.mobile_ipv6 else []
    return rules + [rule for rule in group.rules if rule not in rules]


def _rule(direction: str, ether_type: str, protocol: Any, ports: tuple[Any, Any], prefix: str | None, group: str | None) -> tuple[Any, ...]:
    """A rule in a form in which equal ones are equal, whatever they were called."""
    text = None if protocol in (None, "", "any") else str(protocol).lower()
    name = NUMBERS.get(text or "", PROTOCOL_NAMES.get(text or "", text))
    if ether_type == "IPv6" and name == "icmp":
        name = "ipv6-icmp"
    net = str(ip_network(prefix, strict=False)) if prefix else None
    if net in ("::/0", "0.0.0.0/0"):
        net = None
    return (direction, ether_type, name or "any", ports[0], ports[1], net or "", group or "")


def security_groups(plan: Plan, declared: Declaration, found: Snapshot) -> None:
    for group in declared.security_groups:
        full = declared.full(group.name)
        rules: dict[str, dict[str, Any]] = {_text(_declared_rule(rule)): rule for rule in _all_rules(group)}
        arguments = {"name": full, "description": declared.owner, "security_group_rules": list(rules.values())}
        row = next((row for row in found.security_groups if row["name"] == full), None)
        there = [(rule["id"], _text(_found_rule(rule))) for rule in (row or {}).get("security_group_rules") or []]
        changes = {
            "group": row["id"] if row else "",
            "create": [rule for text, rule in rules.items() if text not in {text for _id, text in there}],
            "remove": [rule_id for rule_id, text in there if text not in rules],
        }
        hold(
            plan,
            declared,
            found.security_groups,
            Thing(
                kind="security_group",
                name=full,
                where=f"openstack_project_security_groups[{group.name}]",
                wanted={"rules": sorted(rules)},
                seen=lambda row: {"rules": sorted({_text(_found_rule(rule)) for rule in row["security_group_rules"] or []})},
                create=Step("security_group", full, "create", "openstack.cloud.security_group", arguments),
                change=Step("security_group", full, "change", "own.set_rules", changes),
            ),
        )


def _all_rules(group: SecurityGroup) -> list[dict[str, Any]]:
    """As openstack.cloud.security_group takes them. What leaves is not filtered, as in a new group."""
    rules = [
        {
            "direction": "ingress",
            "ether_type": rule.ether_type,
            "protocol": rule.protocol,
            "port_range_min": rule.port_min,
            "port_range_max": rule.port_max if rule.port_max is not None else rule.port_min,
            "remote_ip_prefix": rule.remote_prefix,
        }
        for rule in wanted_rules(group)
    ]
    rules += [{"direction": "egress", "ether_type": family} for family in ("IPv4", "IPv6")]
    return [{key: value for key, value in rule.items() if value is not None} for rule in rules]


def _declared_rule(rule: dict[str, Any]) -> tuple[Any, ...]:
    ports = (rule.get("port_range_min"), rule.get("port_range_max"))
    return _rule(rule["direction"], rule["ether_type"], rule.get("protocol"), ports, rule.get("remote_ip_prefix"), None)


def _found_rule(row: dict[str, Any]) -> tuple[Any, ...]:
    ports = (row["port_range_min"], row["port_range_max"])
    return _rule(row["direction"], row["ethertype"], row["protocol"], ports, row["remote_ip_prefix"], row["remote_group_id"])


def _text(rule: tuple[Any, ...]) -> str:
    direction, ether_type, protocol, first, last, prefix, group = rule
    ports = "" if first is None else f" {first}-{last}"
    return f"{direction} {ether_type} {protocol}{ports}{' of ' + (prefix or group) if prefix or group else ''}"


def port_name(declared: Declaration, server: Server, port: Port) -> str:
    return declared.full(f"{server.name}-{port.network}")


def ports(plan: Plan, declared: Declaration, found: Snapshot) -> None:
    group_names = {row["id"]: row["name"] for row in found.security_groups}
    there = {row["name"] for row in found.networks}
    for server in declared.servers:
        for port in server.ports:
            where = f"openstack_project_servers[{server.name}].ports[{port.network}]"
            own = declared.own_network(port.network)
            if own is None and port.network not in there:
                plan.problems.append(
                    f"cloud {declared.cloud}: {where}.network: there is no network '{port.network}', neither in "
                    f"openstack_project_networks nor in the cloud; it has {', '.join(sorted(name for name in there if name)) or 'none'}"
                )
                continue
            _port(plan, declared, found, group_names, server, port, where)


def _port(plan: Plan, declared: Declaration, found: Snapshot, group_names: dict[str, str], server: Server, port: Port, where: str) -> None:
    full = port_name(declared, server, port)
    own = declared.own_network(port.network)
    network = declared.full(port.network) if own else port.network
    there = next((row for row in found.networks if row["name"] == network), {})
    inherited = own.port_security if own else there["is_port_security_enabled"]
    protected = inherited if port.port_security is None else port.port_security
    groups = sorted(declared.full(name) for name in port.security_groups)
    addresses = sorted(str(ip_address(text)) for text in port.addresses)
    pairs = sorted(_prefix(text) for text in port.allowed_addresses)
    arguments: dict[str, Any] = {
        "name": full,
        "description": declared.owner,
        "network": network,
        **({"security_groups": groups} if groups else {"no_security_groups": True}),
        **({"fixed_ips": [{"ip_address": address} for address in addresses]} if addresses else {}),
    }
    subnet_ids = {row["id"]: row for row in found.subnets}

    def seen(row: dict[str, Any]) -> dict[str, Any]:
        # Addresses of SLAAC come by themselves, beside those that were asked for.
        chosen = [
            entry["ip_address"]
            for entry in row["fixed_ips"] or []
            if not ((subnet_ids.get(entry["subnet_id"]) or {}).get("ipv6_address_mode") == "slaac" and entry["ip_address"] not in addresses)
        ]
        return {
            "network": next((entry["name"] for entry in found.networks if entry["id"] == row["network_id"]), row["network_id"]),
            "addresses": sorted(chosen) if addresses else [],
            "allowed_addresses": sorted(_prefix(pair["ip_address"]) for pair in row["allowed_address_pairs"] or []),
            "security_groups": sorted(group_names.get(group, group) for group in row["security_group_ids"] or []),
            "port_security": row["is_port_security_enabled"],
        }

    def with_owner_s(row: dict[str, Any]) -> dict[str, Any]:
        """The arguments with those that only the network's owner may give, as far as they differ: a shared network is somebody else's."""
        have = seen(row)
        return {
            **arguments,
            **({"is_port_security_enabled": protected} if have["port_security"] != protected else {}),
            **({"allowed_address_pairs": [{"ip_address": pair} for pair in pairs]} if have["allowed_addresses"] != pairs else {}),
        }

    new = {"fixed_ips": [], "network_id": "", "allowed_address_pairs": [], "security_group_ids": [], "is_port_security_enabled": inherited}
    old = next((row for row in found.ports if row["name"] == full), new)
    needs = {f"network/{network}", *(f"security_group/{group}" for group in groups)}
    needs |= {f"subnet/{declared.full(subnet.name)}" for subnet in (own.subnets if own else [])}
    # A router takes its gateways' addresses first, lest the cloud gives one of them to a port.
    needs |= {f"router/{declared.full(router.name)}/interfaces" for router in declared.routers if own}
    hold(
        plan,
        declared,
        found.ports,
        Thing(
            kind="port",
            name=full,
            where=where,
            wanted={
                "network": network,
                "addresses": addresses,
                "allowed_addresses": pairs,
                "security_groups": groups,
                "port_security": protected,
            },
            seen=seen,
            create=Step("port", full, "create", "openstack.cloud.port", with_owner_s(new), frozenset(needs)),
            change=Step("port", full, "change", "openstack.cloud.port", with_owner_s(old), frozenset(needs)),
            fixed=("network",),
        ),
    )


def _prefix(text: str) -> str:
    net = ip_network(text, strict=False)
    return str(net.network_address) if net.prefixlen == net.max_prefixlen else str(net)


def floating_addresses(plan: Plan, declared: Declaration, found: Snapshot) -> None:
    """One for each server's access port, found again by its description and the port that it is of."""
    if not declared.floating_network:
        return
    outside = external_network(plan, declared, found, "openstack_project_floating_network", declared.floating_network)
    if outside is None:
        return
    ids = {row["name"]: row["id"] for row in found.ports if is_own(declared, "port", row)}
    own_rows = [row for row in found.floating_ips if is_own(declared, "floating_ip", row)]
    free = [row["id"] for row in own_rows if not row["port_id"]]
    for server in declared.servers:
        full = port_name(declared, server, declared.access_port(server))
        key = f"floating_ip/{full}"
        plan.after[key] = {"network": declared.floating_network}
        if any(row["port_id"] == ids.get(full) for row in own_rows if row["port_id"]):
            plan.before[key] = plan.after[key]
            continue
        attributes = {"port_id": Ref("port", full), "description": declared.owner}
        attributes |= {"id": free.pop(0)} if free else {"floating_network_id": outside["id"]}
        arguments = {"service": "network", "type": "ip", "attributes": attributes}
        needs = {f"port/{full}", *(f"router/{declared.full(router.name)}/interfaces" for router in declared.routers)}
        plan.steps.append(Step("floating_ip", full, "create", RESOURCE, arguments, frozenset(needs)))
