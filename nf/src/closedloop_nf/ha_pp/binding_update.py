"""Validation of a Binding Update in the order of RFC 6275 sections 9.5.1 and 10.3, with RFC 4285 in front of the state checks.

`judge` is pure. It answers with one of
- Discard(reason): nothing is sent back,
- Reject(status, ...): a Binding Acknowledgement with that status,
- Accept(...): ask HA-B to make it durable (after duplicate address detection where `needs_dad`).
"""

from __future__ import annotations

from typing import NamedTuple

from closedloop_nf.ha_pp.known import Known
from closedloop_nf.wire import authentication, mobility
from closedloop_nf.wire.authentication import VerifyResult
from closedloop_nf.wire.ipv6 import is_unicast_routable
from closedloop_nf.wire.mobility import FLAG_LINK_LOCAL
from closedloop_nf.wire.mobility_options import (
    AlternateCareOfAddress,
    Authentication,
    BindingAuthorizationData,
    NonceIndices,
    ReplayProtection,
)
from closedloop_nf.wire.status import AuthenticationSubtype, BindingStatus

SEQUENCE_WINDOW = 1 << 15
LIFETIME_UNIT_S = 4

_LOW_32 = 0xFFFF_FFFF
_LINK_LOCAL_PREFIX = b"\xfe\x80" + bytes(6)
_AUTHENTICATION_REASON = {
    VerifyResult.MISSING: "authentication_missing",
    VerifyResult.UNKNOWN_SPI: "spi_unknown",
    VerifyResult.BAD_AUTHENTICATOR: "authenticator_wrong",
    VerifyResult.NOT_LAST: "authentication_not_last",
}


class Discard(NamedTuple):
    reason: str


class Reject(NamedTuple):
    status: int
    reason: str
    """Short token of a closed set, a metrics label; finer than the status."""
    sequence: int
    home_address: bytes
    care_of_address: bytes
    reply_to: bytes
    spi: int | None
    """SPI to sign the answer with; None: the sender is not authenticated."""
    timestamp: int
    """Replay protection timestamp to put into the answer; 0: none."""


class Accept(NamedTuple):
    home_address: bytes
    care_of_address: bytes
    source: bytes
    """Source address of the Binding Update; refusals and answers to a deregistration go there (RFC 6275 section 9.5.4)."""
    sequence: int
    lifetime_s: int
    flags: int
    spi: int | None
    timestamp: int
    needs_dad: tuple[bytes, ...]
    """Addresses that nobody on the home link may use: the home address of a new binding, with the L bit its link-local sibling too."""


Verdict = Discard | Reject | Accept


class Policy(NamedTuple):
    """What the home agent allows. home_prefixes: (16 octets, length)."""

    home_prefixes: list[tuple[bytes, int]]
    reserved: frozenset[bytes]
    """Addresses of home agents themselves and anycast addresses: neither a home nor a care-of address."""
    max_lifetime_s: int
    authentication_required: bool
    timestamp_window_s: float
    serving: bool
    """False on a standby: home registrations are answered 129."""


def in_prefix(address: bytes, prefix: bytes, length: int) -> bool:
    """Whether the first `length` bits agree."""
    shift = 128 - length
    return int.from_bytes(address) >> shift == int.from_bytes(prefix) >> shift


def link_local(home_address: bytes) -> bytes:
    """The link-local address with the home address's interface identifier (RFC 6275 section 10.3.1, L bit)."""
    return _LINK_LOCAL_PREFIX + home_address[8:]


def sequence_is_newer(received: int, last: int) -> bool:
    """RFC 6275 section 9.5.1: greater than the last one modulo 2**16, within half the space."""
    return 0 < (received - last) % (1 << 16) < SEQUENCE_WINDOW


def mismatch_timestamp(received: int, newest: int, wall: float) -> int:
    """Timestamp of an acknowledgement with status 144 (RFC 4285 section 6): our seconds, the sender's fraction of a second.

    Never one that would be refused again as not newer than `newest`, the last one accepted (0: none).
    """
    seconds = max(authentication.ntp_timestamp(wall) >> 32, newest >> 32)
    timestamp = seconds << 32 | received & _LOW_32
    return timestamp if timestamp > newest else timestamp + (1 << 32)


