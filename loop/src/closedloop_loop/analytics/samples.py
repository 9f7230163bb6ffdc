"""The samples of one figure of one source in a sliding window."""

from __future__ import annotations

from typing import Final

import msgspec

from closedloop_loop.records import Measurement

MAX_SAMPLES: Final = 1024
REORDERED_US: Final = 60_000_000
"""A measurement older than the newest by less than a minute is late or came twice; one older by more is of a clock that was set back."""


class Samples(msgspec.Struct, kw_only=True):
    """Samples by time of arrival."""

    points: list[tuple[float, float]] = []
    """(t, value), the oldest first, at most MAX_SAMPLES."""
    average: float = 0.0
    arrived: float = 0.0
    newest_us: int = 0
    attributes: dict[str, str] = {}

    def add(self, record: Measurement, value: float, t: float, window_s: float) -> bool:
        """Take a sample in and let go of those that left the window. False: it is not newer than what is known."""
        if 0 <= self.newest_us - record.time_us < REORDERED_US and self.points:
            return False
        self.newest_us, self.arrived = record.time_us, t
        self.attributes = record.attributes or self.attributes
        first = next((index for index, (time, _) in enumerate(self.points) if time > t - window_s), len(self.points))
        self.points = [*self.points[first:], (t, value)][-MAX_SAMPLES:]
        self.average = sum(value for _, value in self.points) / len(self.points)
        return True

    def mean(self, at_least: int, since: float) -> float | None:
        """Of the window that ended with the last sample; None where there are fewer than `at_least` in it, or all came before `since`."""
        return self.average if len(self.points) >= max(1, at_least) and self.points[-1][0] > since else None
