"""What happens on the links of this namespace, as events: carrier, addresses, router advertisements. SLAAC itself is the kernel's."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from pyroute2.netlink import rtnl  # type: ignore[import-untyped] # it has no type hints
from pyroute2.netlink.rtnl.ifaddrmsg import (  # type: ignore[import-untyped]
    IFA_F_DADFAILED,
    IFA_F_DEPRECATED,
    IFA_F_OPTIMISTIC,
    IFA_F_TENTATIVE,
)

from closedloop_nf.kernel import messages as m
from closedloop_nf.kernel.netlink import Events
from closedloop_nf.kernel.route_table import RouteTable
from closedloop_nf.kernel.sockets import Icmpv6Socket, PacketSender
from closedloop_nf.wire.icmpv6 import RouterAdvertisement, RouterSolicitation, build_icmpv6
from closedloop_nf.wire.ipv6 import ICMPV6, UNSPECIFIED, build_packet, is_link_local
from closedloop_nf.wire.nd_options import SourceLinkLayerAddress

ALL_ROUTERS = bytes.fromhex("ff020000000000000000000000000002")
_ND_HOP_LIMIT = 255


@dataclass(frozen=True, slots=True)
class LinkState:
    """Carrier of an interface. `address` is its link-layer address."""

    interface: str
    index: int
    up: bool
    address: bytes


@dataclass(frozen=True, slots=True)
class AddressState:
    """A global or unique local address of an interface.

    usable: may be a source now (not tentative, or optimistic). removed: it is gone; `usable` is False then.
    """

    interface: str
    address: bytes
    prefix_length: int
    usable: bool
    deprecated: bool
    removed: bool
    slaac: bool
    """Made by the kernel from a router advertisement."""
    valid_until: float | None
    """Monotonic end of its valid lifetime, up to two seconds before it is; None: it has none."""


@dataclass(frozen=True, slots=True)
class RouterAdvertisementSeen:
    """A router advertisement as received, from a link-local source with hop limit 255 (RFC 4861 section 6.1.2).

    `payload` begins at the ICMPv6 type, for wire.icmpv6.parse_icmpv6.
    """

    interface: str
    router: bytes
    payload: bytes


LinkEvent = LinkState | AddressState | RouterAdvertisementSeen

SAME_END_S = 1.0
"""The kernel tells ends in whole seconds, so that one end is told with that difference."""


def _same(known: AddressState, found: AddressState) -> bool:
    if known.valid_until is None or found.valid_until is None:
        return known == found
    return replace(known, valid_until=found.valid_until) == found and abs(known.valid_until - found.valid_until) < SAME_END_S


class LinkMonitor:
    """Watches the named interfaces. On `start` the present state comes first (LinkState, AddressState), then every change.

    An interface that does not exist is one without carrier. Nothing is delivered twice; an end that moved by less than `SAME_END_S` has
    not moved.
    """

    def __init__(self, interfaces: list[str], deliver: Callable[[LinkEvent], None]) -> None:
        """deliver: called in the event loop's thread, in the order of the kernel's messages. Raises KernelError."""
        self._wanted = frozenset(interfaces)
        self._deliver = deliver
        self._names: dict[int, str] = {}
        self._links: dict[str, LinkState] = {name: LinkState(name, 0, up=False, address=b"") for name in interfaces}
        self._addresses: dict[tuple[int, bytes], AddressState] = {}
        self._link_locals: dict[str, tuple[bytes, bool]] = {}
        """Usable link-local address per interface, and whether its uniqueness is established (not optimistic)."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._routes = RouteTable()
        self._advertisements = Icmpv6Socket((RouterAdvertisement.TYPE,))
        self._sender = PacketSender()
        self._events = Events(rtnl.RTMGRP_LINK | rtnl.RTMGRP_IPV6_IFADDR, {**m.LINKS, **m.ADDRESSES})
        self._routes.open()

    def start(self) -> None:
        """Register with the running event loop and deliver the present state."""
        self._loop = asyncio.get_running_loop()
        for state in self._links.values():
            self._deliver(state)
        self._resynchronise()
        self._loop.add_reader(self._events.fileno(), self._on_events)
        self._loop.add_reader(self._advertisements.fileno(), self._on_advertisements)

    def close(self) -> None:
        if self._loop is not None:
            self._loop.remove_reader(self._events.fileno())
            self._loop.remove_reader(self._advertisements.fileno())
            self._loop = None
        self._events.close()
        self._advertisements.close()
        self._sender.close()
        self._routes.close()

    def solicit_router(self, interface: str) -> None:
        """Send one Router Solicitation (RFC 4861 section 4.1) from the link-local address, or unspecified where there is none.

        The source link-layer address option is left out while the source is not known to be unique (RFC 4429 section 3.2).
        """
        state = self._links[interface]
        source, unique = self._link_locals.get(interface, (UNSPECIFIED, False))
        options = (SourceLinkLayerAddress(state.address),) if unique and state.address else ()
        message = build_icmpv6(RouterSolicitation(options), source, ALL_ROUTERS)
        packet = build_packet(source, ALL_ROUTERS, ICMPV6, message, hop_limit=_ND_HOP_LIMIT)
        self._sender.send(packet, interface_index=state.index)

    # --- rtnetlink -----------------------------------------------------------------------------------------------------------------------

    def _resynchronise(self) -> None:
        """Take the kernel's present state; what it no longer has is gone."""
        links = self._routes.links()
        for missing in self._wanted - {link.name for link in links}:
            self._link_changed(replace(self._links[missing], up=False))
        for link in links:
            self._link(link, gone=False)
        addresses = self._routes.addresses()
        present = {(found.index, found.address) for found in addresses}
        for index, address in [key for key in self._addresses if key not in present]:
            self._address_gone(index, address)
        for found in addresses:
            self._address(found, gone=False)

    def _on_events(self) -> None:
        for event in self._events.read():
            if event is None:
                self._resynchronise()
                continue
            kind = event["header"]["type"]
            if kind in m.LINKS:
                self._link(m.read_link(event), gone=kind == rtnl.RTM_DELLINK)
            elif kind in m.ADDRESSES:
                self._address(m.read_address(event), gone=kind == rtnl.RTM_DELADDR)

    def _link(self, link: m.Link, *, gone: bool) -> None:
        if link.name not in self._wanted:
            # renamed away, or another's
            previous = self._names.pop(link.index, None)
            if previous is not None:
                self._link_changed(replace(self._links[previous], up=False))
            return
        if gone:
            self._names.pop(link.index, None)
        else:
            self._names[link.index] = link.name
        self._link_changed(LinkState(link.name, link.index, link.up and not gone, link.address))

    def _link_changed(self, state: LinkState) -> None:
        if self._links[state.interface] != state:
            self._links[state.interface] = state
            self._deliver(state)

    def _address(self, found: m.InterfaceAddress, *, gone: bool) -> None:
        interface = self._names.get(found.index)
        if interface is None:
            return
        tentative = found.flags & IFA_F_TENTATIVE != 0
        usable = not found.flags & IFA_F_DADFAILED and (not tentative or found.flags & IFA_F_OPTIMISTIC != 0)
        if is_link_local(found.address):
            if usable and not gone:
                self._link_locals[interface] = (found.address, not tentative)
            elif self._link_locals.get(interface, (b"",))[0] == found.address:
                del self._link_locals[interface]
            return
        if gone:
            self._address_gone(found.index, found.address)
            return
        state = AddressState(
            interface,
            found.address,
            found.prefix_length,
            usable=usable,
            deprecated=found.flags & IFA_F_DEPRECATED != 0,
            removed=False,
            slaac=m.made_by_slaac(found),
            # Of what has passed the kernel leaves a begun second out.
            valid_until=None if found.valid_s is None else time.monotonic() + found.valid_s - 1,
        )
        known = self._addresses.get((found.index, found.address))
        if known is None or not _same(known, state):
            self._addresses[found.index, found.address] = state
            self._deliver(state)

    def _address_gone(self, index: int, address: bytes) -> None:
        known = self._addresses.pop((index, address), None)
        if known is not None:
            self._deliver(replace(known, usable=False, removed=True))

    # --- router advertisements -----------------------------------------------------------------------------------------------------------

    def _on_advertisements(self) -> None:
        for got in self._advertisements.recv_batch():
            interface = self._names.get(got.interface_index)
            if interface is not None and got.hop_limit == _ND_HOP_LIMIT and is_link_local(got.source):
                self._deliver(RouterAdvertisementSeen(interface, got.source, got.payload))
