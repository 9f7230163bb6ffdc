"""Options of neighbour discovery messages (RFC 4861 section 4.6, RFC 6275 sections 7.2 to 7.4)."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import ClassVar

import msgspec

from closedloop_nf.wire.errors import ParseError, Reason
from closedloop_nf.wire.ipv6 import require_address

_PREFIX = struct.Struct("!BBII4x")
_U32_AFTER_RESERVED = struct.Struct("!2xI")
_HOME_AGENT = struct.Struct("!2xHH")

_ON_LINK = 0x80
_AUTONOMOUS = 0x40
_ROUTER_ADDRESS = 0x20


class SourceLinkLayerAddress(msgspec.Struct, frozen=True):
    """Link-layer address of the sender (RFC 4861 section 4.6.1)."""

    address: bytes
    """6 octets on Ethernet, 8n-2 elsewhere."""

    TYPE: ClassVar[int] = 1

    def body(self) -> bytes:
        return self.address


class TargetLinkLayerAddress(msgspec.Struct, frozen=True):
    """Link-layer address of the target (RFC 4861 section 4.6.1)."""

    address: bytes
    """6 octets on Ethernet, 8n-2 elsewhere."""

    TYPE: ClassVar[int] = 2

    def body(self) -> bytes:
        return self.address


class PrefixInformation(msgspec.Struct, frozen=True):
    """A prefix of the link (RFC 4861 section 4.6.2) with the Router Address bit of RFC 6275 section 7.2."""

    prefix: bytes
    """16 octets; the router's whole address where `router_address` is set."""
    prefix_length: int
    on_link: bool
    autonomous: bool
    router_address: bool
    valid_lifetime: int
    """Seconds, 0xffffffff for ever."""
    preferred_lifetime: int
    """As above."""

    TYPE: ClassVar[int] = 3

    def body(self) -> bytes:
        if self.prefix_length > 128:
            raise ValueError(f"prefix_length: {self.prefix_length}, at most 128")
        flags = (
            (_ON_LINK if self.on_link else 0) | (_AUTONOMOUS if self.autonomous else 0) | (_ROUTER_ADDRESS if self.router_address else 0)
        )
        return _PREFIX.pack(self.prefix_length, flags, self.valid_lifetime, self.preferred_lifetime) + require_address(self.prefix)


class Mtu(msgspec.Struct, frozen=True):
    """MTU of the link in octets (RFC 4861 section 4.6.4)."""

    mtu: int

    TYPE: ClassVar[int] = 5

    def body(self) -> bytes:
        return _U32_AFTER_RESERVED.pack(self.mtu)


class AdvertisementInterval(msgspec.Struct, frozen=True):
    """Longest time between unsolicited Router Advertisements (RFC 6275 section 7.3)."""

    milliseconds: int

    TYPE: ClassVar[int] = 7

    def body(self) -> bytes:
        return _U32_AFTER_RESERVED.pack(self.milliseconds)


class HomeAgentInformation(msgspec.Struct, frozen=True):
    """What a home agent says of itself on its home link (RFC 6275 section 7.4)."""

    preference: int
    """0..65535, the higher the better."""
    lifetime: int
    """Seconds, 1..65535."""

    TYPE: ClassVar[int] = 8

    def body(self) -> bytes:
        return _HOME_AGENT.pack(self.preference, self.lifetime)


class UnknownNdOption(msgspec.Struct, frozen=True):
    """An option this package does not know; receivers ignore it (RFC 4861 section 4.6)."""

    type: int
    data: bytes
    """8n-2 octets."""

    @property
    def TYPE(self) -> int:
        return self.type

    def body(self) -> bytes:
        if self.type in _PARSERS:
            raise ValueError(f"type: {self.type} is a known option, use its class")
        return self.data


NdOption = (
    SourceLinkLayerAddress
    | TargetLinkLayerAddress
    | PrefixInformation
    | Mtu
    | AdvertisementInterval
    | HomeAgentInformation
    | UnknownNdOption
)


def parse_nd_options(data: bytes, start: int) -> tuple[NdOption, ...]:
    """Options of the message `data` from octet `start` to its end; any may repeat.

    Raises ParseError `option_truncated` or `option_length`.
    """
    options: list[NdOption] = []
    position, size = start, len(data)
    while position < size:
        if position + 2 > size:
            raise ParseError(Reason.OPTION_TRUNCATED, position)
        length = data[position + 1] * 8
        if not length:
            raise ParseError(Reason.OPTION_LENGTH, position + 1)
        end = position + length
        if end > size:
            raise ParseError(Reason.OPTION_TRUNCATED, position + 1)
        body = data[position + 2 : end]
        known = _PARSERS.get(data[position])
        if known is None:
            options.append(UnknownNdOption(data[position], body))
        else:
            expected, parser = known
            if expected and length != expected:
                raise ParseError(Reason.OPTION_LENGTH, position + 1)
            option = parser(body)
            if isinstance(option, PrefixInformation) and option.prefix_length > 128:
                raise ParseError(Reason.BAD_ADDRESS, position + 2)
            options.append(option)
        position = end
    return tuple(options)


def build_nd_options(options: tuple[NdOption, ...]) -> bytes:
    """Raises ValueError for a field out of its range or a body that is not 8n-2 octets long."""
    parts: list[bytes] = []
    for option in options:
        try:
            body = option.body()
        except struct.error as error:
            raise ValueError(f"a field is out of its range in {option!r}: {error}") from None
        if len(body) % 8 != 6 or len(body) > 255 * 8 - 2:
            raise ValueError(f"{type(option).__name__}: {len(body)} octets where a neighbour discovery option needs 8n-2")
        parts.append(bytes((option.TYPE, (len(body) + 2) // 8)) + body)
    return b"".join(parts)


def _prefix_information(body: bytes) -> PrefixInformation:
    length, flags, valid, preferred = _PREFIX.unpack_from(body)
    return PrefixInformation(
        body[14:30],
        length,
        flags & _ON_LINK != 0,
        flags & _AUTONOMOUS != 0,
        flags & _ROUTER_ADDRESS != 0,
        valid,
        preferred,
    )


_PARSERS: dict[int, tuple[int, Callable[[bytes], NdOption]]] = {
    SourceLinkLayerAddress.TYPE: (0, SourceLinkLayerAddress),
    TargetLinkLayerAddress.TYPE: (0, TargetLinkLayerAddress),
    PrefixInformation.TYPE: (32, _prefix_information),
    Mtu.TYPE: (8, lambda body: Mtu(*_U32_AFTER_RESERVED.unpack(body))),
    AdvertisementInterval.TYPE: (8, lambda body: AdvertisementInterval(*_U32_AFTER_RESERVED.unpack(body))),
    HomeAgentInformation.TYPE: (8, lambda body: HomeAgentInformation(*_HOME_AGENT.unpack(body))),
}
"""Type -> (octets of the whole option, 0 for any; parser of the body)."""
