"""Validation of a Binding Update in the order of RFC 6275 sections 9.5.1 and 10.3, with RFC 4285 in front of the state checks.

`judge` is pure. It answers with one of
- Discard(reason): nothing is sent back,
- Reject(status, ...): a Binding Acknowledgement with that status,
- Accept(...): ask HA-B to make it durable (after duplicate address detection where `needs_dad`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from closedloop_nf.link.messages import Binding
from closedloop_nf.wire import authentication, mobility
from closedloop_nf.wire.mobility_options import AlternateCareOfAddress, Authentication, NonceIndices, ReplayProtection
from closedloop_nf.wire.status import BindingStatus

SEQUENCE_WINDOW = 1 << 15
LIFETIME_UNIT_S = 4


class Discard(NamedTuple):
    reason: str


class Reject(NamedTuple):
    status: int
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
    reply_to: bytes
    """Source address of the Binding Update, where the acknowledgement goes (RFC 6275 section 9.5.4)."""
    sequence: int
    lifetime_s: int
    flags: int
    acknowledge: bool
    spi: int | None
    timestamp: int
    needs_dad: bool


Verdict = Discard | Reject | Accept


class Policy(NamedTuple):
    """What the home agent allows. home_prefixes: (16 octets, length)."""

    home_prefixes: list[tuple[bytes, int]]
    max_lifetime_s: int
    authentication_required: bool
    timestamp_window_s: float
    serving: bool
    """False on a standby: home registrations are answered 129."""


def is_unicast_routable(address: bytes) -> bool:
    """Neither unspecified, loopback, multicast, link-local nor IPv4-mapped."""
    if address[0] == 0xFF or (address[0] == 0xFE and address[1] & 0xC0 == 0x80):
        return False
    return address[:10] != bytes(10)


def in_prefix(address: bytes, prefix: bytes, length: int) -> bool:
    """Whether the first `length` bits agree."""
    shift = 128 - length
    return int.from_bytes(address) >> shift == int.from_bytes(prefix) >> shift


def sequence_is_newer(received: int, last: int) -> bool:
    """RFC 6275 section 9.5.1: greater than the last one modulo 2**16, within half the space."""
    return 0 < (received - last) % (1 << 16) < SEQUENCE_WINDOW


def judge(
    update: mobility.BindingUpdate,
    data: bytes,
    source: bytes,
    home_address_option: bytes | None,
    *,
    policy: Policy,
    wall: float,
    binding_of: Callable[[bytes], Binding | None],
    key_of: Callable[[bytes, int], bytes | None],
) -> Verdict:
    """Judge one Binding Update.

    data: the Mobility Header message as received (what RFC 4285 authenticates). wall: UNIX seconds. binding_of: the present binding of a
    home address; key_of: the MN-HA key of (home address, SPI).
    """
    home_address = source if home_address_option is None else home_address_option
    if not is_unicast_routable(home_address):
        return Discard("home_address_not_unicast")
    care_of_address = source
    nonce_indices = False
    spi: int | None = None
    timestamp = 0
    for option in update.options:
        if isinstance(option, AlternateCareOfAddress):
            care_of_address = option.address
        elif isinstance(option, NonceIndices):
            nonce_indices = True
        elif isinstance(option, Authentication):
            spi = option.spi
        elif isinstance(option, ReplayProtection):
            timestamp = option.timestamp
    if not is_unicast_routable(source) or not is_unicast_routable(care_of_address):
        return Discard("care_of_address_not_unicast")

    if not update.home_registration:
        # A correspondent registration needs nonces that a home agent never hands out (section 9.4).
        if not nonce_indices:
            return Discard("correspondent_registration_without_nonces")
        return Reject(BindingStatus.EXPIRED_NONCES, update.sequence, home_address, care_of_address, source, None, 0)

    if policy.authentication_required:
        refusal = _authenticate(update, data, source, home_address, care_of_address, spi, timestamp, policy, wall, binding_of, key_of)
        if refusal is not None:
            return refusal
    else:
        spi, timestamp = None, 0

    def reject(status: int, sequence: int = update.sequence) -> Reject:
        return Reject(status, sequence, home_address, care_of_address, source, spi, timestamp)

    if not policy.serving:
        return reject(BindingStatus.ADMINISTRATIVELY_PROHIBITED)
    if not any(in_prefix(home_address, prefix, length) for prefix, length in policy.home_prefixes):
        return reject(BindingStatus.NOT_HOME_SUBNET)
    known = binding_of(home_address)
    if known is not None and not sequence_is_newer(update.sequence, known.sequence):
        return reject(BindingStatus.SEQUENCE_OUT_OF_WINDOW, known.sequence)
    lifetime_s = min(update.lifetime * LIFETIME_UNIT_S, policy.max_lifetime_s // LIFETIME_UNIT_S * LIFETIME_UNIT_S)
    if care_of_address == home_address:
        lifetime_s = 0
    if lifetime_s == 0 and known is None:
        return reject(BindingStatus.NOT_HOME_AGENT)
    flags = update.acknowledge << 15 | update.home_registration << 14 | update.link_local << 13
    return Accept(
        home_address,
        care_of_address,
        source,
        update.sequence,
        lifetime_s,
        flags,
        update.acknowledge,
        spi,
        timestamp,
        needs_dad=lifetime_s > 0 and known is None,
    )


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
    binding_of: Callable[[bytes], Binding | None],
    key_of: Callable[[bytes, int], bytes | None],
) -> Verdict | None:
    """RFC 4285 sections 5 and 6: None when the Binding Update is genuine and fresh."""
    result = authentication.verify(
        data, care_of_address=care_of_address, home_address=home_address, key_for_spi=lambda index: key_of(home_address, index)
    )
    if result is not authentication.VerifyResult.OK:
        return Reject(BindingStatus.AUTHENTICATION_FAILED, update.sequence, home_address, care_of_address, source, None, 0)
    if timestamp == 0:
        return Reject(BindingStatus.MESSAGE_ID_REQUIRED, update.sequence, home_address, care_of_address, source, spi, 0)
    known = binding_of(home_address)
    stale = known is not None and timestamp <= known.timestamp
    if stale or abs(authentication.unix_seconds(timestamp) - wall) > policy.timestamp_window_s:
        # Our own clock goes back, so that the mobile node can adjust (section 6); never a time that would be stale again.
        clock = authentication.ntp_timestamp(wall)
        clock = clock if known is None else max(clock, known.timestamp + 1)
        return Reject(BindingStatus.ID_MISMATCH, update.sequence, home_address, care_of_address, source, spi, clock)
    return None
