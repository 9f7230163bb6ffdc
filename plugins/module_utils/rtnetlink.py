# Copyright (c) 2026, The closedloop.mobility contributors
# SPDX-License-Identifier: Apache-2.0
"""The few rtnetlink operations that a lab needs, on pyroute2, inside one named network namespace.

Addresses and routes made here carry a mark of their own (`IFA_PROTO`, `rtm_protocol`), so that what the kernel (SLAAC) or a daemon
(home addresses, proxy routes) adds to the same interface is never taken for a leftover. Kernels before 5.18 keep no mark of addresses:
there, addresses are added and never removed.
"""

from __future__ import annotations

import errno
import ipaddress
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ansible_collections.closedloop.mobility.plugins.module_utils import namespaces
from ansible_collections.closedloop.mobility.plugins.module_utils.outcome import MobilityError
from ansible_collections.closedloop.mobility.plugins.module_utils.pyroute2_library import pyroute2

IFF_UP = 1
IFA_F_NODAD = 0x02
AF_INET6 = 10
MARK = 0x6D
"""Our protocol number for addresses and routes: 'm'. Not in rt_protos, above the ranges that the kernel and routing daemons use."""
MAIN_TABLE = 254
FIRST_PORT_INDEX = 1001
"""Ports get interface indexes of their own range. A veth whose peer has the same index in the other namespace does not look like a pair
to the kernel's link watch, and its carrier changes would be reported up to one second late."""

TC_ROOT = 0xFFFFFFFF
RATE_HANDLE = MARK << 16
"""Of our token buckets."""
OCTETS_PER_MBIT = 125_000
LARGEST_SEGMENT = 65_536
"""A segment that the network stack has yet to cut up passes as a whole."""
TICKS_PER_S = 250
"""The bucket holds what passes between two timer ticks, so that a slow clock does not slow the link."""


@dataclass(frozen=True)
class Link:
    name: str
    index: int
    kind: str
    up: bool
    mtu: int
    master_index: int
    peer_index: int


@contextmanager
def opened(namespace: str) -> Iterator[Netlink]:
    """Netlink socket of the namespace; the body runs inside the namespace, so sysctls are its own too."""
    library = pyroute2()
    with namespaces.entered(namespace), library.IPRoute() as socket:
        try:
            yield Netlink(namespace, socket)
        except library.NetlinkError as error:
            raise MobilityError(f"namespace {namespace!r}: the kernel refused a link, address or route: {error}") from error


