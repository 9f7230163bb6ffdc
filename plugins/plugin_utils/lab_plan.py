# Copyright (c) 2026, The closedloop.mobility contributors
# SPDX-License-Identifier: Apache-2.0
"""From the declaration of a lab (links, hosts) to what the modules netns and netns_link take, and what is wrong with a declaration.

links   {name: {"prefix": "2001:db8:1::/64"}}
hosts   {name: {"forwarding": bool, "sysctls": {key: value}, "interfaces": [{"name", "link", "addresses", "routes", "sysctls"}],
                "router_advertisements": [{"interface", "prefix"}]}}
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from typing import Any

from ansible.module_utils.datatag import native_type_name

Links = dict[str, dict[str, Any]]
Hosts = dict[str, dict[str, Any]]

LAB_NAME = re.compile(r"[a-z][a-z0-9]{0,15}")
NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,30}[a-z0-9])?")
LINK_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,13}[a-z0-9])?")
FABRIC = "fabric"
HOST_FIELDS = {"forwarding", "sysctls", "interfaces", "router_advertisements"}
SYSCTL = re.compile(r"net(\.[A-Za-z0-9_/-]+)+")
INTERFACE_SYSCTL = re.compile(r"[a-z0-9_]+")
MTU = range(1280, 65536)
INTERFACE_FIELDS = {"name", "link", "roaming", "mtu", "addresses", "routes", "sysctls"}

HOST_SYSCTLS = {
    # The lab's addresses are assigned by the inventory: duplicate address detection would only delay each of them by a second.
    "net.ipv6.conf.default.accept_dad": 0,
    "net.ipv6.conf.all.accept_dad": 0,
}


def namespaces(hosts: Hosts, lab: str) -> list[dict[str, Any]]:
    """Option `namespaces` of the module netns: the fabric and every host."""
    return [
        {"name": f"{lab}-{FABRIC}", "sysctls": {}},
        *({"name": f"{lab}-{name}", "sysctls": host_sysctls(host)} for name, host in sorted(hosts.items())),
    ]


def host_sysctls(host: dict[str, Any]) -> dict[str, Any]:
    """Defaults, forwarding, then what the host itself asks for."""
    return {**HOST_SYSCTLS, "net.ipv6.conf.all.forwarding": int(bool(host.get("forwarding"))), **(host.get("sysctls") or {})}


def interfaces(hosts: Hosts, lab: str) -> list[dict[str, Any]]:
    """Option `interfaces` of the module netns_link."""
    return [
        {"namespace": f"{lab}-{name}", **interface} for name, host in sorted(hosts.items()) for interface in host.get("interfaces") or []
    ]


def paths(hosts: Hosts, lab: str) -> list[dict[str, str]]:
    """Option `paths` of the module netns_reachable: from every host to each of its next hops."""
    return [
        {"namespace": f"{lab}-{name}", "to": route["via"]}
        for name, host in sorted(hosts.items())
        for interface in host.get("interfaces") or []
        for route in interface.get("routes") or []
    ]


def paths_to(names: list[str], lab: str, addresses: list[str]) -> list[dict[str, str]]:
    """Option `paths` of the module netns_reachable: from every host of these names to every address."""
    return [{"namespace": f"{lab}-{name}", "to": address} for name in names for address in addresses]


def problems(hosts: Hosts, links: Links, lab: str) -> list[str]:
    """Everything that is wrong, one line each: host, field, what was found, remedy. Empty where the lab can be built."""
    found = []
    if not isinstance(lab, str) or not LAB_NAME.fullmatch(lab):
        found.append(f"lab name {lab!r} ({native_type_name(lab)}): use 1 to 16 lower-case letters and digits, a letter first")
    prefixes = {}
    for name, link in links.items():
        if not LINK_NAME.fullmatch(str(name)):
            found.append(f"link {name!r}: the name is not valid; use 1 to 15 lower-case letters, digits and '-'")
        prefix = prefix_of(link.get("prefix")) if isinstance(link, dict) else None
        if prefix is None:
            found.append(f"link {name}, prefix: {_kind(link)} is not an IPv6 prefix with zero host bits; write 2001:db8:1::/64")
        else:
            found.extend(
                f"link {name}, prefix: {prefix} overlaps {other} of link {one}; give each link a prefix of its own"
                for one, other in prefixes.items()
                if prefix.overlaps(other)
            )
            prefixes[name] = prefix
    owners: dict[ipaddress.IPv6Address, str] = {}
    for name, host in sorted(hosts.items()):
        found.extend(_host_problems(name, host, prefixes, set(links), owners))
    return found


def _host_problems(
    name: str, host: Any, prefixes: dict[str, ipaddress.IPv6Network], links: set[str], owners: dict[ipaddress.IPv6Address, str]
) -> Iterator[str]:
    if not NAME.fullmatch(name) or name == FABRIC:
        yield f"host {name!r}: the name is not valid; use up to 32 lower-case letters, digits and '-', and not {FABRIC!r}"
    if not isinstance(host, dict):
        yield f"host {name}: expected a mapping of fields, got {native_type_name(host)}; declare at least 'interfaces: []'"
        return
    for field in sorted(set(host) - HOST_FIELDS):
        yield f"host {name}, {field}: is not a field; remove it or correct its name ({', '.join(sorted(HOST_FIELDS))})"
    if not isinstance(host.get("forwarding", False), bool):
        yield f"host {name}, forwarding: expected true or false, got {native_type_name(host['forwarding'])}; write true or false"
    if not isinstance(host.get("sysctls", {}), dict):
        yield f"host {name}, sysctls: expected a mapping, got {native_type_name(host['sysctls'])}; write 'key: value' lines"
    for key in host["sysctls"] if isinstance(host.get("sysctls"), dict) else ():
        if not SYSCTL.fullmatch(str(key)):
            yield f"host {name}, sysctls: {key!r} is not one of a network namespace; name one that begins with 'net.'"
    for field in ("interfaces", "router_advertisements"):
        if not isinstance(host.get(field, []), list):
            yield f"host {name}, {field}: expected a list, got {native_type_name(host[field])}; write '- ' entries"
    seen: set[str] = set()
    for interface in _list(host, "interfaces"):
        yield from _interface_problems(name, interface, prefixes, links, owners, seen)
    for entry in _list(host, "router_advertisements"):
        interface = entry.get("interface") if isinstance(entry, dict) else None
        if interface not in seen:
            yield f"host {name}, router_advertisements: there is no interface {interface!r}; name one of {sorted(seen)}"
        if not isinstance(entry, dict) or prefix_of(entry.get("prefix")) is None:
            yield f"host {name}, router_advertisements, prefix: {_kind(entry)} is not an IPv6 prefix; write 2001:db8:1::/64"


def _interface_problems(
    host: str,
    interface: Any,
    prefixes: dict[str, ipaddress.IPv6Network],
    links: set[str],
    owners: dict[ipaddress.IPv6Address, str],
    seen: set[str],
) -> Iterator[str]:
    if not isinstance(interface, dict) or not LINK_NAME.fullmatch(str(interface.get("name", ""))):
        yield f"host {host}, interfaces: {_kind(interface)} has no valid name; use 1 to 15 lower-case letters, digits and '-'"
        return
    where = f"host {host}, interface {interface['name']}"
    if interface["name"] in seen:
        yield f"{where}: is declared twice; remove one"
    seen.add(interface["name"])
    for field in sorted(set(interface) - INTERFACE_FIELDS):
        yield f"{where}, {field}: is not a field; remove it or correct its name ({', '.join(sorted(INTERFACE_FIELDS))})"
    link = interface.get("link")
    if link not in links:
        yield f"{where}, link: there is no link {link!r}; declare it or name one of {sorted(links)}"
    for field in ("addresses", "routes"):
        if not isinstance(interface.get(field, []), list):
            yield f"{where}, {field}: expected a list, got {native_type_name(interface[field])}; write '- ' entries"
    mtu = interface.get("mtu")
    if mtu is not None and (isinstance(mtu, bool) or not isinstance(mtu, int) or mtu not in MTU):
        yield f"{where}, mtu: {_kind(mtu)} is not valid; IPv6 needs 1280 to 65535 octets"
    sysctls = interface.get("sysctls", {})
    if not isinstance(sysctls, dict) or not all(INTERFACE_SYSCTL.fullmatch(str(key)) for key in sysctls):
        yield f"{where}, sysctls: {_kind(sysctls)} is not valid; write 'key: value' lines, keys as below net.ipv6.conf.INTERFACE"
    for text in _list(interface, "addresses"):
        address = interface_address(text)
        if address is None:
            kind = native_type_name(text)
            yield f"{where}, addresses: {text!r} ({kind}) is not an IPv6 address with prefix length; write 2001:db8:1::1/64"
            continue
        if link in prefixes and address.ip not in prefixes[link]:
            yield f"{where}, addresses: {address} is outside {prefixes[link]} of link {link}; take an address of the link's prefix"
        if address.ip in owners:
            yield f"{where}, addresses: {address.ip} is also that of {owners[address.ip]}; give each interface an address of its own"
        owners[address.ip] = where
    for route in _list(interface, "routes"):
        if not isinstance(route, dict) or set(route) != {"to", "via"}:
            yield f"{where}, routes: {_kind(route)} is not a route; write 'to' (a prefix or default) and 'via' (an address)"
            continue
        if route["to"] != "default" and prefix_of(route["to"]) is None:
            yield f"{where}, routes, to: {route['to']!r} is not an IPv6 prefix; write default or 2001:db8:1::/64"
        via = address_of(route["via"])
        if via is None or (link in prefixes and via not in prefixes[link] and not via.is_link_local):
            yield f"{where}, routes, via: {route['via']!r} is not an address on link {link}; name the router's address there"


def home_network_problems(prefixes: Any, mode: str, shared: Any, host: str) -> list[str]:
    """What is wrong with home prefixes and the home agent address that moves (mode `shared`)."""
    if not isinstance(prefixes, list) or not prefixes:
        return [f"host {host}, home prefixes: expected a list with at least one prefix, got {_kind(prefixes)}; write 2001:db8:100::/64"]
    found = [
        f"host {host}, home prefixes: {text!r} ({native_type_name(text)}) is not an IPv6 prefix; write 2001:db8:100::/64"
        for text in prefixes
        if prefix_of(text) is None
    ]
    networks = [network for network in map(prefix_of, prefixes) if network is not None]
    if mode == "shared":
        address = address_of(shared)
        if address is None or not any(address in network for network in networks):
            found.append(f"host {host}, shared address: {_kind(shared)} is not an address of a home prefix; give one, or use per_instance")
    return found


def home_address_problems(prefixes: list[Any], address: Any, spi: Any, host: str, others: dict[str, Any] | None = None) -> list[str]:
    """What is wrong with a mobile node's home address and security association. others: home addresses of other mobile nodes by name."""
    found = [
        f"host {host}, home prefix: {text!r} ({native_type_name(text)}) is not an IPv6 prefix; write 2001:db8:100::/64"
        for text in prefixes
        if prefix_of(text) is None
    ]
    networks = [network for network in map(prefix_of, prefixes) if network is not None]
    value = address_of(address)
    if value is None or (networks and not any(value in network for network in networks)):
        found.append(f"host {host}, home address: {_kind(address)} is not an address of the home prefix; give one of {prefixes}")
    found.extend(
        f"host {host}, home address: {value} is also that of {name}; give each mobile node its own"
        for name, other in (others or {}).items()
        if value is not None and address_of(other) == value
    )
    if not isinstance(spi, int) or isinstance(spi, bool) or not 256 <= spi <= 0xFFFFFFFF:
        found.append(f"host {host}, spi: {_kind(spi)} is not valid; use 256 to 4294967295 (RFC 4285 section 5 reserves 0 to 255)")
    return found


