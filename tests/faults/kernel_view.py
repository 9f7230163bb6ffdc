"""What the kernel of a network namespace would let through right now, read by netlink and not by asking the HA-PP that runs there."""

from __future__ import annotations

import fcntl
import socket
import struct
from typing import NamedTuple

from ansible_collections.closedloop.mobility.plugins.module_utils import namespaces
from ansible_collections.closedloop.mobility.plugins.module_utils.outcome import MobilityError
from closedloop_nf.kernel import messages as rtnetlink
from closedloop_nf.kernel.errors import KernelError
from closedloop_nf.kernel.netlink import Dump, Netlink, encoded
from pyroute2.netlink import NETLINK_NETFILTER
from pyroute2.netlink.nfnetlink import NFNL_SUBSYS_NFTABLES
from pyroute2.netlink.nfnetlink.nftsocket import NFT_MSG_GETSETELEM, NFT_MSG_NEWSETELEM, nft_set_elem_list_msg

_LEASE_TABLE = "closedloop_lease"
_SIOCGIFHWADDR = 0x8927


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


def link_layer_addresses(namespace: str) -> frozenset[bytes]:
    """Of all its interfaces; none where there is no such namespace."""
    try:
        with namespaces.entered(namespace), socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as asking:
            names = [name.encode() for _, name in socket.if_nameindex()]
            return frozenset(fcntl.ioctl(asking, _SIOCGIFHWADDR, struct.pack("256s", name))[18:24] for name in names)
    except (MobilityError, OSError):
        return frozenset()


def _look() -> View:
    nft = Netlink(NETLINK_NETFILTER)
    try:
        if not _elements(nft, "lease"):
            return SHUT
        # An element of `bound` is care-of address and home address (kernel/guard.py).
        reverse = frozenset(key[16:32] for key in _elements(nft, "bound"))
    finally:
        nft.close()
    route = Netlink()
    try:
        neighbours = route.dump(rtnetlink.PROXY_NEIGHBOUR_DUMP)
        proxied = frozenset(socket.inet_pton(socket.AF_INET6, neighbour.get_attr("NDA_DST")) for neighbour in neighbours)
        addresses = frozenset(rtnetlink.read_address(found).address for found in route.dump(rtnetlink.ADDRESS_DUMP))
    finally:
        route.close()
    return View(True, reverse, proxied, addresses)


def _elements(nft: Netlink, name: str) -> list[bytes]:
    """Keys of the living elements of a set of the lease table; none where there is no such table."""
    which = [("NFTA_SET_ELEM_LIST_TABLE", _LEASE_TABLE), ("NFTA_SET_ELEM_LIST_SET", name)]
    kind = NFNL_SUBSYS_NFTABLES << 8
    request = encoded(nft_set_elem_list_msg(), kind | NFT_MSG_GETSETELEM, 0, which, nfgen_family=int(socket.AF_INET6))
    try:
        answers = list(nft.dump(Dump(request, {kind | NFT_MSG_NEWSETELEM: nft_set_elem_list_msg})))
    except KernelError:
        return []
    return [
        element.get_attr("NFTA_SET_ELEM_KEY").get_attr("NFTA_DATA_VALUE")
        for answer in answers
        for element in answer.get_attr("NFTA_SET_ELEM_LIST_ELEMENTS") or ()
    ]
