"""Mobility options: the type-length-value tail of Mobility Header messages (RFC 6275 section 6.2, RFC 4283, RFC 4285).

Each class knows its type, its alignment and the octets of its body; `walk_options`, `parse_options` and `append_options` do the rest.
Padding never appears as an option: it is dropped on parsing and made on building.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import ClassVar, TypeVar

import msgspec

from closedloop_nf.wire.errors import ParseError, Reason
from closedloop_nf.wire.ipv6 import require_address

PAD1 = 0
PADN = 1

_U16 = struct.Struct("!H")
_U16_U16 = struct.Struct("!HH")
_SPI = struct.Struct("!BI")
_U64 = struct.Struct("!Q")


class BindingRefreshAdvice(msgspec.Struct, frozen=True):
    """When to register again, counted from the acknowledgement (RFC 6275 section 6.2.4). Only meaningful in a Binding Acknowledgement."""

    interval: int
    """Units of 4 seconds, 0..65535."""

    TYPE: ClassVar[int] = 2
    ALIGNMENT: ClassVar[tuple[int, int]] = (2, 0)

    def body(self) -> bytes:
        return _U16.pack(self.interval)


class AlternateCareOfAddress(msgspec.Struct, frozen=True):
    """Care-of address to bind in place of the packet's source (RFC 6275 section 6.2.5). Only meaningful in a Binding Update."""

    address: bytes

    TYPE: ClassVar[int] = 3
    ALIGNMENT: ClassVar[tuple[int, int]] = (8, 6)

    def body(self) -> bytes:
        return require_address(self.address)


class NonceIndices(msgspec.Struct, frozen=True):
    """Nonces of the return routability procedure (RFC 6275 section 6.2.6)."""

    home: int
    care_of: int

    TYPE: ClassVar[int] = 4
    ALIGNMENT: ClassVar[tuple[int, int]] = (2, 0)

    def body(self) -> bytes:
        return _U16_U16.pack(self.home, self.care_of)


class BindingAuthorizationData(msgspec.Struct, frozen=True):
    """Authenticator of the return routability procedure (RFC 6275 section 6.2.7): 96 bits; must be the last option."""

    authenticator: bytes

    TYPE: ClassVar[int] = 5
    ALIGNMENT: ClassVar[tuple[int, int]] = (8, 2)

    def body(self) -> bytes:
        if len(self.authenticator) != 12:
            raise ValueError(f"authenticator: {len(self.authenticator)} octets where RFC 6275 section 6.2.7 has 12")
        return self.authenticator


class MobileNodeIdentifier(msgspec.Struct, frozen=True):
    """Identity of the mobile node other than its home address (RFC 4283 section 3). Subtype 1 is an NAI."""

    subtype: int
    identifier: bytes
    """1..254 octets."""

    TYPE: ClassVar[int] = 8
    ALIGNMENT: ClassVar[tuple[int, int]] = (1, 0)

    def body(self) -> bytes:
        if not self.identifier:
            raise ValueError("identifier: empty, RFC 4283 section 3 needs at least one octet")
        return bytes((self.subtype,)) + self.identifier


class Authentication(msgspec.Struct, frozen=True):
    """Mobility message authentication option (RFC 4285 section 5). Subtype 1 is MN-HA, 2 is MN-AAA."""

    subtype: int
    spi: int
    data: bytes
    """The authenticator: 12 octets for MN-HA with HMAC_SHA1, 1..250 otherwise."""

    TYPE: ClassVar[int] = 9
    ALIGNMENT: ClassVar[tuple[int, int]] = (4, 1)

    def body(self) -> bytes:
        if not self.data:
            raise ValueError("data: empty, an authenticator has at least one octet")
        return _SPI.pack(self.subtype, self.spi) + self.data


class ReplayProtection(msgspec.Struct, frozen=True):
    """Mobility message replay protection option (RFC 4285 section 6): a 64-bit NTP timestamp."""

    timestamp: int

    TYPE: ClassVar[int] = 10
    ALIGNMENT: ClassVar[tuple[int, int]] = (8, 2)

    def body(self) -> bytes:
        return _U64.pack(self.timestamp)


class UnknownOption(msgspec.Struct, frozen=True):
    """An option this package does not know; receivers skip it (RFC 6275 section 6.2.1)."""

    type: int
    data: bytes

    ALIGNMENT: ClassVar[tuple[int, int]] = (1, 0)

    @property
    def TYPE(self) -> int:
        return self.type

    def body(self) -> bytes:
        if self.type in _PARSERS or self.type in (PAD1, PADN):
            raise ValueError(f"type: {self.type} is a known option, use its class")
        return self.data