def backend_problems(address: Any, declared: list[dict[str, Any]], ports: dict[str, Any], certificate_days: Any, host: str) -> list[str]:
    """What is wrong with HA-B's place. `declared`: its host's interfaces; the address is looked up where there are any.
    ports: {field: TCP port}."""
    found = [
        f"host {host}, {field}: {_kind(port)} is not a TCP port; use 1 to 65535"
        for field, port in ports.items()
        if not isinstance(port, int) or isinstance(port, bool) or not 1 <= port <= 65535
    ]
    if len(set(ports.values())) < len(ports):
        found.append(f"host {host}, {' and '.join(ports)}: are the same port; give each a port of its own")
    value = address_of(address)
    own = [entry.ip for interface in declared for entry in map(interface_address, _list(interface, "addresses")) if entry is not None]
    if value is None:
        found.append(f"host {host}, address: {_kind(address)} is not an IPv6 address; write one like 2001:db8:be::1")
    elif declared and value not in own:
        remedy = f"give one of {', '.join(map(str, own))}" if own else "declare it there"
        found.append(f"host {host}, address: {value} is not an address of the host's interfaces; {remedy}")
    if not isinstance(certificate_days, int) or isinstance(certificate_days, bool) or certificate_days < 1:
        found.append(f"host {host}, certificate days: {_kind(certificate_days)} is not a number of days; use at least 1")
    return found


