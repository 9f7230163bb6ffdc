"""How much each mobile node sent and got: the counters of the guard's set elements, read by a netlink dump.

libnftables takes 0.2 s to list 10 000 elements as text, too long between two heartbeats; this takes a thread and a socket of its own.
pyroute2 reads what is around the elements. To read them too takes it seconds, and the counters are read every second.
Layout of an element: linux/netfilter/nf_tables.h.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

from pyroute2.netlink import NETLINK_NETFILTER  # type: ignore[import-untyped] # it has no type hints
from pyroute2.netlink.nfnetlink import NFNL_SUBSYS_NFTABLES, nfgen_msg  # type: ignore[import-untyped]

from closedloop_nf.kernel.netlink import Dump, Netlink, encoded

_NFT_MSG_NEWSETELEM, _NFT_MSG_GETSETELEM = NFNL_SUBSYS_NFTABLES << 8 | 12, NFNL_SUBSYS_NFTABLES << 8 | 13
_ELEMENT_KEY, _ELEMENT_EXPRESSION = 1, 7
_KEY_VALUE: Final = 1
_EXPRESSION_DATA: Final = 2
_COUNTER_OCTETS, _COUNTER_PACKETS = 1, 2
_ATTRIBUTE: Final = struct.Struct("=HH")
_TYPE_MASK: Final = 0x3FFF
_COUNT: Final = struct.Struct("!Q")

OUTER_HEADER_OCTETS: Final = 40


class Traffic(NamedTuple):
    """Counters of a mobile node since it was bound at its care-of address. from_node: tunnelled, with the outer header; to_node: without.

    What one mobile node sends to another at the same home agent counts as from_node only.
    """

    from_node_octets: int = 0
    from_node_packets: int = 0
    to_node_octets: int = 0
    to_node_packets: int = 0

    @property
    def from_node_inner_octets(self) -> int:
        """Without the outer headers."""
        return max(0, self.from_node_octets - OUTER_HEADER_OCTETS * self.from_node_packets)

    def since(self, before: Traffic | None) -> Traffic:
        """What was added. A counter that is smaller than before began anew at 0."""
        return Traffic(*(new if new < old else new - old for new, old in zip(self, before or Traffic(), strict=True)))


class _SetElements(nfgen_msg):  # type: ignore[misc]
    """pyroute2's own class of this reads every element."""

    nla_map = (
        ("NFTA_SET_ELEM_LIST_UNSPEC", "none"),
        ("NFTA_SET_ELEM_LIST_TABLE", "asciiz"),
        ("NFTA_SET_ELEM_LIST_SET", "asciiz"),
        ("NFTA_SET_ELEM_LIST_ELEMENTS", "cdata"),
    )


def read_node_traffic() -> dict[bytes, Traffic]:
    """Home address -> traffic, of every binding in this network namespace. May run in any thread. Raises KernelError."""
    netlink = Netlink(NETLINK_NETFILTER)
    try:
        from_nodes = {key[16:32]: counts for key, counts in _elements(netlink, "bound")}
        return {key: Traffic(*from_nodes.get(key, (0, 0)), *counts) for key, counts in _elements(netlink, "served")}
    finally:
        netlink.close()


def _elements(netlink: Netlink, name: str) -> Iterator[tuple[bytes, tuple[int, int]]]:
    """(key, (octets, packets)) of the elements of a set in the table `closedloop_lease`."""
    which = [("NFTA_SET_ELEM_LIST_TABLE", "closedloop_lease"), ("NFTA_SET_ELEM_LIST_SET", name)]
    request = encoded(_SetElements(), _NFT_MSG_GETSETELEM, 0, which, nfgen_family=int(socket.AF_INET6))
    for message in netlink.dump(Dump(request, {_NFT_MSG_NEWSETELEM: _SetElements})):
        elements, start = message.get_attr("NFTA_SET_ELEM_LIST_ELEMENTS", b""), 0
        while start < len(elements):
            end = start + _ATTRIBUTE.unpack_from(elements, start)[0]
            key, key_end = _inside(elements, start + 4, _ELEMENT_KEY, _KEY_VALUE)
            counter, _ = _inside(elements, start + 4, _ELEMENT_EXPRESSION, _EXPRESSION_DATA)
            octets, _ = _inside(elements, counter, _COUNTER_OCTETS)
            packets, _ = _inside(elements, counter, _COUNTER_PACKETS)
            yield elements[key:key_end], (_COUNT.unpack_from(elements, octets)[0], _COUNT.unpack_from(elements, packets)[0])
            start = (end + 3) & ~3


def _inside(data: bytes, start: int, *kinds: int) -> tuple[int, int]:
    """Where the payload of an attribute begins and ends that is among those at `start`, or inside one of them: types from outside in."""
    end = start
    for kind in kinds:
        length, found = _ATTRIBUTE.unpack_from(data, start)
        while found & _TYPE_MASK != kind:
            start += (length + 3) & ~3
            length, found = _ATTRIBUTE.unpack_from(data, start)
        start, end = start + 4, start + length
    return start, end