class Netlink:
    """Operations in one namespace. NetlinkError is turned into MobilityError by `opened`."""

    def __init__(self, namespace: str, socket: Any) -> None:
        self.namespace = namespace
        self.socket = socket
        self._links: dict[str, Link] | None = None

    def links(self) -> dict[str, Link]:
        """All links by name. Read once; kept up to date with what this object changes, as each message costs a millisecond to decode."""
        if self._links is None:
            self._links = {link.name: link for link in map(_link, self.socket.get_links())}
        return self._links

    def _set(self, name: str, **values: Any) -> Link:
        """Change a link and read it again."""
        self.socket.link("set", index=self.links()[name].index, **values)
        return self._read(name)

    def _read(self, name: str) -> Link:
        link = _link(self.socket.link("get", ifname=name)[0])
        self.links()[name] = link
        return link

    def own_addresses(self) -> dict[int, list[str]]:
        """Marked addresses as `address/length` by interface index."""
        found: dict[int, list[str]] = {}
        for message in self.socket.get_addr(family=AF_INET6):
            if message.get_attr("IFA_PROTO") == MARK:
                found.setdefault(message["index"], []).append(f"{message.get_attr('IFA_ADDRESS')}/{message['prefixlen']}")
        return found

    def own_routes(self) -> dict[int, list[tuple[str, str]]]:
        """Marked routes of table main as (prefix, gateway) by interface index."""
        found: dict[int, list[tuple[str, str]]] = {}
        for message in self.socket.get_routes(family=AF_INET6, table=MAIN_TABLE):
            if message["proto"] == MARK and message.get_attr("RTA_OIF"):
                prefix = f"{message.get_attr('RTA_DST') or '::'}/{message['dst_len']}"
                found.setdefault(message.get_attr("RTA_OIF"), []).append((prefix, message.get_attr("RTA_GATEWAY") or ""))
        return found

    def ensure_bridge(self, name: str) -> None:
        """A bridge that forwards at once and floods multicast (neighbour discovery), with no IPv6 of its own."""
        if name in self.links():
            return
        self.socket.link("add", ifname=name, kind="bridge", br_stp_state=0, br_forward_delay=0, br_mcast_snooping=0)
        namespaces.write_sysctl(f"net.ipv6.conf.{name}.disable_ipv6", "1")
        self._read(name)
        self._set(name, state="up")

    def plug(self, port: str, *, alias: str, bridge: str, mtu: int | None, peer_name: str, peer_namespace: str, peer_present: bool) -> None:
        """Make the pair where it is missing and put the port on the bridge, down in between so that the host sees the carrier change."""
        links = self.links()
        if port in links and not peer_present:
            # Its other end is in a namespace of that name that was removed and is not quite gone.
            self.socket.link("del", index=links[port].index)
            del links[port]
        if port not in links:
            self._make_pair(port, links, peer_name, peer_namespace)
            self.socket.link("set", index=self._read(port).index, ifalias=alias)
            namespaces.write_sysctl(f"net.ipv6.conf.{port}.disable_ipv6", "1")
        found = links[port]
        if mtu is not None and found.mtu != mtu:
            found = self._set(port, mtu=mtu)
        if found.master_index != links[bridge].index:
            if found.up:
                self._set(port, state="down")
            found = self._set(port, master=links[bridge].index)
        if not found.up:
            self._set(port, state="up")

    def _make_pair(self, port: str, links: dict[str, Link], peer_name: str, peer_namespace: str) -> None:
        index = max([FIRST_PORT_INDEX - 1, *(link.index for link in links.values())]) + 1
        target = os.open(namespaces.path(peer_namespace), os.O_RDONLY | os.O_CLOEXEC)
        try:
            self.socket.link("add", ifname=port, index=index, kind="veth", peer={"ifname": peer_name, "net_ns_fd": target})
        finally:
            os.close(target)

    def ensure_up(self, link: Link, *, mtu: int | None) -> None:
        if mtu is not None and link.mtu != mtu:
            self._set(link.name, mtu=mtu)
        if not link.up:
            self._set(link.name, state="up")

    def set_addresses(self, index: int, wanted: set[str]) -> None:
        """Exactly these among the marked ones; usable at once (no duplicate address detection)."""
        for text in set(self.own_addresses().get(index, [])) - wanted:
            value = ipaddress.IPv6Interface(text)
            self.socket.addr("del", index=index, address=str(value.ip), prefixlen=value.network.prefixlen)
        for text in sorted(wanted):
            value = ipaddress.IPv6Interface(text)
            address, length = str(value.ip), value.network.prefixlen
            self.socket.addr("replace", index=index, family=AF_INET6, address=address, prefixlen=length, flags=IFA_F_NODAD, proto=MARK)

    def set_routes(self, index: int, wanted: set[tuple[str, str]]) -> None:
        """Exactly these among the marked ones of this interface."""
        found = set(self.own_routes().get(index, []))
        for to, via in sorted(found - wanted):
            self.socket.route("del", family=AF_INET6, dst=to, gateway=via, oif=index, proto=MARK, table=MAIN_TABLE)
        for to, via in sorted(wanted - found):
            self.socket.route("replace", family=AF_INET6, dst=to, gateway=via, oif=index, proto=MARK, table=MAIN_TABLE)

    def rates(self) -> dict[int, int]:
        """Limits in Mbit/s that `set_rate` has made, by interface index."""
        found: dict[int, int] = {}
        for message in self.socket.get_qdiscs():
            if message.get_attr("TCA_KIND") == "tbf" and message["handle"] == RATE_HANDLE:
                parameters = message.get_attr("TCA_OPTIONS").get_attr("TCA_TBF_PARMS")
                found[message["index"]] = parameters["rate"] // OCTETS_PER_MBIT
        return found

    def set_rate(self, index: int, mbit_per_s: int) -> None:
        """Limit what leaves by the interface with a token bucket (tbf); 0 removes the limit. What does not fit waits up to 25 ms."""
        if not mbit_per_s:
            self.socket.tc("del", None, index, parent=TC_ROOT)
            return
        octets_per_s = mbit_per_s * OCTETS_PER_MBIT
        burst = max(LARGEST_SEGMENT, octets_per_s // TICKS_PER_S)
        limit = burst + octets_per_s // 40
        self.socket.tc("replace", "tbf", index, RATE_HANDLE, parent=TC_ROOT, rate=octets_per_s, burst=burst, limit=limit)

    def delete(self, name: str) -> None:
        """Delete a link, and with it the other end of a pair. One that is gone meanwhile is what was wanted."""
        link = self.links().pop(name, None)
        if link is None:
            return
        try:
            self.socket.link("del", index=link.index)
        except pyroute2().NetlinkError as error:
            if error.code != errno.ENODEV:
                raise


def _link(message: Any) -> Link:
    info = message.get_attr("IFLA_LINKINFO")
    return Link(
        name=message.get_attr("IFLA_IFNAME"),
        index=message["index"],
        kind=(info.get_attr("IFLA_INFO_KIND") or "") if info else "",
        up=bool(message["flags"] & IFF_UP),
        mtu=message.get_attr("IFLA_MTU"),
        master_index=message.get_attr("IFLA_MASTER") or 0,
        peer_index=message.get_attr("IFLA_LINK") or 0,
    )
