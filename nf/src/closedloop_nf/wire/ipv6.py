"""IPv6 packets and the extension headers of Mobile IPv6: Home Address option and type 2 routing header (RFC 8200, RFC 6275 section 6)."""

from __future__ import annotations

import struct

import msgspec

from closedloop_nf.wire.errors import ParseError, Reason

HOP_BY_HOP = 0
ROUTING = 43
FRAGMENT = 44
ICMPV6 = 58
NO_NEXT_HEADER = 59
DESTINATION_OPTIONS = 60
IPV6_IN_IPV6 = 41

EXTENSION_HEADERS = frozenset((HOP_BY_HOP, ROUTING, FRAGMENT, DESTINATION_OPTIONS))
"""The headers this package walks. ESP and AH count as upper layer: the kernel deals with them."""

HOME_ADDRESS_OPTION = 0xC9
"""Option type 201 (RFC 6275 section 6.3): its high bits 11 make nodes that do not know it complain."""

UNSPECIFIED = bytes(16)

_HEADER = struct.Struct("!IHBB16s16s")
_PSEUDO_TAIL = struct.Struct("!I3xB")
_HAO_TO_ADDRESS = b"\x01\x02\x00\x00" + bytes((HOME_ADDRESS_OPTION, 16))
_UNKNOWN_ACTION = {0x40: Reason.OPTION_DISCARD, 0x80: Reason.OPTION_PROBLEM, 0xC0: Reason.OPTION_PROBLEM_UNICAST}


def require_address(address: bytes) -> bytes:
    """`address` itself. Raises ValueError unless it has 16 octets."""
    if len(address) != 16:
        raise ValueError(f"IPv6 address of {len(address)} octets, 16 are needed")
    return address


def is_multicast(address: bytes) -> bool:
    """ff00::/8 (RFC 4291 section 2.7)."""
    return address[0] == 0xFF


def is_link_local(address: bytes) -> bool:
    """fe80::/10 (RFC 4291 section 2.5.6)."""
    return address[0] == 0xFE and address[1] & 0xC0 == 0x80


def is_unicast_routable(address: bytes) -> bool:
    """What RFC 6275 asks of home and care-of addresses: unicast, not unspecified, not loopback, not link-local, no mapped IPv4."""
    return address[0] != 0xFF and not is_link_local(address) and address[:10] != bytes(10)


def solicited_node(address: bytes) -> bytes:
    """ff02::1:ffXX:XXXX of an address (RFC 4291 section 2.7.1)."""
    return b"\xff\x02" + bytes(9) + b"\x01\xff" + address[13:]


def checksum(src: bytes, dst: bytes, next_header: int, data: bytes) -> int:
    """Internet checksum of `data` under the IPv6 pseudo-header (RFC 8200 section 8.1); 0 where `data` already holds the right one."""
    covered = src + dst + _PSEUDO_TAIL.pack(len(data), next_header) + data
    if len(covered) & 1:
        covered += b"\0"
    # The ones' complement sum of 16-bit words is the number modulo 2^16 - 1, and the interpreter does that in C.
    return -int.from_bytes(covered, "big") % 0xFFFF


class Ipv6Header(msgspec.Struct, frozen=True):
    """The fixed header (RFC 8200 section 3)."""

    traffic_class: int
    flow_label: int
    payload_length: int
    next_header: int
    hop_limit: int
    source: bytes
    destination: bytes


class Ipv6Packet(msgspec.Struct, frozen=True):
    """A packet with its extension headers taken off."""

    header: Ipv6Header
    home_address_option: bytes | None
    """Address in the Home Address option."""
    routing_home_address: bytes | None
    """Address in the type 2 routing header."""
    next_header: int
    """Of the upper layer."""
    payload: bytes
    """The upper layer's octets."""
    payload_offset: int
    """Where they begin in the packet."""

    @property
    def upper_source(self) -> bytes:
        """Source for the upper layer and its checksum: the Home Address option's where there is one (RFC 6275 section 11.3.1)."""
        return self.header.source if self.home_address_option is None else self.home_address_option

    @property
    def upper_destination(self) -> bytes:
        """Final destination: the type 2 routing header's where there is one (RFC 8200 section 8.1)."""
        return self.header.destination if self.routing_home_address is None else self.routing_home_address


