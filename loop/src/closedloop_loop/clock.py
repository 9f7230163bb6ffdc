"""Time as the loop's cores see it: handed in, never read."""

from __future__ import annotations

import time
from typing import Final, NamedTuple

MICROSECONDS: Final = 1_000_000


class Instant(NamedTuple):
    """One reading of both clocks.

    mono: monotonic seconds; windows and timers use it.
    wall: UNIX seconds; alarm times, the operations journal and blackout windows use it. It may step.
    """

    mono: float
    wall: float

    @property
    def wall_us(self) -> int:
        """The wall clock in whole UNIX microseconds, the unit of VES and of the control loop message."""
        return round(self.wall * MICROSECONDS)


def now() -> Instant:
    """Read both clocks of this machine."""
    return Instant(time.monotonic(), time.time())
