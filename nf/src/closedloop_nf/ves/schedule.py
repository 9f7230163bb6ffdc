"""When a function measures itself and says that it lives: the part that both cores share. Without I/O."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from closedloop_nf.runtime.clock import Instant
from closedloop_nf.ves.author import Author, Written
from closedloop_nf.ves.measurement import Reading, fields


class Emit(NamedTuple):
    """Events for the queue, in order."""

    events: tuple[Written, ...]


class Measure(NamedTuple):
    """Take a Reading and feed it."""


Action = Emit | Measure


class Begin(NamedTuple):
    """The function serves from here on."""


class End(NamedTuple):
    """The function stops."""


class Reporting(Protocol):
    """What the shell drives; one implementation per function. The inputs: Begin, End, Reading and the function's own."""

    def handle(self, event: object, now: Instant, /) -> list[Action]: ...

    def tick(self, now: Instant, /) -> list[Action]: ...

    def deadline(self) -> float | None: ...


class Schedule:
    """Heartbeats and measurements of one function."""

    def __init__(self, author: Author, measurement_s: float, heartbeat_s: int) -> None:
        self._author = author
        self._measurement_s, self._heartbeat_s = measurement_s, heartbeat_s
        self._measure_at: float | None = None
        self._beat_at: float | None = None
        self._before: Reading | None = None

    def deadline(self) -> float | None:
        return min((at for at in (self._measure_at, self._beat_at) if at is not None), default=None)

    def begin(self, now: Instant) -> list[Action]:
        """First heartbeat at once; the first reading is what the first interval is measured from."""
        self._measure_at = self._beat_at = now.mono
        return self.tick(now)

    def end(self) -> None:
        self._measure_at = self._beat_at = None

    def tick(self, now: Instant) -> list[Action]:
        actions: list[Action] = []
        if self._beat_at is not None and now.mono >= self._beat_at:
            actions.append(Emit(tuple(self._author.heartbeat(self._heartbeat_s, now))))
            self._beat_at = _next(self._beat_at, self._heartbeat_s, now.mono)
        if self._measure_at is not None and now.mono >= self._measure_at:
            actions.append(Measure())
            self._measure_at = _next(self._measure_at, self._measurement_s, now.mono)
        return actions

    def measured(self, reading: Reading) -> list[Action]:
        before, self._before = self._before, reading
        if before is None:
            return []
        found = fields(self._author.reporter, before, reading)
        events = tuple(self._author.measurement(one, before.at, reading.at) for one in found)
        return [Emit(events)] if events else []


def _next(planned: float, interval: float, now: float) -> float:
    """The next multiple of the interval after `planned` that is still to come: no burst after a pause."""
    return planned + interval * (int((now - planned) / interval) + 1)
