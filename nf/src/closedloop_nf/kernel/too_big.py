"""Relay of Packet Too Big from the tunnel to whoever sent the inner packet (RFC 2473 section 8.2).

A packet that is forwarded into a seg6 tunnel is measured after encapsulation: the kernel, or a router on the way, then tells the *outer*
source, which is this node. The tunnel entry has to tell the inner source.
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable

from closedloop_nf.wire.icmpv6 import PacketTooBig, build_icmpv6
from closedloop_nf.wire.ipv6 import ICMPV6, IPV6_IN_IPV6, build_packet, is_multicast

MINIMUM_MTU = 1280
_ICMPV6_PACKET_TOO_BIG = 2
_OUTER_HEADER = 40
_INVOKING = MINIMUM_MTU - 40 - 8
"""An ICMPv6 error never exceeds the minimum MTU (RFC 4443 section 2.4 c)."""
_RATE_PER_S = 1000.0
"""RFC 4443 section 2.4 f asks for a limit; beyond it the sender hears of its next packet."""

Sent = Callable[[bytes, bytes, bytes], bool]
"""(outer source, outer destination, inner packet) -> whether this node would have sent that."""


def relayed(message: bytes, sent: Sent) -> bytes | None:
    """The packet to send on for a received Packet Too Big (`message` begins at the ICMPv6 type), None where it is not about our tunnel."""
    outer = message[8:]
    if len(message) < 8 + 80 or message[0] != _ICMPV6_PACKET_TOO_BIG or outer[0] >> 4 != 6 or outer[6] != IPV6_IN_IPV6:
        return None
    inner = outer[_OUTER_HEADER:]
    inner_source = inner[8:24]
    if inner[0] >> 4 != 6 or inner_source == bytes(16) or is_multicast(inner_source):
        return None
    if not sent(outer[8:24], outer[24:40], inner):
        return None
    mtu = max(MINIMUM_MTU, struct.unpack_from("!I", message, 4)[0] - _OUTER_HEADER)
    tunnel_entry = outer[8:24]
    answer = build_icmpv6(PacketTooBig(mtu=mtu, invoking=inner[:_INVOKING]), tunnel_entry, inner_source)
    return build_packet(tunnel_entry, inner_source, ICMPV6, answer)


class TooBigRelay:
    """Two raw sockets and a token bucket."""

    def __init__(self, sent: Sent) -> None:
        self._sent = sent
        self._tokens = _RATE_PER_S
        self._refilled = time.monotonic()
        self.counters = {"too_big_relayed": 0, "too_big_ignored": 0, "too_big_limited": 0}
        self._receive = socket.socket(socket.AF_INET6, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.IPPROTO_ICMPV6)
        icmp6_filter, everything_blocked = 1, bytearray(b"\xff" * 32)
        everything_blocked[0:4] = struct.pack("=I", 0xFFFFFFFF & ~(1 << _ICMPV6_PACKET_TOO_BIG))
        self._receive.setsockopt(socket.IPPROTO_ICMPV6, icmp6_filter, bytes(everything_blocked))
        self._send = socket.socket(socket.AF_INET6, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.IPPROTO_RAW)

    def fileno(self) -> int:
        return self._receive.fileno()

    def on_readable(self) -> None:
        """Relay what has arrived; never blocks, never raises for what came from the network."""
        for _ in range(64):
            try:
                message = self._receive.recv(2048)
            except BlockingIOError:
                return
            except OSError:
                continue
            self._relay(message)

    def _relay(self, message: bytes) -> None:
        packet = relayed(message, self._sent)
        if packet is None:
            self.counters["too_big_ignored"] += 1
            return
        now = time.monotonic()
        self._tokens = min(_RATE_PER_S, self._tokens + (now - self._refilled) * _RATE_PER_S)
        self._refilled = now
        if self._tokens < 1:
            self.counters["too_big_limited"] += 1
            return
        self._tokens -= 1
        try:
            self._send.sendto(packet, (socket.inet_ntop(socket.AF_INET6, packet[24:40]), 0))
        except OSError:
            self.counters["too_big_ignored"] += 1
        else:
            self.counters["too_big_relayed"] += 1

    def close(self) -> None:
        self._receive.close()
        self._send.close()