MobilityOption = (
    BindingRefreshAdvice
    | AlternateCareOfAddress
    | NonceIndices
    | BindingAuthorizationData
    | MobileNodeIdentifier
    | Authentication
    | ReplayProtection
    | UnknownOption
)

_T = TypeVar("_T")


def find_option(options: tuple[MobilityOption, ...], kind: type[_T]) -> _T | None:
    """First option of that class, None where there is none."""
    for option in options:
        if isinstance(option, kind):
            return option
    return None


def walk_options(data: bytes, start: int) -> Iterator[tuple[int, int, int]]:
    """Options of `data` from `start` to its end as (type, body start, body end), padding left out (RFC 6275 sections 6.2.1 to 6.2.3).

    Raises ParseError `option_truncated`.
    """
    position, end = start, len(data)
    while position < end:
        kind = data[position]
        if kind == PAD1:
            position += 1
            continue
        if position + 2 > end:
            raise ParseError(Reason.OPTION_TRUNCATED, position)
        body = position + 2
        position = body + data[position + 1]
        if position > end:
            raise ParseError(Reason.OPTION_TRUNCATED, body - 1)
        if kind != PADN:
            yield kind, body, position


def parse_options(data: bytes, start: int) -> tuple[MobilityOption, ...]:
    """Options of the message `data` from octet `start` to its end.

    Raises ParseError `option_truncated`, `option_length` or `option_duplicate`. Only unknown options may repeat; options
    with a subtype count per subtype.
    """
    options: list[MobilityOption] = []
    seen: set[int] = set()
    for kind, begin, end in walk_options(data, start):
        parser = _PARSERS.get(kind)
        if parser is None:
            options.append(UnknownOption(kind, data[begin:end]))
            continue
        try:
            options.append(parser(data[begin:end]))
        except _LengthError:
            raise ParseError(Reason.OPTION_LENGTH, begin - 1) from None
        key = kind << 8 | data[begin] if kind in _WITH_SUBTYPE else kind
        if key in seen:
            raise ParseError(Reason.OPTION_DUPLICATE, begin - 2)
        seen.add(key)
    return tuple(options)


def pad(message: bytearray, multiple: int, remainder: int) -> None:
    """Append Pad1 or PadN so that the length is `remainder` modulo `multiple` (RFC 6275 sections 6.2.2 and 6.2.3)."""
    missing = (remainder - len(message)) % multiple
    if missing == 1:
        message.append(PAD1)
    elif missing:
        message += _PADN[missing]


def append_options(message: bytearray, options: tuple[MobilityOption, ...]) -> None:
    """Append options, each at its alignment, to a message that begins at octet 0 of `message`.

    Raises ValueError for a field out of its range.
    """
    for option in options:
        multiple, remainder = option.ALIGNMENT
        pad(message, multiple, remainder)
        body = _checked(option)
        message.append(option.TYPE)
        message.append(len(body))
        message += body


def _checked(option: MobilityOption) -> bytes:
    try:
        body = option.body()
    except struct.error as error:
        raise ValueError(f"a field is out of its range in {option!r}: {error}") from None
    if len(body) > 255:
        raise ValueError(f"{type(option).__name__}: {len(body)} octets where an option holds at most 255")
    return body


class _LengthError(Exception):
    """A body's length contradicts its type; becomes a ParseError with the option's offset."""


def _exactly(length: int, body: bytes) -> bytes:
    if len(body) != length:
        raise _LengthError
    return body


def _identifier(body: bytes) -> MobileNodeIdentifier:
    if len(body) < 2:
        raise _LengthError
    return MobileNodeIdentifier(body[0], body[1:])


def _authentication(body: bytes) -> Authentication:
    if len(body) < 6:
        raise _LengthError
    subtype, spi = _SPI.unpack_from(body)
    return Authentication(subtype, spi, body[5:])


_PADN = tuple(bytes((PADN, length - 2)) + bytes(length - 2) if length >= 2 else b"" for length in range(8))
_WITH_SUBTYPE = frozenset((MobileNodeIdentifier.TYPE, Authentication.TYPE))
_PARSERS: dict[int, Callable[[bytes], MobilityOption]] = {
    BindingRefreshAdvice.TYPE: lambda body: BindingRefreshAdvice(*_U16.unpack(_exactly(2, body))),
    AlternateCareOfAddress.TYPE: lambda body: AlternateCareOfAddress(_exactly(16, body)),
    NonceIndices.TYPE: lambda body: NonceIndices(*_U16_U16.unpack(_exactly(4, body))),
    BindingAuthorizationData.TYPE: lambda body: BindingAuthorizationData(_exactly(12, body)),
    MobileNodeIdentifier.TYPE: _identifier,
    Authentication.TYPE: _authentication,
    ReplayProtection.TYPE: lambda body: ReplayProtection(*_U64.unpack(_exactly(8, body))),
}
