# Copyright (c) 2026, The closedloop.mobility contributors
# SPDX-License-Identifier: Apache-2.0
"""What a deployment shall have in an OpenStack project, as records, and what is wrong with a declaration by itself.

Names in a declaration are short; in the cloud everything is called `<deployment>-<name>`, so that what a deployment has made is told apart
from all else where the cloud offers no place for a mark (keypairs, server groups).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any

from ansible_collections.closedloop.mobility.plugins.plugin_utils.openstack_project.records import taken

DEPLOYMENT = re.compile(r"[a-z][a-z0-9]{0,19}$")
"""Without a hyphen, so that no deployment's names begin with another one's."""
NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$")
ROLE = re.compile(r"[a-z][a-z0-9_]*$")
MOBILE_IPV6_PROTOCOLS = ("135", "41", "43", "60", "50", "ipv6-icmp")
"""Mobility header, IPv6 in IPv6, routing header, destination options, ESP, ICMPv6."""


@dataclass(frozen=True)
class Subnet:
    name: str
    cidr: str
    addressing: str
    gateway: str = ""
    dns: list[str] = field(default_factory=list)
    pool_start: str | None = None
    pool_end: str | None = None

    @property
    def ip_version(self) -> int:
        return ip_network(self.cidr).version


@dataclass(frozen=True)
class Network:
    name: str
    subnets: list[Subnet]
    mtu: int | None = None
    port_security: bool = True


@dataclass(frozen=True)
class Router:
    name: str
    external_network: str | None = None
    subnets: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Rule:
    ether_type: str
    protocol: str | None = None
    port_min: int | None = None
    port_max: int | None = None
    remote_prefix: str | None = None


@dataclass(frozen=True)
class SecurityGroup:
    name: str
    mobile_ipv6: bool = False
    rules: list[Rule] = field(default_factory=list)


@dataclass(frozen=True)
class Image:
    name: str
    file: str
    disk_format: str = "qcow2"
    min_disk_gib: int = 0
    min_ram_mib: int = 0
    properties: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Flavor:
    name: str
    vcpus: int
    ram_mib: int
    disk_gib: int
    extra_specs: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ServerGroup:
    name: str
    policy: str = "anti-affinity"


@dataclass(frozen=True)
class Port:
    network: str
    addresses: list[str] = field(default_factory=list)
    security_groups: list[str] = field(default_factory=list)
    allowed_addresses: list[str] = field(default_factory=list)
    port_security: bool | None = None


@dataclass(frozen=True)
class Volume:
    name: str
    size_gib: int
    type: str | None = None


@dataclass(frozen=True)
class Server:
    name: str
    roles: list[str]
    image: str
    flavor: str
    ports: list[Port]
    server_group: str | None = None
    availability_zone: str | None = None
    user_data: str = ""
    config_drive: bool = True
    volumes: list[Volume] = field(default_factory=list)


@dataclass(frozen=True)
class Declaration:
    cloud: str
    deployment: str
    networks: list[Network] = field(default_factory=list)
    routers: list[Router] = field(default_factory=list)
    security_groups: list[SecurityGroup] = field(default_factory=list)
    public_key: str = ""
    images: list[Image] = field(default_factory=list)
    flavors: list[Flavor] = field(default_factory=list)
    server_groups: list[ServerGroup] = field(default_factory=list)
    servers: list[Server] = field(default_factory=list)
    access_network: str = ""
    floating_network: str = ""

    @classmethod
    def of(cls, raw: dict[str, Any]) -> Declaration:
        """Of plain data, its fields called as the role calls them. Raises WrongDeclaration."""
        return taken(cls, raw, "openstack_project", "_")

    @property
    def owner(self) -> str:
        """What everything that can be described says."""
        return f"closedloop.mobility deployment {self.deployment}"

    def full(self, name: str) -> str:
        """The name in the cloud."""
        return f"{self.deployment}-{name}"

    def subnets(self) -> Iterator[tuple[Network, Subnet]]:
        return ((network, subnet) for network in self.networks for subnet in network.subnets)

    def own_network(self, name: str) -> Network | None:
        return next((network for network in self.networks if network.name == name), None)

    def access_port(self, server: Server) -> Port:
        return next((port for port in server.ports if port.network == self.access_network), server.ports[0])

    def protected(self, port: Port) -> bool:
        """Whether the cloud filters what the port sends and gets."""
        network = self.own_network(port.network)
        return port.port_security if port.port_security is not None else network.port_security if network else True


def problems(declared: Declaration) -> list[str]:
    """All that is wrong without looking at the cloud, each with field, value and remedy."""
    return [*_names(declared), *_subnets(declared), *_references(declared), *_addresses(declared)]


def _names(declared: Declaration) -> Iterator[str]:
    if not DEPLOYMENT.match(declared.deployment):
        yield (
            f"openstack_project_deployment '{declared.deployment}' is not valid: 20 lower-case letters and digits at most, a letter first"
        )
    listed: dict[str, Iterable[str]] = {
        "openstack_project_networks": (network.name for network in declared.networks),
        "openstack_project_networks[].subnets": (subnet.name for _network, subnet in declared.subnets()),
        "openstack_project_routers": (router.name for router in declared.routers),
        "openstack_project_security_groups": (group.name for group in declared.security_groups),
        "openstack_project_images": (image.name for image in declared.images),
        "openstack_project_flavors": (flavor.name for flavor in declared.flavors),
        "openstack_project_server_groups": (group.name for group in declared.server_groups),
        "openstack_project_servers": (server.name for server in declared.servers),
        "openstack_project_servers[].volumes": (volume.name for server in declared.servers for volume in server.volumes),
    }
    for where, names in listed.items():
        seen: set[str] = set()
        for name in names:
            if not NAME.match(name):
                yield f"{where}: name '{name}' is not valid: lower-case letters, digits and hyphens, 40 at most, no hyphen first or last"
            if name in seen:
                yield f"{where}: name '{name}' is there twice; give one of them another"
            seen.add(name)
    for server in declared.servers:
        for role in server.roles:
            if not ROLE.match(role):
                yield f"openstack_project_servers[{server.name}].roles: '{role}' cannot be a group: lower-case letters, digits and _ only"
        names_of_ports = [port.network for port in server.ports]
        for network in sorted({name for name in names_of_ports if names_of_ports.count(name) > 1}):
            yield f"openstack_project_servers[{server.name}].ports: two are on network '{network}'; one port may have several addresses"
        if not server.ports:
            yield f"openstack_project_servers[{server.name}].ports is empty: it could not be reached; give it one"


def _subnets(declared: Declaration) -> Iterator[str]:
    for network, subnet in declared.subnets():
        where = f"openstack_project_networks[{network.name}].subnets[{subnet.name}]"
        try:
            prefix = ip_network(subnet.cidr)
        except ValueError as error:
            yield f"{where}.cidr '{subnet.cidr}' is not a prefix ({error})"
            continue
        if subnet.addressing.startswith("slaac") and (prefix.version == 4 or prefix.prefixlen != 64):
            yield f"{where}.addressing is {subnet.addressing} and cidr {subnet.cidr}: SLAAC needs an IPv6 prefix of 64 bits"
        if (subnet.pool_start is None) != (subnet.pool_end is None):
            yield f"{where}: give pool_start and pool_end, or neither"
        for name in ("gateway", "pool_start", "pool_end"):
            value = getattr(subnet, name)
            if value and not _inside(value, prefix):
                yield f"{where}.{name} '{value}' is no address of {subnet.cidr}"


def _inside(address: str, prefix: IPv4Network | IPv6Network) -> bool:
    try:
        return ip_address(address) in prefix
    except ValueError:
        return False


def _references(declared: Declaration) -> Iterator[str]:
    subnets = {subnet.name: subnet for _network, subnet in declared.subnets()}
    groups = {group.name for group in declared.security_groups}
    server_groups = {group.name for group in declared.server_groups}
    for router in declared.routers:
        for name in router.subnets:
            where = f"openstack_project_routers[{router.name}].subnets"
            if name not in subnets:
                yield f"{where}: there is no subnet '{name}' in openstack_project_networks; it has {', '.join(subnets) or 'none'}"
            elif not subnets[name].gateway:
                yield f"{where}: subnet '{name}' has no gateway; the router's address there would be it"
    for server in declared.servers:
        where = f"openstack_project_servers[{server.name}]"
        if server.server_group is not None and server.server_group not in server_groups:
            known = ", ".join(sorted(server_groups)) or "none"
            yield f"{where}.server_group '{server.server_group}' is not in openstack_project_server_groups; it has {known}"
        for port in server.ports:
            for group in port.security_groups:
                if group not in groups:
                    known = ", ".join(sorted(groups)) or "none"
                    yield f"{where}.ports[{port.network}].security_groups: '{group}' is not in openstack_project_security_groups: {known}"
            if not declared.protected(port) and (port.security_groups or port.allowed_addresses):
                yield (
                    f"{where}.ports[{port.network}] has no port security, so no security group and no allowed address has an effect; "
                    "leave them out or set port_security"
                )
        if declared.access_network and all(port.network != declared.access_network for port in server.ports):
            yield f"{where}.ports: none is on openstack_project_access_network '{declared.access_network}'; it could not be reached"


def _addresses(declared: Declaration) -> Iterator[str]:
    used: dict[tuple[str, str], str] = {}
    for server in declared.servers:
        for port in server.ports:
            where = f"openstack_project_servers[{server.name}].ports[{port.network}]"
            network = declared.own_network(port.network)
            for text in port.addresses:
                try:
                    address = ip_address(text)
                except ValueError:
                    yield f"{where}.addresses: '{text}' is not an address"
                    continue
                if network and not any(_inside(text, prefix) for prefix in _prefixes(network)):
                    yield f"{where}.addresses: {text} is in no subnet of {port.network}: {', '.join(s.cidr for s in network.subnets)}"
                other = used.setdefault((port.network, str(address)), server.name)
                if other != server.name:
                    yield f"{where}.addresses: {text} is server {other}'s, too"
            for text in port.allowed_addresses:
                try:
                    pair = ip_network(text)
                except ValueError as error:
                    yield f"{where}.allowed_addresses: '{text}' is not an address or prefix ({error})"
                    continue
                if pair.prefixlen == 0:
                    yield f"{where}.allowed_addresses: {text} is every address, which neutron refuses; set port_security to false"
            for subnet in network.subnets if network else []:
                if subnet.addressing == "static" and not any(
                    _inside(text, p) for text in port.addresses for p in _prefixes(network, subnet)
                ):
                    yield f"{where}.addresses: subnet {subnet.name} is static; give the server an address of {subnet.cidr}"


def _prefixes(network: Network | None, only: Subnet | None = None) -> list[IPv4Network | IPv6Network]:
    found = []
    for subnet in [only] if only else network.subnets if network else []:
        try:
            found.append(ip_network(subnet.cidr))
        except ValueError:
            continue
    return found
