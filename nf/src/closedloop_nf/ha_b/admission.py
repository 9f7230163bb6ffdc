"""The authoritative check of a registration against the binding cache. Pure: rows in, verdict out."""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec

from closedloop_nf.link.messages import Binding, Register

ACCEPTED: Final = 0
INSUFFICIENT_RESOURCES: Final = 130
NOT_HOME_SUBNET: Final = 132
NOT_HOME_AGENT: Final = 133
SEQUENCE_OUT_OF_WINDOW: Final = 135
ID_MISMATCH: Final = 144
"""MIPV6-ID-MISMATCH (RFC 4285 section 4): the timestamp is not later than the last accepted one."""

LIFETIME_UNIT_S: Final = 4


class Verdict(NamedTuple):
    """status and, where it changes the cache, the new row. A repeated request is accepted without a row."""

    status: int
    row: Binding | None
    lifetime_s: int
    sequence: int
    timestamp: int = 0


def is_live(row: Binding | None, wall: float) -> bool:
    """Whether the row is a binding (no tombstone) that has not expired."""
    return row is not None and row.lifetime_s > 0 and row.expires_at > wall


def is_later(sequence: int, last: int) -> bool:
    """RFC 6275 section 9.5.1: numbers from `last` back to `last` - 2^15, modulo 2^16, are not later than `last`."""
    return 0 < (sequence - last) & 0xFFFF < 0x8000


def granted_lifetime(requested_s: int, limit_s: int) -> int:
    """Whole units of 4 s, at most `limit_s`; 0 only where 0 was asked."""
    if requested_s == 0:
        return 0
    return max(LIFETIME_UNIT_S, min(requested_s, limit_s) // LIFETIME_UNIT_S * LIFETIME_UNIT_S)


def judge(known: Binding | None, request: Register, *, owner: str, epoch: int, wall: float, limit_s: int) -> Verdict:
    """Judge a registration by `owner` in its session `epoch`. known: the row or tombstone of the home address. wall: UNIX seconds.

    The row in the verdict has revision 0: its writer numbers it.
    """
    lifetime_s = granted_lifetime(request.lifetime_s, limit_s)
    live = is_live(known, wall)
    if known is not None and _repeats(known, request, lifetime_s, owner, live=live):
        return Verdict(ACCEPTED, None, known.lifetime_s, request.sequence)
    if known is not None and live and not is_later(request.sequence, known.sequence):
        return Verdict(SEQUENCE_OUT_OF_WINDOW, None, 0, known.sequence)
    if known is not None and request.timestamp and request.timestamp <= known.timestamp:
        return Verdict(ID_MISMATCH, None, 0, request.sequence, known.timestamp)
    if lifetime_s == 0:
        if known is None or not live:  # RFC 6275 section 10.3.2
            return Verdict(NOT_HOME_AGENT, None, 0, request.sequence)
        owner = known.owner  # it serves the address until it hears of the removal
    row = Binding(
        request.home_address,
        request.care_of_address,
        request.sequence,
        lifetime_s,
        wall + lifetime_s,
        request.flags,
        owner,
        epoch,
        request.timestamp or (known.timestamp if known is not None else 0),
    )
    return Verdict(ACCEPTED, row, lifetime_s, request.sequence)


def tombstone(row: Binding, revision: int, until: float) -> Binding:
    """The row as a removed one, kept until UNIX second `until`."""
    return msgspec.structs.replace(row, lifetime_s=0, expires_at=until, revision=revision)


def _repeats(known: Binding, request: Register, lifetime_s: int, owner: str, *, live: bool) -> bool:
    """Whether the request is the one that made the row: its acknowledgement was lost."""
    if lifetime_s and (not live or known.owner != owner):
        return False
    return (
        known.sequence == request.sequence
        and known.lifetime_s == lifetime_s
        and known.care_of_address == request.care_of_address
        and known.flags == request.flags
        and (known.timestamp == request.timestamp or request.timestamp == 0)
    )
