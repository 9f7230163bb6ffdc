"""Time as the cores see it."""

from __future__ import annotations

import time
import uuid
from pathlib import Path
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


class SteadyClock:
    """Wall time that no step of the machine's clock reaches: what is to last ten minutes lasts ten minutes, over restarts too.

    boot, began_us: where an earlier clock was kept, its own; it is gone on with if the machine has not started again since.
    """

    def __init__(self, boot: int = 0, began_us: int = 0) -> None:
        self.boot = _boot()
        """Which start of the machine this is."""
        self.began_us = began_us if boot == self.boot else round((time.time() - _uptime()) * 1_000_000)
        """Wall time of that start, UNIX microseconds."""

    def now(self) -> Instant:
        return Instant(time.monotonic(), self.began_us / 1_000_000 + _uptime())


def _uptime() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _boot() -> int:
    """63 bits of the kernel's boot id."""
    return uuid.UUID(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()).int >> 65