class DestinationOptions(msgspec.Struct, frozen=True):
    """A destination options header as a raw socket of protocol 60 delivers it."""

    next_header: int
    home_address: bytes | None
    """Of the Home Address option (RFC 6275 section 6.3)."""
    length: int
    """Octets of the header; the upper layer is what follows."""
    options: tuple[tuple[int, bytes], ...]
    """Other options that may be skipped, as (type, data)."""


class RoutingHeader(msgspec.Struct, frozen=True):
    """A type 2 routing header as a raw socket of protocol 43 delivers it (RFC 6275 section 6.4)."""

    next_header: int
    home_address: bytes
    rest: bytes
    """What follows the header."""


def parse_packet(raw: bytes) -> Ipv6Packet:
    """Parse an IPv6 packet down to its upper layer. Octets past the payload length (Ethernet padding) are cut off.

    Order and number of the extension headers are those of RFC 8200 section 4.1 and RFC 6275 section 6.3: hop-by-hop options first, one
    routing header, destination options at most twice, the Home Address option after the routing header and once. Unknown options act by
    their high bits (RFC 8200 section 4.2). Raises ParseError; its offset counts from the first octet of the packet.
    """
    if len(raw) < 40:
        raise ParseError(Reason.TRUNCATED, len(raw))
    first, payload_length, next_header, hop_limit, source, destination = _HEADER.unpack_from(raw)
    if first >> 28 != 6:
        raise ParseError(Reason.VERSION, 0)
    if len(raw) < 40 + payload_length:
        raise ParseError(Reason.TRUNCATED, 4)
    header = Ipv6Header(first >> 20 & 0xFF, first & 0xFFFFF, payload_length, next_header, hop_limit, source, destination)
    raw = raw[: 40 + payload_length]
    home: bytes | None = None
    routing: bytes | None = None
    options_seen = 0
    routing_seen = False
    position = 40
    while next_header in EXTENSION_HEADERS:
        begin = position
        if next_header == FRAGMENT:
            raise ParseError(Reason.FRAGMENT, begin)
        if next_header == ROUTING:
            if routing_seen:
                raise ParseError(Reason.HEADER_DUPLICATE, begin)
            if home is not None:
                raise ParseError(Reason.HEADER_ORDER, begin)
            routing_seen = True
            next_header, position, routing = _parse_routing(raw, begin)
        elif next_header == DESTINATION_OPTIONS:
            options_seen += 1
            if options_seen > 2:
                raise ParseError(Reason.HEADER_DUPLICATE, begin)
            next_header, position, found, _others = _parse_options(raw, begin, home_address_allowed=True)
            if found is not None and home is not None:
                raise ParseError(Reason.OPTION_DUPLICATE, begin)
            home = home if found is None else found
        else:
            if begin != 40:
                raise ParseError(Reason.HEADER_ORDER, begin)
            next_header, position, *_rest = _parse_options(raw, begin, home_address_allowed=False)
    return Ipv6Packet(header, home, routing, next_header, raw[position:], position)


def build_packet(
    src: bytes,
    dst: bytes,
    next_header: int,
    payload: bytes,
    *,
    home_address_option: bytes | None = None,
    routing_home_address: bytes | None = None,
    hop_limit: int = 64,
) -> bytes:
    """A full IPv6 packet from `src` to `dst`, with a type 2 routing header and a Home Address option where addresses are given.

    `payload` already holds its checksum, made with the addresses the upper layer sees. Raises ValueError for a field out of its range or
    too long a payload.
    """
    extension = b""
    upper = next_header
    if home_address_option is not None:
        extension = bytes((upper, 2)) + _HAO_TO_ADDRESS + require_address(home_address_option)
        upper = DESTINATION_OPTIONS
    if routing_home_address is not None:
        extension = bytes((upper, 2, 2, 1, 0, 0, 0, 0)) + require_address(routing_home_address) + extension
        upper = ROUTING
    length = len(extension) + len(payload)
    if not 0 <= hop_limit <= 255 or not 0 <= next_header <= 255:
        raise ValueError(f"hop_limit {hop_limit}, next_header {next_header}: each is one octet, 0..255")
    if length > 0xFFFF:
        raise ValueError(f"payload of {length} octets, an IPv6 packet holds at most 65535")
    return _HEADER.pack(6 << 28, length, upper, hop_limit, require_address(src), require_address(dst)) + extension + payload


