# Copyright (c) 2026, The closedloop.mobility contributors
# SPDX-License-Identifier: Apache-2.0
"""Interfaces of namespace hosts on the links of a lab: what the module closedloop.mobility.netns_link does.

A link is a bridge in the fabric namespace. An interface is a veth pair: one end, with the wanted name, in the host's namespace; the
other, the port, on the bridge. Moving an interface to another link sets the port down, changes its bridge and sets it up, so that the
host sees what a radio sees: carrier lost, carrier found.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.closedloop.mobility.plugins.module_utils import namespaces, rtnetlink
from ansible_collections.closedloop.mobility.plugins.module_utils.netns import sysctl_text
from ansible_collections.closedloop.mobility.plugins.module_utils.outcome import MobilityError, Outcome

ARGUMENT_SPEC: dict[str, Any] = {
    "fabric": {"type": "str", "required": True},
    "interfaces": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "namespace": {"type": "str", "required": True},
            "name": {"type": "str", "required": True},
            "link": {"type": "str"},
            "roaming": {"type": "bool", "default": False},
            "mtu": {"type": "int"},
            "rate_mbit_per_s": {"type": "int"},
            "addresses": {"type": "list", "elements": "str"},
            "routes": {
                "type": "list",
                "elements": "dict",
                "options": {"to": {"type": "str", "required": True}, "via": {"type": "str", "required": True}},
            },
            "sysctls": {"type": "dict", "default": {}},
        },
    },
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
}

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,14}")
ANYWHERE = "::/0"
HIGHEST_RATE_MBIT_PER_S = 30_000
"""The kernel's 32 bit field holds a little more."""


