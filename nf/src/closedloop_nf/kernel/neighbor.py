"""Neighbour discovery on the home link on behalf of others: duplicate address detection and announcements.

RFC 6275 sections 10.3.1 and 10.4.1; RFC 4862 section 5.4; RFC 4861 section 7.2.6.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress

from closedloop_nf.kernel.errors import KernelError
from closedloop_nf.kernel.route_table import RouteTable
from closedloop_nf.kernel.sockets import Icmpv6Socket, PacketSender, interface_index
from closedloop_nf.wire.icmpv6 import NeighborAdvertisement, NeighborSolicitation, build_icmpv6
from closedloop_nf.wire.ipv6 import ICMPV6, UNSPECIFIED, build_packet, solicited_node
from closedloop_nf.wire.nd_options import TargetLinkLayerAddress

ALL_NODES = bytes.fromhex("ff020000000000000000000000000001")
_ND_HOP_LIMIT = 255


class DuplicateAddressDetector:
    """Asks the home link whether anybody uses an address; many questions at a time. Made and used in a running event loop."""

    def __init__(self, interface: str, *, retrans_timer_s: float = 1.0, transmits: int = 1) -> None:
        """transmits: DupAddrDetectTransmits. Raises KernelError."""
        self._index = interface_index(interface)
        self._retrans_timer_s = retrans_timer_s
        self._transmits = transmits
        self._open: dict[bytes, asyncio.Future[bool]] = {}
        self._users: Counter[bytes] = Counter()
        self._socket = Icmpv6Socket((NeighborSolicitation.TYPE, NeighborAdvertisement.TYPE), interface=interface)
        self._sender = PacketSender(interface=interface)
        # Our own question must not come back as somebody else's.
        self._sender.disable_multicast_loop()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._socket.fileno(), self._on_readable)

    async def is_duplicate(self, address: bytes) -> bool:
        """True: somebody answered or is testing the same address. False after transmits * retrans_timer_s of silence.

        A second question about an address under test waits for the first one's answer.
        """
        known = self._open.get(address)
        if known is not None:
            return await asyncio.shield(known)
        answer: asyncio.Future[bool] = self._loop.create_future()
        self._open[address] = answer
        group = solicited_node(address)
        self._join(group)
        try:
            for _ in range(self._transmits):
                self._solicit(address, group)
                done, _ = await asyncio.wait({answer}, timeout=self._retrans_timer_s)
                if done:
                    return answer.result()
            answer.set_result(False)
            return False
        finally:
            if not answer.done():
                answer.cancel()
            del self._open[address]
            self._leave(group)

    def _join(self, group: bytes) -> None:
        """Many addresses share a group: all that end in the same three octets."""
        self._users[group] += 1
        if self._users[group] == 1:
            # The kernel bounds the groups of a socket. Without one only who tests the same address at the same time goes unheard: whoever
            # has it answers to all nodes.
            with suppress(KernelError):
                self._socket.join_multicast(group, self._index)

    def _leave(self, group: bytes) -> None:
        self._users[group] -= 1
        if not self._users[group]:
            del self._users[group]
            self._socket.leave_multicast(group, self._index)

    def _solicit(self, address: bytes, group: bytes) -> None:
        message = build_icmpv6(NeighborSolicitation(address), UNSPECIFIED, group)
        packet = build_packet(UNSPECIFIED, group, ICMPV6, message, hop_limit=_ND_HOP_LIMIT)
        self._sender.send(packet, interface_index=self._index)

    def _on_readable(self) -> None:
        for got in self._socket.recv_batch():
            if got.hop_limit != _ND_HOP_LIMIT or len(got.payload) < 24:
                continue
            solicitation = got.payload[0] == NeighborSolicitation.TYPE
            if solicitation and got.source != UNSPECIFIED:
                continue  # address resolution by a neighbour, not a test of the address (RFC 4862 section 5.4.3)
            answer = self._open.get(got.payload[8:24])
            if answer is not None and not answer.done():
                answer.set_result(True)

    def close(self) -> None:
        """Questions still open are cancelled."""
        for answer in self._open.values():
            answer.cancel()
        self._loop.remove_reader(self._socket.fileno())
        self._socket.close()
        self._sender.close()


class Announcer:
    """Unsolicited neighbour advertisements with Override and this interface's link-layer address, so that neighbours send to us."""

    def __init__(self, interface: str) -> None:
        """Raises KernelError."""
        self._index = interface_index(interface)
        routes = RouteTable()
        try:
            self._link_layer_address = routes.link(interface).address
        finally:
            routes.close()
        self._socket = Icmpv6Socket((), interface=interface)

    def announce(self, addresses: Iterable[bytes], *, router: bool = False) -> None:
        """Send one advertisement per address to all nodes; the Router flag is clear for mobile nodes (RFC 6275 section 10.4.1).

        The caller repeats (MAX_NEIGHBOR_ADVERTISEMENT) if it wants. They leave only while the lease lives.
        """
        option = (TargetLinkLayerAddress(self._link_layer_address),)
        for address in addresses:
            message = NeighborAdvertisement(address, router=router, solicited=False, override=True, options=option)
            # The kernel chooses the source, an address of this interface, and with it makes the checksum.
            self._socket.send(build_icmpv6(message, UNSPECIFIED, ALL_NODES), ALL_NODES, interface_index=self._index)

    def close(self) -> None:
        self._socket.close()
