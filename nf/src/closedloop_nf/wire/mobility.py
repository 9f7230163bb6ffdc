"""Mobility Header messages (RFC 6275 section 6.1, RFC 5142 section 4.1).

    0               1               2               3
    | Payload Proto |  Header Len   |    MH Type    |   Reserved    |
    |           Checksum            |     message data and options ...

Header Len counts units of 8 octets beyond the first 8. Messages are built with checksum zero; `seal` fills it in for the two addresses,
which are those of the packet as the receiver's upper layer sees it: the home address in place of the care-of address where a Home Address
option or a type 2 routing header carries it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import ClassVar

import msgspec

from closedloop_nf.wire.errors import ParseError, Reason
from closedloop_nf.wire.ipv6 import NO_NEXT_HEADER, checksum, require_address
from closedloop_nf.wire.mobility_options import MobilityOption, append_options, pad, parse_options

MOBILITY_HEADER = 135
"""Next Header value (RFC 6275 section 6.1.1)."""

FLAG_ACKNOWLEDGE = 0x8000
FLAG_HOME_REGISTRATION = 0x4000
FLAG_LINK_LOCAL = 0x2000
FLAG_KEY_MANAGEMENT = 0x1000

_INIT = struct.Struct("!2x8s")
_TEST = struct.Struct("!H8s8s")
_UPDATE = struct.Struct("!HHH")
_ACKNOWLEDGEMENT = struct.Struct("!BBHH")
_ACKNOWLEDGEMENT_KEY_MANAGEMENT = 0x80


class BindingRefreshRequest(msgspec.Struct, frozen=True):
    """A correspondent node asks for a new Binding Update (RFC 6275 section 6.1.2)."""

    options: tuple[MobilityOption, ...] = ()

    TYPE: ClassVar[int] = 0

    def fixed(self) -> bytes:
        return b"\0\0"


class HomeTestInit(msgspec.Struct, frozen=True):
    """Start of return routability by the home address (RFC 6275 section 6.1.3)."""

    cookie: bytes
    """8 octets."""
    options: tuple[MobilityOption, ...] = ()

    TYPE: ClassVar[int] = 1

    def fixed(self) -> bytes:
        return _INIT.pack(_octets8("cookie", self.cookie))


class CareOfTestInit(msgspec.Struct, frozen=True):
    """Start of return routability by the care-of address (RFC 6275 section 6.1.4)."""

    cookie: bytes
    """8 octets."""
    options: tuple[MobilityOption, ...] = ()

    TYPE: ClassVar[int] = 2

    def fixed(self) -> bytes:
        return _INIT.pack(_octets8("cookie", self.cookie))


class HomeTest(msgspec.Struct, frozen=True):
    """Answer to Home Test Init (RFC 6275 section 6.1.5)."""

    nonce_index: int
    cookie: bytes
    keygen_token: bytes
    """8 octets, as the cookie."""
    options: tuple[MobilityOption, ...] = ()

    TYPE: ClassVar[int] = 3

    def fixed(self) -> bytes:
        return _TEST.pack(self.nonce_index, _octets8("cookie", self.cookie), _octets8("keygen_token", self.keygen_token))


class CareOfTest(msgspec.Struct, frozen=True):
    """Answer to Care-of Test Init (RFC 6275 section 6.1.6)."""

    nonce_index: int
    cookie: bytes
    keygen_token: bytes
    """8 octets, as the cookie."""
    options: tuple[MobilityOption, ...] = ()

    TYPE: ClassVar[int] = 4

    def fixed(self) -> bytes:
        return _TEST.pack(self.nonce_index, _octets8("cookie", self.cookie), _octets8("keygen_token", self.keygen_token))


class BindingUpdate(msgspec.Struct, frozen=True):
    """A mobile node's request to bind its care-of address (RFC 6275 section 6.1.7)."""

    sequence: int
    acknowledge: bool
    home_registration: bool
    link_local: bool
    key_management: bool
    lifetime: int
    """Units of 4 seconds, 0..65535; 0 deletes the binding."""
    options: tuple[MobilityOption, ...] = ()

    TYPE: ClassVar[int] = 5

    @property
    def flags(self) -> int:
        """A, H, L, K as the bits they are on the wire: 0x8000, 0x4000, 0x2000, 0x1000."""
        return (
            (FLAG_ACKNOWLEDGE if self.acknowledge else 0)
            | (FLAG_HOME_REGISTRATION if self.home_registration else 0)
            | (FLAG_LINK_LOCAL if self.link_local else 0)
            | (FLAG_KEY_MANAGEMENT if self.key_management else 0)
        )

    def fixed(self) -> bytes:
        return _UPDATE.pack(self.sequence, self.flags, self.lifetime)