@dataclass(frozen=True)
class Interface:
    """Wanted state of one interface. None for addresses or routes leaves them alone."""

    namespace: str
    name: str
    link: str
    roaming: bool
    mtu: int | None
    rate_mbit_per_s: int | None
    addresses: tuple[str, ...] | None
    routes: tuple[tuple[str, str], ...] | None
    sysctls: dict[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        return f"{self.namespace}/{self.name}"

    @property
    def port(self) -> str:
        """Name of the other end in the fabric: interface names hold 15 characters, so it is a digest; the alias tells people what it is."""
        return "p" + hashlib.sha256(self.key.encode()).hexdigest()[:14]


def run(params: dict[str, Any], *, check_mode: bool) -> Outcome:
    """Bring every interface to the wanted state. Raises MobilityError before the first change where a value is wrong."""
    present = params["state"] == "present"
    wanted = [interface(entry, present=present) for entry in params["interfaces"]]
    keys = [one.key for one in wanted]
    doubled = sorted({key for key in keys if keys.count(key) > 1})
    if doubled:
        raise MobilityError(f"interfaces: {', '.join(doubled)} is named more than once; name each interface once")
    fabric = params["fabric"]
    namespaces.path(fabric)
    return _present(fabric, wanted, check_mode=check_mode) if present else _absent(wanted, check_mode=check_mode)


def interface(entry: dict[str, Any], *, present: bool) -> Interface:
    """Check and normalise one entry of the option `interfaces`."""
    where = f"interfaces: {entry['namespace']}/{entry['name']}"
    namespaces.path(entry["namespace"])
    if not NAME.fullmatch(entry["name"]):
        raise MobilityError(f"{where}: name is not valid; use 1 to 15 letters, digits, '_' or '-'")
    link = entry.get("link") or ""
    if present and not NAME.fullmatch(link):
        raise MobilityError(f"{where}: link {link!r} is not valid; use 1 to 15 letters, digits, '_' or '-'")
    mtu = entry.get("mtu")
    if mtu is not None and not 1280 <= mtu <= 65535:
        raise MobilityError(f"{where}: mtu {mtu} is not valid; IPv6 needs 1280 to 65535 octets")
    rate = entry.get("rate_mbit_per_s")
    if rate is not None and not 0 <= rate <= HIGHEST_RATE_MBIT_PER_S:
        raise MobilityError(f"{where}: rate_mbit_per_s {rate} is not valid; use 1 to {HIGHEST_RATE_MBIT_PER_S}, or 0 for no limit")
    addresses, routes = entry.get("addresses"), entry.get("routes")
    return Interface(
        entry["namespace"],
        entry["name"],
        link,
        bool(entry.get("roaming")),
        mtu,
        rate,
        None if addresses is None else tuple(sorted({_interface_address(where, text) for text in addresses})),
        None if routes is None else tuple(sorted({_route(where, one) for one in routes})),
        {key: sysctl_text(value) for key, value in (entry.get("sysctls") or {}).items()},
    )


def _interface_address(where: str, text: str) -> str:
    try:
        value = ipaddress.IPv6Interface(text)
    except ValueError as error:
        raise MobilityError(
            f"{where}: address {text!r} is not an IPv6 address with prefix length ({error}); write 2001:db8::1/64"
        ) from error
    return f"{value.ip}/{value.network.prefixlen}"


def _route(where: str, entry: dict[str, str]) -> tuple[str, str]:
    return _destination(where, entry["to"]), plain_address(f"{where}: route via", entry["via"])


def _destination(where: str, text: str) -> str:
    try:
        return str(ipaddress.IPv6Network(ANYWHERE if text == "default" else text))
    except ValueError as error:
        raise MobilityError(f"{where}: route to {text!r} is not an IPv6 prefix ({error}); write 'default' or 2001:db8::/64") from error


def plain_address(where: str, text: str) -> str:
    """Canonical text of an IPv6 address without length. `where` begins the error."""
    try:
        return str(ipaddress.IPv6Address(text))
    except ValueError as error:
        raise MobilityError(f"{where} {text!r} is not an IPv6 address ({error}); write 2001:db8::1") from error


def _present(fabric: str, wanted: list[Interface], *, check_mode: bool) -> Outcome:
    before = _observed(fabric, wanted, check_mode=check_mode)
    after = {one.key: _goal(one, before.get(one.key)) for one in wanted}
    if not check_mode and before != after:
        _attach(
            fabric, [(one, after[one.key]["link"]) for one in wanted if _attachment(before.get(one.key)) != _attachment(after[one.key])]
        )
        _limit(fabric, [(one.port, one.rate_mbit_per_s) for one in wanted])
        for namespace in sorted({one.namespace for one in wanted}):
            _limit(namespace, [(one.name, one.rate_mbit_per_s) for one in wanted if one.namespace == namespace])
            _configure(namespace, [one for one in wanted if one.namespace == namespace and before.get(one.key) != after[one.key]])
    return Outcome(before, after, {"interfaces": sorted(after)})


def _goal(one: Interface, found: dict[str, Any] | None) -> dict[str, Any]:
    """State after the change, in the shape of `_observed`; what is not asked for stays as found."""
    found = found or {}
    return {
        "link": (one.roaming and found.get("link")) or one.link,
        "up": True,
        "mtu": found.get("mtu", 1500) if one.mtu is None else one.mtu,
        "addresses": found.get("addresses", []) if one.addresses is None else list(one.addresses),
        "routes": found.get("routes", []) if one.routes is None else [f"{to} via {via}" for to, via in one.routes],
        "sysctls": one.sysctls,
        **_rate(one, [one.rate_mbit_per_s]),
    }


def _rate(one: Interface, rates: list[int | None]) -> dict[str, Any]:
    """The state of the limit at both ends, where one is asked for."""
    return {} if one.rate_mbit_per_s is None else {"rate_mbit_per_s": rates[0] if len(set(rates)) == 1 else rates}


def _attachment(state: dict[str, Any] | None) -> tuple[Any, ...]:
    return (state["link"], state["mtu"]) if state else ()


def _observed(fabric: str, wanted: list[Interface], *, check_mode: bool) -> dict[str, dict[str, Any]]:
    """Managed state of the wanted interfaces that exist."""
    ports: dict[str, rtnetlink.Link] = {}
    bridges: dict[int, str] = {}
    limited = any(one.rate_mbit_per_s is not None for one in wanted)
    far: dict[int, int] = {}
    if namespaces.exists(fabric):
        with rtnetlink.opened(fabric) as netlink:
            ports = netlink.links()
            bridges = {link.index: link.name for link in ports.values() if link.kind == "bridge"}
            far = netlink.rates() if limited else {}
    elif not check_mode:
        namespaces.identity(fabric)  # raises the error that names the remedy
    found: dict[str, dict[str, Any]] = {}
    for namespace in sorted({one.namespace for one in wanted}):
        if not namespaces.exists(namespace):
            if not check_mode:
                namespaces.identity(namespace)
            continue
        with rtnetlink.opened(namespace) as netlink:
            links, addresses, routes = netlink.links(), netlink.own_addresses(), netlink.own_routes()
            near = netlink.rates() if limited else {}
            for one in wanted:
                link = links.get(one.name)
                if one.namespace != namespace or link is None:
                    continue
                port = ports.get(one.port)
                if port is None or port.index != link.peer_index:
                    raise MobilityError(f"{one.key}: an interface of this name is there that this module did not make; rename or remove it")
                found[one.key] = {
                    "link": bridges.get(port.master_index, ""),
                    "up": link.up and port.up,
                    "mtu": link.mtu if link.mtu == port.mtu else 0,
                    "addresses": sorted(addresses.get(link.index, [])),
                    "routes": [f"{to} via {via}" for to, via in sorted(routes.get(link.index, []))],
                    "sysctls": {key: namespaces.read_sysctl(f"net.ipv6.conf.{one.name}.{key}") for key in one.sysctls},
                    **_rate(one, [near.get(link.index, 0), far.get(port.index, 0)]),
                }
    return found


def _limit(namespace: str, wanted: list[tuple[str, int | None]]) -> None:
    """Limit what leaves by these interfaces; None leaves the limit as it is."""
    if any(rate is not None for _name, rate in wanted):
        with rtnetlink.opened(namespace) as netlink:
            links, rates = netlink.links(), netlink.rates()
            for name, rate in wanted:
                if rate is not None and rates.get(links[name].index, 0) != rate:
                    netlink.set_rate(links[name].index, rate)


def _attach(fabric: str, wanted: list[tuple[Interface, str]]) -> None:
    """Make missing bridges and pairs, and plug each interface's port into the bridge of its link."""
    if not wanted:
        return
    present = {namespace: _link_names(namespace) for namespace in {one.namespace for one, link in wanted}}
    with rtnetlink.opened(fabric) as netlink:
        for bridge in sorted({link for one, link in wanted}):
            netlink.ensure_bridge(bridge)
        for one, link in wanted:
            netlink.plug(
                one.port,
                alias=one.key,
                bridge=link,
                mtu=one.mtu,
                peer_name=one.name,
                peer_namespace=one.namespace,
                peer_present=one.name in present[one.namespace],
            )


def _link_names(namespace: str) -> set[str]:
    with rtnetlink.opened(namespace) as netlink:
        return set(netlink.links())


def _configure(namespace: str, wanted: list[Interface]) -> None:
    """Inside the host: sysctls before the interface is up, then addresses, then routes."""
    if not wanted:
        return
    with rtnetlink.opened(namespace) as netlink:
        links = netlink.links()
        for one in wanted:
            for key, value in one.sysctls.items():
                if namespaces.read_sysctl(f"net.ipv6.conf.{one.name}.{key}") != value:
                    namespaces.write_sysctl(f"net.ipv6.conf.{one.name}.{key}", value)
            netlink.ensure_up(links[one.name], mtu=one.mtu)
            if one.addresses is not None:
                netlink.set_addresses(links[one.name].index, set(one.addresses))
        for one in wanted:  # a route may lead through a prefix of another interface of this call
            if one.routes is not None:
                netlink.set_routes(links[one.name].index, set(one.routes))


def _absent(wanted: list[Interface], *, check_mode: bool) -> Outcome:
    before: dict[str, Any] = {}
    for one in wanted:
        if namespaces.exists(one.namespace):
            with rtnetlink.opened(one.namespace) as netlink:
                if one.name in netlink.links():
                    before[one.key] = "present"
                    if not check_mode:
                        netlink.delete(one.name)
    return Outcome(before, {}, {"interfaces": sorted(before)})
