"""Durations and redundancy schemes as text."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from typing import Final, NamedTuple

from closedloop_loop.errors import CommandError

UNITS_S: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0, "y": 31_557_600.0}
"""A year is 365.25 days."""
MAX_UNITS: Final = 1000
SHORTEST_S: Final = 1e-6
LONGEST_S: Final = 1e12

_DURATION = re.compile(r"\s*([0-9]{1,18}(?:\.[0-9]{1,18})?(?:[eE][+-]?[0-9]{1,2})?)\s*([a-z]*)\s*")
_ACTIVE = re.compile(r"([0-9]{1,4})[Nn]")
_SPARE = re.compile(r"([0-9]{1,4})\+([0-9]{1,4})")


class Scheme(NamedTuple):
    """`needed` units must be up; there are `spare` more."""

    needed: int
    spare: int

    @property
    def units(self) -> int:
        """All of them."""
        return self.needed + self.spare

    def __str__(self) -> str:
        return f"{self.units}N" if self.needed == 1 else f"{self.needed}+{self.spare}"


def duration(text: str, field: str) -> float:
    """Seconds of `123d`, `9.3h`, `106.23s`, `250ms`; a number without a unit is seconds. Raises CommandError."""
    found = _DURATION.fullmatch(text)
    if found is None or (found[2] or "s") not in UNITS_S:
        raise CommandError(f"{field}: {text[:40]!r} is no duration; write a number and one of {', '.join(UNITS_S)}, for example 106.23s")
    seconds = float(found[1]) * UNITS_S[found[2] or "s"]
    if not SHORTEST_S <= seconds <= LONGEST_S:
        raise CommandError(f"{field}: a duration lies between {SHORTEST_S:g} and {LONGEST_S:g} s; for example 106.23s")
    return seconds


def scheme(text: str) -> Scheme:
    """`1N`, `2N`, `3N`, ... or `k+m`. Raises CommandError."""
    if found := _ACTIVE.fullmatch(text.strip()):
        wanted = Scheme(1, int(found[1]) - 1)
    elif found := _SPARE.fullmatch(text.strip()):
        wanted = Scheme(int(found[1]), int(found[2]))
    else:
        raise CommandError(f"scheme: {text[:40]!r} is none; write 1N, 2N, 3N or k+m with numbers, for example 4+1")
    if wanted.needed < 1 or wanted.spare < 0 or wanted.units > MAX_UNITS:
        raise CommandError(f"scheme: at least one unit and at most {MAX_UNITS} in all; for example 2N or 4+1")
    return wanted


def unavailability(text: str, field: str) -> float:
    """1 - A of an availability such as `0.99999` or `99.999%`, without the loss of digits of a float subtraction. Raises CommandError."""
    try:
        value = Decimal(text.strip().removesuffix("%"))
    except InvalidOperation:
        raise CommandError(f"{field}: {text[:40]!r} is no availability; write a number between 0 and 1, for example 0.99999") from None
    if text.strip().endswith("%"):
        value /= 100
    if not value.is_finite() or not 0 < value < 1:
        raise CommandError(f"{field}: an availability lies between 0 and 1, both excluded; for example 0.99999")
    return float(1 - value)


def words(seconds: float) -> str:
    """A duration for people: at most five significant digits in the unit that suits."""
    for unit, at_least in (("y", 2), ("d", 4), ("h", 1), ("min", 5), ("s", 1)):
        if seconds >= UNITS_S[unit] * at_least:
            return f"{seconds / UNITS_S[unit]:.5g} {unit}"
    return f"{seconds * 1000:.5g} ms"
