"""Time as the cores see it."""

from __future__ import annotations

import time
from typing import NamedTuple


class Instant(NamedTuple):
    """One reading of both clocks.

    mono: monotonic seconds; every timer and deadline uses it.
    wall: UNIX seconds; RFC 4285 timestamps and persisted expiry use it. It may step.
    """

    mono: float
    wall: float


def now() -> Instant:
    """Read both clocks of this machine."""
    return Instant(time.monotonic(), time.time())
