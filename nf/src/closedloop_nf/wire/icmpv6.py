"""ICMPv6: neighbour discovery, errors and the four messages of Mobile IPv6 (RFC 4443, RFC 4861, RFC 6275 sections 6.5 to 6.8 and 7).

Messages are parsed without a look at the checksum, which the kernel has checked on an ICMPv6 socket; `checksum_ok` is for packet
sockets. What depends on the packet's addresses or hop limit (255 for neighbour discovery) is the caller's to check.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import ClassVar

import msgspec

from closedloop_nf.wire.errors import ParseError, Reason
from closedloop_nf.wire.ipv6 import ICMPV6, checksum, is_multicast, require_address
from closedloop_nf.wire.nd_options import NdOption, build_nd_options, parse_nd_options

INVOKING_MAXIMUM = 1280 - 40 - 8
"""Octets of an invoking packet in an error message."""

_ADVERTISEMENT = struct.Struct("!BBHII")
_U16_U16 = struct.Struct("!HH")

_NA_ROUTER, _NA_SOLICITED, _NA_OVERRIDE = 0x80, 0x40, 0x20
_RA_MANAGED, _RA_OTHER, _RA_HOME_AGENT = 0x80, 0x40, 0x20
_MPA_MANAGED, _MPA_OTHER = 0x8000, 0x4000


class DestinationUnreachable(msgspec.Struct, frozen=True):
    """RFC 4443 section 3.1."""

    code: int
    invoking: bytes
    """The packet at fault."""

    TYPE: ClassVar[int] = 1

    def body(self) -> bytes:
        return bytes(4) + self.invoking[:INVOKING_MAXIMUM]


class PacketTooBig(msgspec.Struct, frozen=True):
    """RFC 4443 section 3.2."""

    mtu: int
    """Octets."""
    invoking: bytes

    TYPE: ClassVar[int] = 2
    code: ClassVar[int] = 0

    def body(self) -> bytes:
        return self.mtu.to_bytes(4, "big") + self.invoking[:INVOKING_MAXIMUM]


class ParameterProblem(msgspec.Struct, frozen=True):
    """RFC 4443 section 3.4: code 0 erroneous field, 1 unrecognised next header, 2 unrecognised option."""

    code: int
    pointer: int
    """Octets from the start of the invoking packet to the field at fault."""
    invoking: bytes

    TYPE: ClassVar[int] = 4

    def body(self) -> bytes:
        return self.pointer.to_bytes(4, "big") + self.invoking[:INVOKING_MAXIMUM]


class RouterSolicitation(msgspec.Struct, frozen=True):
    """RFC 4861 section 4.1."""

    options: tuple[NdOption, ...] = ()

    TYPE: ClassVar[int] = 133
    code: ClassVar[int] = 0

    def body(self) -> bytes:
        return bytes(4) + build_nd_options(self.options)


class RouterAdvertisement(msgspec.Struct, frozen=True):
    """RFC 4861 section 4.2, with the Home Agent bit of RFC 6275 section 7.1."""

    hop_limit: int
    """For outgoing packets, 0 where the router does not say."""
    managed: bool
    other: bool
    home_agent: bool
    router_lifetime: int
    """Seconds, 0..65535; 0 is no default router."""
    reachable_time: int
    """Milliseconds, 0 where the router does not say."""
    retransmit_timer: int
    """Milliseconds, 0 where the router does not say."""
    options: tuple[NdOption, ...] = ()

    TYPE: ClassVar[int] = 134
    code: ClassVar[int] = 0

    def body(self) -> bytes:
        flags = (_RA_MANAGED if self.managed else 0) | (_RA_OTHER if self.other else 0) | (_RA_HOME_AGENT if self.home_agent else 0)
        fixed = _ADVERTISEMENT.pack(self.hop_limit, flags, self.router_lifetime, self.reachable_time, self.retransmit_timer)
        return fixed + build_nd_options(self.options)


class NeighborSolicitation(msgspec.Struct, frozen=True):
    """RFC 4861 section 4.3. From the unspecified address it is duplicate address detection."""

    target: bytes
    options: tuple[NdOption, ...] = ()

    TYPE: ClassVar[int] = 135
    code: ClassVar[int] = 0

    def body(self) -> bytes:
        return bytes(4) + require_address(self.target) + build_nd_options(self.options)


class NeighborAdvertisement(msgspec.Struct, frozen=True):
    """RFC 4861 section 4.4."""

    target: bytes
    router: bool
    solicited: bool
    override: bool
    options: tuple[NdOption, ...] = ()

    TYPE: ClassVar[int] = 136
    code: ClassVar[int] = 0

    def body(self) -> bytes:
        flags = (_NA_ROUTER if self.router else 0) | (_NA_SOLICITED if self.solicited else 0) | (_NA_OVERRIDE if self.override else 0)
        return bytes((flags, 0, 0, 0)) + require_address(self.target) + build_nd_options(self.options)


class HomeAgentDiscoveryRequest(msgspec.Struct, frozen=True):
    """Dynamic home agent address discovery, request (RFC 6275 section 6.5)."""

    identifier: int

    TYPE: ClassVar[int] = 144
    code: ClassVar[int] = 0

    def body(self) -> bytes:
        return _U16_U16.pack(self.identifier, 0)


class HomeAgentDiscoveryReply(msgspec.Struct, frozen=True):
    """Dynamic home agent address discovery, reply (RFC 6275 section 6.6): home agents, most preferred first."""

    identifier: int
    home_agents: tuple[bytes, ...]

    TYPE: ClassVar[int] = 145
    code: ClassVar[int] = 0

    def body(self) -> bytes:
        return _U16_U16.pack(self.identifier, 0) + b"".join(map(require_address, self.home_agents))


class MobilePrefixSolicitation(msgspec.Struct, frozen=True):
    """RFC 6275 section 6.7."""

    identifier: int

    TYPE: ClassVar[int] = 146
    code: ClassVar[int] = 0

    def body(self) -> bytes:
        return _U16_U16.pack(self.identifier, 0)


class MobilePrefixAdvertisement(msgspec.Struct, frozen=True):
    """RFC 6275 section 6.8; its options are Prefix Information."""

    identifier: int
    managed: bool
    other: bool
    options: tuple[NdOption, ...] = ()

    TYPE: ClassVar[int] = 147
    code: ClassVar[int] = 0

    def body(self) -> bytes:
        flags = (_MPA_MANAGED if self.managed else 0) | (_MPA_OTHER if self.other else 0)
        return _U16_U16.pack(self.identifier, flags) + build_nd_options(self.options)


class UnknownIcmpv6(msgspec.Struct, frozen=True):
    """Any other type; kept as it came."""

    type: int
    code: int
    data: bytes
    """All that follows the checksum."""

    @property
    def TYPE(self) -> int:
        return self.type

    def body(self) -> bytes:
        if self.type in _PARSERS:
            raise ValueError(f"type: {self.type} is a known message, use its class")
        return self.data


Icmpv6Message = (
    DestinationUnreachable
    | PacketTooBig
    | ParameterProblem
    | RouterSolicitation
    | RouterAdvertisement
    | NeighborSolicitation
    | NeighborAdvertisement
    | HomeAgentDiscoveryRequest
    | HomeAgentDiscoveryReply
    | MobilePrefixSolicitation
    | MobilePrefixAdvertisement
    | UnknownIcmpv6
)


def parse_icmpv6(data: bytes) -> Icmpv6Message:
    """Parse one ICMPv6 message that fills `data`. Reserved fields are ignored, and so is the Code of Packet Too Big
    (RFC 4443 section 3.2); where else a Code must be 0 it is checked.

    Raises ParseError.
    """
    if len(data) < 4:
        raise ParseError(Reason.TRUNCATED, len(data))
    known = _PARSERS.get(data[0])
    if known is None:
        return UnknownIcmpv6(data[0], data[1], data[4:])
    smallest, code_is_zero, parser = known
    if code_is_zero and data[1]:
        raise ParseError(Reason.MESSAGE_CODE, 1)
    if len(data) < smallest:
        raise ParseError(Reason.TRUNCATED, len(data))
    return parser(data)


def build_icmpv6(msg: Icmpv6Message, src: bytes, dst: bytes) -> bytes:
    """The message with its checksum for a packet from `src` to `dst` (RFC 4443 section 2.3).

    Of an invoking packet it carries what fits into 1280 octets (RFC 4443 section 2.4 c). Raises ValueError for a field out of its
    range.
    """
    try:
        body = msg.body()
    except (struct.error, OverflowError) as error:
        raise ValueError(f"a field is out of its range in {msg!r}: {error}") from None
    head = bytes((msg.TYPE, msg.code))
    return head + checksum(src, dst, ICMPV6, head + b"\0\0" + body).to_bytes(2, "big") + body


def checksum_ok(data: bytes, src: bytes, dst: bytes) -> bool:
    """Whether the ICMPv6 message `data` from `src` to `dst` carries the right checksum."""
    return checksum(src, dst, ICMPV6, data) == 0


def home_agents_anycast(prefix: bytes, length: int) -> bytes:
    """Mobile IPv6 Home-Agents anycast address of a subnet (RFC 2526 sections 2 and 3, anycast identifier 126).

    A /64 has EUI-64 interface identifiers, whose universal bit is then 0 (fdff:ffff:ffff:fffe); any other length has ones up to the
    identifier.
    Raises ValueError where `length` leaves no room for the identifier.
    """
    if not 0 <= length <= 121:
        raise ValueError(f"length: {length}, a subnet with anycast addresses has 0..121")
    host_bits = 128 - length
    host = (1 << host_bits) - 2
    if length == 64:
        host &= ~(1 << 57)
    network = int.from_bytes(require_address(prefix), "big") >> host_bits << host_bits
    return (network | host).to_bytes(16, "big")


def _router_advertisement(data: bytes) -> RouterAdvertisement:
    hop_limit, flags, lifetime, reachable, retransmit = _ADVERTISEMENT.unpack_from(data, 4)
    return RouterAdvertisement(
        hop_limit,
        flags & _RA_MANAGED != 0,
        flags & _RA_OTHER != 0,
        flags & _RA_HOME_AGENT != 0,
        lifetime,
        reachable,
        retransmit,
        parse_nd_options(data, 16),
    )


def _target(data: bytes) -> bytes:
    target = data[8:24]
    if is_multicast(target):
        raise ParseError(Reason.BAD_ADDRESS, 8)
    return target


def _neighbor_advertisement(data: bytes) -> NeighborAdvertisement:
    flags = data[4]
    return NeighborAdvertisement(
        _target(data), flags & _NA_ROUTER != 0, flags & _NA_SOLICITED != 0, flags & _NA_OVERRIDE != 0, parse_nd_options(data, 24)
    )


def _discovery_reply(data: bytes) -> HomeAgentDiscoveryReply:
    if len(data) % 16 != 8:
        raise ParseError(Reason.ADDRESS_COUNT, 8)
    addresses = tuple(data[at : at + 16] for at in range(8, len(data), 16))
    return HomeAgentDiscoveryReply(_identifier(data), addresses)


def _prefix_advertisement(data: bytes) -> MobilePrefixAdvertisement:
    identifier, flags = _U16_U16.unpack_from(data, 4)
    return MobilePrefixAdvertisement(identifier, flags & _MPA_MANAGED != 0, flags & _MPA_OTHER != 0, parse_nd_options(data, 8))


def _identifier(data: bytes) -> int:
    return data[4] << 8 | data[5]


def _u32(data: bytes) -> int:
    return int.from_bytes(data[4:8], "big")


_PARSERS: dict[int, tuple[int, bool, Callable[[bytes], Icmpv6Message]]] = {
    DestinationUnreachable.TYPE: (8, False, lambda data: DestinationUnreachable(data[1], data[8:])),
    PacketTooBig.TYPE: (8, False, lambda data: PacketTooBig(_u32(data), data[8:])),
    ParameterProblem.TYPE: (8, False, lambda data: ParameterProblem(data[1], _u32(data), data[8:])),
    RouterSolicitation.TYPE: (8, True, lambda data: RouterSolicitation(parse_nd_options(data, 8))),
    RouterAdvertisement.TYPE: (16, True, _router_advertisement),
    NeighborSolicitation.TYPE: (24, True, lambda data: NeighborSolicitation(_target(data), parse_nd_options(data, 24))),
    NeighborAdvertisement.TYPE: (24, True, _neighbor_advertisement),
    HomeAgentDiscoveryRequest.TYPE: (8, True, lambda data: HomeAgentDiscoveryRequest(_identifier(data))),
    HomeAgentDiscoveryReply.TYPE: (8, True, _discovery_reply),
    MobilePrefixSolicitation.TYPE: (8, True, lambda data: MobilePrefixSolicitation(_identifier(data))),
    MobilePrefixAdvertisement.TYPE: (8, True, _prefix_advertisement),
}
"""Type -> (smallest length, whether Code must be 0, parser)."""
