"""What the kernel of a network namespace would let through right now, read by netlink and not by asking the HA-PP that runs there."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from ansible_collections.closedloop.mobility.plugins.module_utils import namespaces
from ansible_collections.closedloop.mobility.plugins.module_utils.outcome import MobilityError
from closedloop_nf.kernel import messages as rtnetlink
from closedloop_nf.kernel.errors import KernelError
from closedloop_nf.kernel.netlink import Netlink, attribute, parse_attributes, text

_NETLINK_NETFILTER = 12
_GET_ELEMENTS = 10 << 8 | 13  # NFNL_SUBSYS_NFTABLES, NFT_MSG_GETSETELEM
_IPV6_FAMILY = struct.pack("=BBH", 10, 0, 0)
_TABLE, _SET, _ELEMENTS, _KEY, _VALUE = 1, 2, 3, 1, 1
_NDMSG = 12
_NEIGHBOUR_ADDRESS = 1
_LEASE_TABLE = "closedloop_lease"


class View(NamedTuple):
    """lease: the gate is open. reverse: home addresses whose tunnelled packets are taken; proxied: those it answers for on the home link;
    addresses: its own."""

    lease: bool
    reverse: frozenset[bytes]
    proxied: frozenset[bytes]
    addresses: frozenset[bytes]

    def serves(self, wanted: frozenset[bytes]) -> frozenset[bytes]:
        """Which of these addresses it serves: as home agent of a home address, or by holding the moving home agent address itself."""
        return (self.reverse | self.proxied | self.addresses) & wanted if self.lease else frozenset()


SHUT = View(False, frozenset(), frozenset(), frozenset())


def look(namespace: str) -> View:
    """The view of a namespace; SHUT where there is none. Nothing stays open, so that the namespace can go away at any time."""
    try:
        with namespaces.entered(namespace):
            return _look()
    except (MobilityError, OSError):  # it was removed, or is being removed
        return SHUT


def _look() -> View:
    nft = Netlink(_NETLINK_NETFILTER)
    try:
        if not _elements(nft, "lease"):
            return SHUT
        # An element of `bound` is care-of address and home address (kernel/guard.py).
        reverse = frozenset(key[16:32] for key in _elements(nft, "bound"))
    finally:
        nft.close()
    route = Netlink()
    try:
        neighbours = route.dump(rtnetlink.RTM_GETNEIGH, rtnetlink.PROXY_NEIGHBOUR_DUMP)
        proxied = frozenset(parse_attributes(payload[_NDMSG:])[_NEIGHBOUR_ADDRESS] for _, payload in neighbours)
        found = route.dump(rtnetlink.RTM_GETADDR, rtnetlink.ADDRESS_DUMP)
        addresses = frozenset(rtnetlink.parse_address(payload).address for _, payload in found)
    finally:
        route.close()
    return View(True, reverse, proxied, addresses)


def _elements(nft: Netlink, name: str) -> list[bytes]:
    """Keys of the living elements of a set of the lease table; none where there is no such table."""
    try:
        answers = nft.dump(_GET_ELEMENTS, _IPV6_FAMILY + text(_TABLE, _LEASE_TABLE) + text(_SET, name))
    except KernelError:
        return []
    return [
        parse_attributes(parse_attributes(element)[_KEY])[_VALUE]
        for _, payload in answers
        for element in _list(parse_attributes(payload[len(_IPV6_FAMILY) :]).get(_ELEMENTS, b""))
    ]


def _list(data: bytes) -> Iterator[bytes]:
    """Payloads of attributes that all have the same type."""
    position = 0
    header = len(attribute(0, b""))
    while position + header <= len(data):
        length = struct.unpack_from("=H", data, position)[0]
        if length < header:
            return
        yield data[position + header : position + length]
        position += (length + 3) & ~3