def parse_destination_options(data: bytes) -> DestinationOptions:
    """Parse a destination options header at the start of `data`; what follows it must be an upper layer.

    Raises ParseError; `header_order` where another extension header follows.
    """
    next_header, length, home, options = _parse_options(data, 0, home_address_allowed=True)
    if next_header in EXTENSION_HEADERS:
        raise ParseError(Reason.HEADER_ORDER, 0)
    return DestinationOptions(next_header, home, length, tuple(options))


def parse_routing_header(data: bytes) -> RoutingHeader:
    """Parse a type 2 routing header at the start of `data`. Only destination options may follow it as a further extension header.

    Raises ParseError; `routing_type` for any other type.
    """
    next_header, length, home = _parse_routing(data, 0)
    if home is None:
        raise ParseError(Reason.ROUTING_TYPE, 2)
    if next_header in EXTENSION_HEADERS and next_header != DESTINATION_OPTIONS:
        raise ParseError(Reason.HEADER_ORDER, 0)
    return RoutingHeader(next_header, home, data[length:])


def _extent(data: bytes, begin: int) -> int:
    """End of the extension header that begins at `begin`; Hdr Ext Len counts 8 octets beyond the first 8."""
    if len(data) < begin + 8:
        raise ParseError(Reason.TRUNCATED, begin)
    end = begin + (data[begin + 1] + 1) * 8
    if len(data) < end:
        raise ParseError(Reason.TRUNCATED, begin + 1)
    return end


def _parse_routing(data: bytes, begin: int) -> tuple[int, int, bytes | None]:
    """(next header, end, home address). A routing header of another type with no segments left is ignored (RFC 8200 section 4.4)."""
    end = _extent(data, begin)
    if data[begin + 2] != 2:
        if data[begin + 3]:
            raise ParseError(Reason.ROUTING_TYPE, begin + 2)
        return data[begin], end, None
    if end - begin != 24:
        raise ParseError(Reason.HEADER_LENGTH, begin + 1)
    if data[begin + 3] != 1:
        raise ParseError(Reason.ROUTING_SEGMENTS, begin + 3)
    return data[begin], end, data[begin + 8 : end]


def _parse_options(data: bytes, begin: int, *, home_address_allowed: bool) -> tuple[int, int, bytes | None, list[tuple[int, bytes]]]:
    """(next header, end, home address, other options) of a hop-by-hop or destination options header (RFC 8200 section 4.2)."""
    end = _extent(data, begin)
    home: bytes | None = None
    others: list[tuple[int, bytes]] = []
    position = begin + 2
    while position < end:
        kind = data[position]
        if kind == 0:
            position += 1
            continue
        if position + 2 > end or position + 2 + data[position + 1] > end:
            raise ParseError(Reason.OPTION_TRUNCATED, position)
        body, option = data[position + 2 : position + 2 + data[position + 1]], position
        position += 2 + len(body)
        if kind == HOME_ADDRESS_OPTION and home_address_allowed:
            if len(body) != 16:
                raise ParseError(Reason.OPTION_LENGTH, option + 1)
            if home is not None:
                raise ParseError(Reason.OPTION_DUPLICATE, option)
            home = body
        elif kind & 0xC0:
            raise ParseError(_UNKNOWN_ACTION[kind & 0xC0], option)
        elif kind != 1:
            others.append((kind, body))
    return data[begin], end, home, others
