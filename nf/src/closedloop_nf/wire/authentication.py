"""MN-HA mobility message authentication and replay timestamps (RFC 4285 sections 5 and 6).

    Authentication Data = First(96, HMAC_SHA1(shared key, care-of address | home address | MH Data))

MH Data is the Mobility Header, checksum zero and Header Len final, up to and including the SPI of the option (section 5.1).

Which addresses (section 5.1 names them and no more; this is how every function here reads it):

* Binding Update: the care-of address is the one to be registered, so that of an Alternate Care-of Address option where there is one,
  else the packet's source; see `registered_care_of_address`. The home address is that of the Home Address option, or the source where
  the mobile node is at home.
* Binding Acknowledgement: the very same two addresses as in the Binding Update it answers.
* Home Agent Switch (RFC 5142): RFC 4285 does not speak of it and RFC 5142 asks for IPsec. Carrying the same option in it is an extension
  of ours; the care-of address is the bound one, to which the message is sent.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from enum import Enum

from closedloop_nf.wire.errors import ParseError, Reason
from closedloop_nf.wire.ipv6 import require_address
from closedloop_nf.wire.mobility import BindingAcknowledgement, BindingUpdate, HomeAgentSwitch, finish, options_start, start
from closedloop_nf.wire.mobility_options import AlternateCareOfAddress, Authentication, append_options, find_option, walk_options
from closedloop_nf.wire.status import AuthenticationSubtype

AUTHENTICATOR_LENGTH = 12
"""Octets: the first 96 bits of HMAC_SHA1."""
KEY_LENGTH = 16
"""Octets of a shared key (RFC 4285 section 5.1)."""
SPI_MINIMUM = 256
"""SPIs 0 to 255 are reserved (RFC 4285 section 5.1)."""

Authenticated = BindingUpdate | BindingAcknowledgement | HomeAgentSwitch

_OPTION_TO_AUTHENTICATOR = 7
"""Octets of type, length, subtype and SPI."""
_UNIX_TO_NTP = 2_208_988_800
"""Seconds from 1900 to 1970."""
_ERA = 1 << 32


class VerifyResult(Enum):
    """Outcome of `verify`; the values are metric labels."""

    OK = "ok"
    MISSING = "missing"
    """No MN-HA authentication option."""
    UNKNOWN_SPI = "unknown_spi"
    BAD_AUTHENTICATOR = "bad_authenticator"
    NOT_LAST = "not_last"
    """Something the authenticator does not cover follows the option."""


def registered_care_of_address(update: BindingUpdate, source: bytes) -> bytes:
    """The care-of address that a Binding Update from `source` asks to register (RFC 6275 section 6.1.7)."""
    alternate = find_option(update.options, AlternateCareOfAddress)
    return source if alternate is None else alternate.address


def authenticate(mobility_without_auth: Authenticated, *, care_of_address: bytes, home_address: bytes, spi: int, key: bytes) -> bytes:
    """Build the message with the MN-HA authentication option as its last option; the checksum stays zero for `mobility.seal`.

    Raises ValueError where the message already holds an authentication option or a field is out of range.
    """
    message = mobility_without_auth
    if find_option(message.options, Authentication) is not None:
        raise ValueError(f"{type(message).__name__}: already holds an authentication option")
    buffer = start(message)
    append_options(buffer, message.options)
    append_options(buffer, (Authentication(AuthenticationSubtype.MN_HA, spi, bytes(AUTHENTICATOR_LENGTH)),))
    end = len(buffer)
    data = finish(buffer)
    begin = end - AUTHENTICATOR_LENGTH
    authenticator = _authenticator(key, care_of_address, home_address, data, begin)
    return data[:begin] + authenticator + data[end:]


def verify(data: bytes, *, care_of_address: bytes, home_address: bytes, key_for_spi: Callable[[int], bytes | None]) -> VerifyResult:
    """Check the MN-HA authentication option of the whole message `data`, whatever its checksum field holds.

    Only padding may follow the option, or the MN-AAA option that section 5.2 puts last. `key_for_spi` gives the home address's key for
    an SPI. Compares in constant time. Raises ParseError where `data` is no well-formed message; `mobility.parse_mobility` finds more.
    """
    if len(data) < 8:
        raise ParseError(Reason.TRUNCATED, len(data))
    if len(data) != (data[1] + 1) * 8:
        raise ParseError(Reason.HEADER_LENGTH, 1)
    found = 0
    body_end = 0
    covered = True
    for kind, begin, end in walk_options(data, options_start(data)):
        is_authentication = kind == Authentication.TYPE and end - begin > 5
        if is_authentication and data[begin] == AuthenticationSubtype.MN_HA and not found:
            found, body_end = begin, end
        elif found and not (is_authentication and data[begin] == AuthenticationSubtype.MN_AAA):
            covered = False
    if not found:
        return VerifyResult.MISSING
    if not covered:
        return VerifyResult.NOT_LAST
    spi_end = found - 2 + _OPTION_TO_AUTHENTICATOR
    key = key_for_spi(int.from_bytes(data[spi_end - 4 : spi_end], "big"))
    if key is None:
        return VerifyResult.UNKNOWN_SPI
    expected = _authenticator(key, care_of_address, home_address, data, spi_end)
    return VerifyResult.OK if hmac.compare_digest(expected, data[spi_end:body_end]) else VerifyResult.BAD_AUTHENTICATOR


def ntp_timestamp(unix_seconds: float) -> int:
    """UNIX seconds as a 64-bit NTP timestamp (RFC 4285 section 6, RFC 5905 section 6), of whatever era."""
    whole = int(unix_seconds // 1)
    fraction = int((unix_seconds - whole) * _ERA)
    return (whole + _UNIX_TO_NTP) % _ERA << 32 | fraction


def unix_seconds(ts: int) -> float:
    """UNIX seconds of a 64-bit NTP timestamp between 1968 and 2104; a clear highest bit means the era from 2036 (RFC 4330 section 3)."""
    seconds = ts >> 32
    if seconds < _ERA // 2:
        seconds += _ERA
    return seconds - _UNIX_TO_NTP + (ts & (_ERA - 1)) / _ERA


def _authenticator(key: bytes, care_of: bytes, home: bytes, data: bytes, spi_end: int) -> bytes:
    covered = require_address(care_of) + require_address(home) + data[:4] + b"\0\0" + data[6:spi_end]
    return hmac.digest(key, covered, "sha1")[:AUTHENTICATOR_LENGTH]
