"""Raw sockets: Mobility Header, ICMPv6, whole packets.

A Linux kernel without IPV6_MIP6 delivers a Mobility Header behind a Home Address option only to raw sockets of protocol 60 and one behind a
type 2 routing header only to protocol 43, and would answer both with a Parameter Problem (the guard suppresses that). So `MobilitySocket` is
several sockets that look like one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class ReceivedMobility:
    """One Mobility Header as it came in. `payload` begins at the Mobility Header; its checksum is verified (over the home address where an
    option or routing header carries one, RFC 6275 section 6.1.1)."""

    source: bytes
    destination: bytes
    home_address_option: bytes | None
    routing_home_address: bytes | None
    payload: bytes
    interface_index: int
    next_header: int = 135
    """What `payload` begins with. Behind a Home Address option (protocol 60) other upper layers are delivered too, unverified: the HA-PP
    answers them with a Binding Error (RFC 6275 section 9.3.3) or, for ICMPv6 146, with a mobile prefix advertisement."""


class MobilitySocket:
    """Receives Mobility Headers for the addresses of this namespace.

    role `home_agent`: plain (135) and behind a Home Address option (60). role `mobile_node`: plain and behind a type 2 routing header (43).
    """

    def __init__(self, role: Literal["home_agent", "mobile_node"], *, interface: str | None = None, receive_buffer: int = 8 << 20) -> None:
        """interface: bind to this device only."""
        self.counters: dict[str, int] = {}
        raise NotImplementedError

    def filenos(self) -> list[int]:
        """Descriptors to watch; call `recv_batch` when any is readable."""
        raise NotImplementedError

    def recv_batch(self, limit: int = 256) -> list[ReceivedMobility]:
        """What has arrived, at most `limit`, never blocks. Malformed packets are counted in `counters` by reason, not raised."""
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError


class PacketSender:
    """Sends complete IPv6 packets (wire.ipv6.build_packet) with whatever source address they carry."""

    def __init__(self, *, interface: str | None = None) -> None:
        raise NotImplementedError

    def send(self, packet: bytes, *, interface_index: int = 0) -> bool:
        """Send; False and counted when the kernel has no route or buffer for it (a lost packet, as on any link)."""
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class ReceivedIcmpv6:
    """One ICMPv6 message; `payload` begins at the type octet, the kernel has verified the checksum."""

    source: bytes
    destination: bytes
    payload: bytes
    interface_index: int
    hop_limit: int


class Icmpv6Socket:
    """ICMPv6 of the given types only (kernel filter)."""

    def __init__(self, types: Iterable[int], *, interface: str | None = None, receive_buffer: int = 1 << 20) -> None:
        raise NotImplementedError

    def fileno(self) -> int:
        raise NotImplementedError

    def recv_batch(self, limit: int = 256) -> list[ReceivedIcmpv6]:
        raise NotImplementedError

    def send(
        self, message: bytes, destination: bytes, *, source: bytes | None = None, interface_index: int = 0, hop_limit: int | None = None
    ) -> bool:
        """Send one ICMPv6 message (the kernel fills in the checksum). hop_limit None: 255 (neighbour discovery needs it)."""
        raise NotImplementedError

    def join_anycast(self, address: bytes, interface: str) -> None:
        """Receive what is sent to the anycast `address` (DHAAD: the Mobile IPv6 Home-Agents anycast address, RFC 2526)."""
        raise NotImplementedError

    def leave_anycast(self, address: bytes, interface: str) -> None:
        raise NotImplementedError

    def join_multicast(self, address: bytes, interface: str) -> None:
        raise NotImplementedError

    def leave_multicast(self, address: bytes, interface: str) -> None:
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError
