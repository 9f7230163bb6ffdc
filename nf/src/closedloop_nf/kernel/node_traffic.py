"""How much each mobile node sent and got: the counters of the guard's set elements, read by a netlink dump.

libnftables takes 0.2 s to list 10 000 elements as text, too long between two heartbeats; this takes a thread and a socket of its own.
Message layout: linux/netfilter/nf_tables.h.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

from closedloop_nf.kernel import netlink as nl

_NETLINK_NETFILTER: Final = 12
_GET_SET_ELEMENTS: Final = 10 << 8 | 13
"""NFNL_SUBSYS_NFTABLES, NFT_MSG_GETSETELEM."""
_LIST_TABLE, _LIST_SET, _LIST_ELEMENTS = 1, 2, 3
_LIST_ELEMENT: Final = 1
_ELEMENT_KEY, _ELEMENT_EXPRESSION = 1, 7
_KEY_VALUE: Final = 1
_EXPRESSION_DATA: Final = 2
_COUNTER_OCTETS, _COUNTER_PACKETS = 1, 2
_GENERIC_HEADER: Final = struct.Struct("=BBH")
_ATTRIBUTE: Final = struct.Struct("=HH")

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


def read_node_traffic() -> dict[bytes, Traffic]:
    """Home address -> traffic, of every binding in this network namespace. May run in any thread. Raises KernelError."""
    netlink = nl.Netlink(_NETLINK_NETFILTER)
    try:
        from_nodes = {key[16:32]: counts for key, counts in _elements(netlink, "bound")}
        return {key: Traffic(*from_nodes.get(key, (0, 0)), *counts) for key, counts in _elements(netlink, "served")}
    finally:
        netlink.close()


def _elements(netlink: nl.Netlink, name: str) -> Iterator[tuple[bytes, tuple[int, int]]]:
    """(key, (octets, packets)) of the elements of a set in the table `closedloop_lease`."""
    body = _GENERIC_HEADER.pack(socket.AF_INET6, 0, 0) + nl.text(_LIST_TABLE, "closedloop_lease") + nl.text(_LIST_SET, name)
    for _, payload in netlink.dump(_GET_SET_ELEMENTS, body):
        for element in _each(nl.parse_attributes(payload[_GENERIC_HEADER.size :]).get(_LIST_ELEMENTS, b"")):
            attributes = nl.parse_attributes(element)
            key = nl.parse_attributes(attributes[_ELEMENT_KEY])[_KEY_VALUE]
            counter = nl.parse_attributes(nl.parse_attributes(attributes[_ELEMENT_EXPRESSION])[_EXPRESSION_DATA])
            yield key, (int.from_bytes(counter[_COUNTER_OCTETS], "big"), int.from_bytes(counter[_COUNTER_PACKETS], "big"))


def _each(data: bytes) -> Iterator[bytes]:
    """Payloads of attributes that repeat."""
    position = 0
    while position + 4 <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, position)
        if length < 4:
            return
        if kind & 0x3FFF == _LIST_ELEMENT:
            yield data[position + 4 : position + length]
        position += (length + 3) & ~3