def judge(
    update: mobility.BindingUpdate,
    data: bytes,
    source: bytes,
    home_address_option: bytes | None,
    *,
    policy: Policy,
    wall: float,
    known: Known,
) -> Verdict:
    """Judge one Binding Update.

    data: the Mobility Header message as received (what RFC 4285 authenticates). wall: UNIX seconds.
    """
    home_address = source if home_address_option is None else home_address_option
    if not is_unicast_routable(home_address):
        return Discard("home_address_not_unicast")
    care_of_address = source
    nonce_indices = authorization_data = False
    spi: int | None = None
    timestamp = 0
    for option in update.options:
        if isinstance(option, AlternateCareOfAddress):
            care_of_address = option.address
        elif isinstance(option, NonceIndices):
            nonce_indices = True
        elif isinstance(option, BindingAuthorizationData):
            authorization_data = True
        elif isinstance(option, Authentication):
            if option.subtype == AuthenticationSubtype.MN_HA:
                spi = option.spi
        elif isinstance(option, ReplayProtection):
            timestamp = option.timestamp
    if not is_unicast_routable(source) or not is_unicast_routable(care_of_address):
        return Discard("care_of_address_not_unicast")
    binding = known.bindings.get(home_address)

    if not update.home_registration:
        # A correspondent registration needs nonces that a home agent never hands out (section 9.4): their indices are always expired.
        if not nonce_indices or not authorization_data:
            return Discard("correspondent_registration_without_nonces")
        status, reason = BindingStatus.EXPIRED_NONCES, "nonces_expired"
        if binding is not None:
            status, reason = BindingStatus.REGISTRATION_TYPE_CHANGE, "registration_type_change"
        return Reject(status, reason, update.sequence, home_address, care_of_address, source, None, 0)
    if nonce_indices:
        return Discard("home_registration_with_nonces")

    if policy.authentication_required:
        refusal = _authenticate(update, data, source, home_address, care_of_address, spi, timestamp, policy, wall, known)
        if refusal is not None:
            return refusal
    else:
        spi, timestamp = None, 0

    def reject(status: BindingStatus, reason: str, sequence: int = update.sequence) -> Reject:
        return Reject(status, reason, sequence, home_address, care_of_address, source, spi, timestamp)

    if not policy.serving:
        return reject(BindingStatus.ADMINISTRATIVELY_PROHIBITED, "standby")
    if binding is not None and not sequence_is_newer(update.sequence, binding.sequence):
        return reject(BindingStatus.SEQUENCE_OUT_OF_WINDOW, "sequence", binding.sequence)
    if not _at_home(home_address, policy):
        return reject(BindingStatus.NOT_HOME_SUBNET, "not_home_subnet")
    if home_address in policy.reserved:
        return reject(BindingStatus.ADMINISTRATIVELY_PROHIBITED, "home_address_reserved")
    lifetime_s = min(update.lifetime * LIFETIME_UNIT_S, policy.max_lifetime_s // LIFETIME_UNIT_S * LIFETIME_UNIT_S)
    if care_of_address == home_address:
        lifetime_s = 0
    if lifetime_s == 0 and binding is None:
        return reject(BindingStatus.NOT_HOME_AGENT, "no_binding")
    if lifetime_s and (care_of_address in policy.reserved or _at_home(care_of_address, policy)):
        # A tunnel that ends where tunnels begin would carry its own packets for ever.
        return reject(BindingStatus.INVALID_CARE_OF_ADDRESS, "care_of_address_at_home")
    needs_dad: tuple[bytes, ...] = ()
    if lifetime_s:
        if binding is None:
            needs_dad = (home_address,)
        if update.link_local and (binding is None or not binding.flags & FLAG_LINK_LOCAL):
            needs_dad += (link_local(home_address),)
    return Accept(home_address, care_of_address, source, update.sequence, lifetime_s, update.flags, spi, timestamp, needs_dad)


def _at_home(address: bytes, policy: Policy) -> bool:
    return any(in_prefix(address, prefix, length) for prefix, length in policy.home_prefixes)


def _authenticate(
    update: mobility.BindingUpdate,
    data: bytes,
    source: bytes,
    home_address: bytes,
    care_of_address: bytes,
    spi: int | None,
    timestamp: int,
    policy: Policy,
    wall: float,
    known: Known,
) -> Reject | None:
    """RFC 4285 sections 5 and 6: None when the Binding Update is genuine and fresh."""

    def reject(status: BindingStatus, reason: str, signed_by: int | None, clock: int = 0) -> Reject:
        return Reject(status, reason, update.sequence, home_address, care_of_address, source, signed_by, clock)

    result = authentication.verify(
        data, care_of_address=care_of_address, home_address=home_address, key_for_spi=lambda index: known.key(home_address, index)
    )
    if result is not VerifyResult.OK:
        return reject(BindingStatus.AUTHENTICATION_FAILED, _AUTHENTICATION_REASON[result], None)
    if timestamp == 0:
        return reject(BindingStatus.MESSAGE_ID_REQUIRED, "timestamp_missing", spi)
    newest = known.newest_timestamp(home_address)
    if timestamp <= newest:
        return reject(BindingStatus.ID_MISMATCH, "timestamp_not_newer", spi, mismatch_timestamp(timestamp, newest, wall))
    if abs(authentication.unix_seconds(timestamp) - wall) > policy.timestamp_window_s:
        return reject(BindingStatus.ID_MISMATCH, "timestamp_out_of_window", spi, mismatch_timestamp(timestamp, newest, wall))
    return None