class BindingAcknowledgement(msgspec.Struct, frozen=True):
    """Answer to a Binding Update (RFC 6275 section 6.1.8). `status.BindingStatus` names the codes."""

    status: int
    key_management: bool
    sequence: int
    lifetime: int
    """Granted, in units of 4 seconds."""
    options: tuple[MobilityOption, ...] = ()

    TYPE: ClassVar[int] = 6

    def fixed(self) -> bytes:
        return _ACKNOWLEDGEMENT.pack(
            self.status, _ACKNOWLEDGEMENT_KEY_MANAGEMENT if self.key_management else 0, self.sequence, self.lifetime
        )


class BindingError(msgspec.Struct, frozen=True):
    """Complaint about a Home Address option or an unknown MH Type (RFC 6275 section 6.1.9). `status.BindingErrorStatus` names the codes."""

    status: int
    home_address: bytes
    """From the Home Address option at fault; unspecified where there was none."""
    options: tuple[MobilityOption, ...] = ()

    TYPE: ClassVar[int] = 7

    def fixed(self) -> bytes:
        return bytes((self.status, 0)) + require_address(self.home_address)


class HomeAgentSwitch(msgspec.Struct, frozen=True):
    """Home agents the mobile node is to try in this order; none tells it to discover one (RFC 5142 section 4.1)."""

    home_agents: tuple[bytes, ...]
    options: tuple[MobilityOption, ...] = ()

    TYPE: ClassVar[int] = 12

    def fixed(self) -> bytes:
        return bytes((len(self.home_agents), 0)) + b"".join(map(require_address, self.home_agents))


class UnknownMobility(msgspec.Struct, frozen=True):
    """A message of another MH Type. The receiver answers with Binding Error status 2 (RFC 6275 section 9.2)."""

    type: int
    data: bytes
    """All that follows the checksum: 8n+2 octets."""

    options: ClassVar[tuple[MobilityOption, ...]] = ()

    @property
    def TYPE(self) -> int:
        return self.type

    def fixed(self) -> bytes:
        if self.type in _PARSERS:
            raise ValueError(f"type: {self.type} is a known message, use its class")
        if len(self.data) % 8 != 2:
            raise ValueError(f"data: {len(self.data)} octets where a Mobility Header needs 8n+2")
        return self.data


MobilityMessage = (
    BindingRefreshRequest
    | HomeTestInit
    | CareOfTestInit
    | HomeTest
    | CareOfTest
    | BindingUpdate
    | BindingAcknowledgement
    | BindingError
    | HomeAgentSwitch
    | UnknownMobility
)


def parse_mobility(data: bytes) -> MobilityMessage:
    """Parse one Mobility Header that fills `data` (RFC 6275 sections 6.1 and 9.2). The checksum is not looked at: see `checksum_ok`.

    Reserved fields are ignored as the RFC demands. Octets after the header are refused (`trailing_data`): no sender may put any there.
    Raises ParseError.
    """
    if len(data) < 8:
        raise ParseError(Reason.TRUNCATED, len(data))
    if data[0] != NO_NEXT_HEADER:
        raise ParseError(Reason.PAYLOAD_PROTO, 0)
    length = (data[1] + 1) * 8
    if length > len(data):
        raise ParseError(Reason.TRUNCATED, 1)
    if length < len(data):
        raise ParseError(Reason.TRAILING_DATA, length)
    known = _PARSERS.get(data[2])
    if known is None:
        return UnknownMobility(data[2], data[6:])
    smallest, parser = known
    if length < smallest:
        raise ParseError(Reason.HEADER_LENGTH, 1)
    return parser(data)


def build_mobility(message: MobilityMessage) -> bytes:
    """The Mobility Header with checksum zero, padded to a multiple of 8 octets.

    Raises ValueError for a field out of its range or a message longer than 2048 octets.
    """
    buffer = start(message)
    append_options(buffer, message.options)
    return finish(buffer)