def roaming_problems(names: list[Any], declared: list[dict[str, Any]], host: str) -> list[str]:
    """What is wrong with the interfaces a mobile node roams with. `declared`: its host's; nothing is looked up where there is none."""
    there = sorted(str(interface.get("name")) for interface in declared)
    return [
        f"host {host}, interfaces: the host has no interface {_kind(name)}; name one of {there}"
        for name in names
        if there and name not in there
    ]


def prefix_of(text: Any) -> ipaddress.IPv6Network | None:
    """The prefix, or None where the text is none or has host bits."""
    try:
        return ipaddress.IPv6Network(text) if isinstance(text, str) and "/" in text else None
    except ValueError:
        return None


def address_of(text: Any) -> ipaddress.IPv6Address | None:
    try:
        return ipaddress.IPv6Address(text) if isinstance(text, str) else None
    except ValueError:
        return None


def interface_address(text: Any) -> ipaddress.IPv6Interface | None:
    """An address that an interface can have, with its prefix length."""
    try:
        value = ipaddress.IPv6Interface(text) if isinstance(text, str) and "/" in text else None
    except ValueError:
        return None
    unusable = value is None or value.ip.is_multicast or value.ip.is_unspecified or value.ip.is_loopback
    return None if unusable else value


def _list(host: dict[str, Any], field: str) -> list[Any]:
    value = host.get(field)
    return value if isinstance(value, list) else []


def _kind(value: Any) -> str:
    return repr(value) if isinstance(value, (str, int, float, bool, type(None))) else f"a {native_type_name(value)} {value!r}"
