"""The model: units that fail and are repaired independently of each other, with a steady-state unavailability of their own.

u = MTTR / (MTBF + MTTR)                                of one unit; MTBF is the mean time from a repair to the next failure
U = sum over i > m of C(k+m, i) u^i (1-u)^(k+m-i)       of k needed units with m spare: more than m are down
U = u^n                                                 of nN, which is 1 + (n-1)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import msgspec

from closedloop_loop.availability.quantities import MAX_UNITS, Scheme
from closedloop_loop.errors import CommandError

LEAST: Final = 1e-300
"""An unavailability is never smaller: it would be 0 to a float, and nothing could be derived from it."""
TIGHT: Final = 1e-15
"""Relative width at which the bisection is done: about the precision of a float."""


class Solution(msgspec.Struct, frozen=True):
    """All four; `solved` is the one that was not given."""

    mtbf_s: float
    mttr_s: float
    unavailability: float
    scheme: Scheme
    solved: str
    """`mtbf_s`, `mttr_s`, `availability` or `scheme`."""

    @property
    def availability(self) -> float:
        """1 - unavailability."""
        return 1 - self.unavailability


def system(u: float, scheme: Scheme) -> float:
    """Unavailability of a scheme whose units have unavailability u, 0 < u < 1. Terms of one sign only: small results keep their digits."""
    n = scheme.units
    logs = (
        math.lgamma(n + 1) - math.lgamma(i + 1) - math.lgamma(n - i + 1) + i * math.log(u) + (n - i) * math.log1p(-u)
        for i in range(scheme.spare + 1, n + 1)
    )
    found = math.fsum(math.exp(log) for log in logs) if scheme.needed > 1 else u**n
    return min(1.0, max(LEAST, found))


def unit(target: float, scheme: Scheme) -> float:
    """The highest unavailability of a unit with which the scheme has at most `target`: the inverse of `system`, which grows with u."""
    if scheme.needed == 1:
        return float(target ** (1 / scheme.units))
    low, high = math.log(LEAST), 0.0
    while high - low > TIGHT * abs(low):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        if system(math.exp(middle), scheme) > target:
            high = middle
        else:
            low = middle
    return math.exp(low)


def mtbf(mttr_s: float, target: float, scheme: Scheme) -> float:
    """The MTBF that a unit needs."""
    u = unit(target, scheme)
    return mttr_s * (1 - u) / u


def mttr(mtbf_s: float, target: float, scheme: Scheme) -> float:
    """The MTTR that a unit may have."""
    u = unit(target, scheme)
    return mtbf_s * u / (1 - u)


def least(mtbf_s: float, mttr_s: float, target: float) -> Scheme:
    """The smallest nN that reaches the target. Raises CommandError where none of at most MAX_UNITS units does."""
    u = mttr_s / (mtbf_s + mttr_s)
    for units in range(1, MAX_UNITS + 1):
        if u**units <= target:
            return Scheme(1, units - 1)
    raise CommandError(f"scheme: not even {MAX_UNITS} units reach the target; repair faster (mttr) or aim lower (target)")


def solve(mtbf_s: float | None, mttr_s: float | None, target: float | None, scheme: Scheme | None) -> Solution:
    """Solve for the one that is None. target: an unavailability. Raises CommandError when not exactly one is None."""
    match mtbf_s, mttr_s, target, scheme:
        case None, float(), float(), Scheme():
            return Solution(mtbf(mttr_s, target, scheme), mttr_s, target, scheme, "mtbf_s")
        case float(), None, float(), Scheme():
            return Solution(mtbf_s, mttr(mtbf_s, target, scheme), target, scheme, "mttr_s")
        case float(), float(), None, Scheme():
            return Solution(mtbf_s, mttr_s, system(mttr_s / (mtbf_s + mttr_s), scheme), scheme, "availability")
        case float(), float(), float(), None:
            return Solution(mtbf_s, mttr_s, target, least(mtbf_s, mttr_s, target), "scheme")
    raise CommandError("give three of --mtbf, --mttr, --target and --scheme; the fourth is solved for")


class Need(msgspec.Struct, frozen=True):
    """What a scheme needs for a target."""

    scheme: str
    mtbf_s: float
    """With the MTTR given."""
    mttr_s: float
    """With the MTBF given."""
    availability: float
    """With both."""
    unavailability: float
    meets: bool


def compare(mtbf_s: float, mttr_s: float, target: float, schemes: Sequence[Scheme]) -> list[Need]:
    """The schemes side by side."""
    u = mttr_s / (mtbf_s + mttr_s)
    needs = []
    for scheme in schemes:
        reached = system(u, scheme)
        meets = reached <= target * (1 + 1e-12)
        needs.append(Need(str(scheme), mtbf(mttr_s, target, scheme), mttr(mtbf_s, target, scheme), 1 - reached, reached, meets))
    return needs
