"""A scripted mobile node: sends what the test says from its namespace, keeps what comes, answers pings through the tunnel."""

from __future__ import annotations

import asyncio
import socket
import time

from closedloop_nf.wire import authentication, icmpv6, ipv6, mobility
from closedloop_nf.wire.errors import ParseError
from closedloop_nf.wire.mobility_options import AlternateCareOfAddress, MobilityOption, ReplayProtection

from tests.daemons.ha_pp.lab import AGENT, CARE_OF, HOME, KEY, SPI, Lab, octets, until

ETH_P_IPV6 = 0x86DD
ECHO_REQUEST, ECHO_REPLY = 128, 129


class Node:
    """Sees whole packets at eth0 of `mn`, sends whole packets."""

    def __init__(self, lab: Lab, home: str = HOME, care_of: str = CARE_OF, key: bytes = KEY) -> None:
        self.home, self.care_of, self.agent, self.key = octets(home), octets(care_of), octets(AGENT), key
        self.sequence = 100
        self.received: list[ipv6.Ipv6Packet] = []
        self.raw: list[bytes] = []
        self.tunnelled: list[bytes] = []
        """What came through the tunnel, except for echo requests."""
        self.mobility_headers = 0
        self.echoes = 0
        self._arrived = asyncio.Event()
        self._out = lab.open_socket("mn", lambda: socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW))
        self._in = lab.open_socket("mn", self._sniffer)
        asyncio.get_running_loop().add_reader(self._in.fileno(), self._read)

    @staticmethod
    def _sniffer() -> socket.socket:
        sock = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_IPV6))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        sock.bind(("eth0", ETH_P_IPV6))
        sock.setblocking(False)
        return sock

    def close(self) -> None:
        self.deafen()
        self._out.close()

    def deafen(self) -> None:
        """Only send from now on: what comes is not worth the test's time."""
        if self._in.fileno() >= 0:
            asyncio.get_running_loop().remove_reader(self._in.fileno())
            self._in.close()

    # --- out ---

    def send(self, packet: bytes) -> None:
        self._out.sendto(packet, (socket.inet_ntop(socket.AF_INET6, packet[24:40]), 0))

    def update(
        self,
        *,
        lifetime_s: int = 400,
        sequence: int | None = None,
        care_of: bytes | None = None,
        alternate: bytes | None = None,
        options: tuple[MobilityOption, ...] = (),
        link_local: bool = False,
        key: bytes | None = None,
        timestamp: int | None = None,
    ) -> bytes:
        """A genuine Binding Update as a whole packet."""
        if sequence is None:
            self.sequence += 1
            sequence = self.sequence
        source = self.care_of if care_of is None else care_of
        if alternate is not None:
            options = (AlternateCareOfAddress(alternate), *options)
        options = (*options, ReplayProtection(authentication.ntp_timestamp(time.time()) if timestamp is None else timestamp))
        message = mobility.BindingUpdate(sequence, True, True, link_local, False, lifetime_s // 4, options)
        data = authentication.authenticate(
            message,
            care_of_address=authentication.registered_care_of_address(message, source),
            home_address=self.home,
            spi=SPI,
            key=self.key if key is None else key,
        )
        return ipv6.build_packet(
            source, self.agent, mobility.MOBILITY_HEADER, mobility.seal(data, self.home, self.agent), home_address_option=self.home
        )

    # --- in ---

    def _read(self) -> None:
        while True:
            try:
                raw, address = self._in.recvfrom(65535)
            except BlockingIOError:
                return
            if address[2] == socket.PACKET_OUTGOING:
                continue
            try:
                packet = ipv6.parse_packet(raw)
            except ParseError:
                continue
            if packet.next_header == ipv6.IPV6_IN_IPV6:
                self._tunnelled(packet, raw)
            elif packet.next_header != ipv6.ICMPV6 or packet.payload[0] not in (133, 134, 135, 136):
                self.raw.append(raw)
                self.received.append(packet)
                self.mobility_headers += packet.next_header == mobility.MOBILITY_HEADER
                self._arrived.set()

    def _tunnelled(self, outer: ipv6.Ipv6Packet, raw: bytes) -> None:
        """Answer an echo request for the home address through the tunnel it came by."""
        inner = ipv6.parse_packet(outer.payload)
        if inner.header.destination == self.home and inner.next_header == ipv6.ICMPV6 and inner.payload[0] == ECHO_REQUEST:
            self.echoes += 1
            reply = icmpv6.build_icmpv6(icmpv6.UnknownIcmpv6(ECHO_REPLY, 0, inner.payload[4:]), self.home, inner.header.source)
            packet = ipv6.build_packet(self.home, inner.header.source, ipv6.ICMPV6, reply)
            self.send(ipv6.build_packet(outer.header.destination, outer.header.source, ipv6.IPV6_IN_IPV6, packet))
        else:
            self.tunnelled.append(raw)

    def messages(self) -> list[mobility.MobilityMessage]:
        """Mobility Header messages received so far; each must carry the right checksum."""
        found = []
        for packet in self.received:
            if packet.next_header == mobility.MOBILITY_HEADER:
                assert mobility.checksum_ok(packet.payload, packet.header.source, packet.upper_destination)
                found.append(mobility.parse_mobility(packet.payload))
        return found

    async def arrival(self, count: int) -> None:
        """Wait until that many Mobility Header messages have come, without polling."""
        while self.mobility_headers < count:
            self._arrived.clear()
            await asyncio.wait_for(self._arrived.wait(), 60)

    async def acknowledged(self, sequence: int | None = None, seconds: float = 60.0) -> mobility.BindingAcknowledgement:
        """The acknowledgement with that sequence number, by default the one sent last."""
        wanted = self.sequence if sequence is None else sequence

        def probe() -> mobility.BindingAcknowledgement | None:
            for message in self.messages():
                if isinstance(message, mobility.BindingAcknowledgement) and message.sequence == wanted:
                    return message
            return None

        return await until(f"acknowledgement {wanted}", probe, seconds)

    async def register(self, **fields: object) -> mobility.BindingAcknowledgement:
        self.send(self.update(**fields))  # type: ignore[arg-type] # passed on
        return await self.acknowledged()