def start(message: MobilityMessage) -> bytearray:
    """The message up to its options, length and checksum still zero. Raises ValueError."""
    try:
        return bytearray((NO_NEXT_HEADER, 0, message.TYPE, 0, 0, 0)) + message.fixed()
    except struct.error as error:
        raise ValueError(f"a field is out of its range in {message!r}: {error}") from None


def finish(message: bytearray) -> bytes:
    """Pad to a multiple of 8 octets and fill in Header Len. Raises ValueError."""
    pad(message, 8, 0)
    if len(message) > 2048:
        raise ValueError(f"message of {len(message)} octets, a Mobility Header holds at most 2048")
    message[1] = len(message) // 8 - 1
    return bytes(message)


def seal(data: bytes, src: bytes, dst: bytes) -> bytes:
    """`data` with the checksum for a packet from `src` to `dst` (RFC 6275 section 6.1.1)."""
    blank = data[:4] + b"\0\0" + data[6:]
    return data[:4] + checksum(src, dst, MOBILITY_HEADER, blank).to_bytes(2, "big") + data[6:]


def checksum_ok(data: bytes, src: bytes, dst: bytes) -> bool:
    """Whether the Mobility Header `data` from `src` to `dst` carries the right checksum."""
    return checksum(src, dst, MOBILITY_HEADER, data) == 0


def options_start(data: bytes) -> int:
    """Octet at which the options of the message `data`, at least 8 octets, begin; not before its end where it has none."""
    if data[2] == HomeAgentSwitch.TYPE:
        return 8 + 16 * data[6]
    return _PARSERS[data[2]][0] if data[2] in _PARSERS else len(data)


def _octets8(field: str, value: bytes) -> bytes:
    if len(value) != 8:
        raise ValueError(f"{field}: {len(value)} octets where RFC 6275 section 6.1 has 8")
    return value


def _test(kind: type[HomeTest] | type[CareOfTest], data: bytes) -> HomeTest | CareOfTest:
    nonce_index, cookie, token = _TEST.unpack_from(data, 6)
    return kind(nonce_index, cookie, token, parse_options(data, 24))


def _update(data: bytes) -> BindingUpdate:
    sequence, flags, lifetime = _UPDATE.unpack_from(data, 6)
    return BindingUpdate(
        sequence,
        flags & FLAG_ACKNOWLEDGE != 0,
        flags & FLAG_HOME_REGISTRATION != 0,
        flags & FLAG_LINK_LOCAL != 0,
        flags & FLAG_KEY_MANAGEMENT != 0,
        lifetime,
        parse_options(data, 12),
    )


def _acknowledgement(data: bytes) -> BindingAcknowledgement:
    status, flags, sequence, lifetime = _ACKNOWLEDGEMENT.unpack_from(data, 6)
    return BindingAcknowledgement(status, flags & _ACKNOWLEDGEMENT_KEY_MANAGEMENT != 0, sequence, lifetime, parse_options(data, 12))


def _home_agent_switch(data: bytes) -> HomeAgentSwitch:
    end = 8 + 16 * data[6]
    if end > len(data):
        raise ParseError(Reason.ADDRESS_COUNT, 6)
    return HomeAgentSwitch(tuple(data[at : at + 16] for at in range(8, end, 16)), parse_options(data, end))


_PARSERS: dict[int, tuple[int, Callable[[bytes], MobilityMessage]]] = {
    BindingRefreshRequest.TYPE: (8, lambda data: BindingRefreshRequest(parse_options(data, 8))),
    HomeTestInit.TYPE: (16, lambda data: HomeTestInit(data[8:16], parse_options(data, 16))),
    CareOfTestInit.TYPE: (16, lambda data: CareOfTestInit(data[8:16], parse_options(data, 16))),
    HomeTest.TYPE: (24, lambda data: _test(HomeTest, data)),
    CareOfTest.TYPE: (24, lambda data: _test(CareOfTest, data)),
    BindingUpdate.TYPE: (12, _update),
    BindingAcknowledgement.TYPE: (12, _acknowledgement),
    BindingError.TYPE: (24, lambda data: BindingError(data[6], data[8:24], parse_options(data, 24))),
    HomeAgentSwitch.TYPE: (8, _home_agent_switch),
}
"""MH Type -> (octets before the options, parser)."""
