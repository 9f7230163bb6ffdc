"""Which events follow from what an HA-PP sees of itself: its raw socket, whether it serves, its role, its figures. Without I/O."""

from __future__ import annotations

from typing import NamedTuple

from closedloop_nf.runtime.clock import Instant
from closedloop_nf.ves.author import Author, Written
from closedloop_nf.ves.measurement import Reading
from closedloop_nf.ves.schedule import Action, Begin, Emit, End, Schedule


class Observed(NamedTuple):
    """The HA-PP at one moment. ready: it can do what its role asks."""

    ready: bool
    socket_open: bool
    role: str
    epoch: int
    bindings: int


class PacketProcessor:
    """The core of an HA-PP's reports."""

    def __init__(self, author: Author, region: str, measurement_s: float, heartbeat_s: int) -> None:
        self._author = author
        self._region = region
        self._schedule = Schedule(author, measurement_s, heartbeat_s)
        self._role: str | None = None

    def deadline(self) -> float | None:
        return self._schedule.deadline()

    def tick(self, now: Instant) -> list[Action]:
        return self._schedule.tick(now)

    def handle(self, event: object, now: Instant) -> list[Action]:
        """event: Observed, Reading, Begin or End."""
        author = self._author
        match event:
            case Observed():
                return _emit(self._observed(event, now))
            case Reading():
                return self._schedule.measured(event)
            case Begin():
                return self._schedule.begin(now)
            case End():
                self._schedule.end()
                return _emit(author.enter_state(author.reporter, "outOfService", now, {"region": self._region}))
            case _:
                raise TypeError(f"input of type {type(event).__name__}")

    def _observed(self, seen: Observed, now: Instant) -> list[Written]:
        author, name = self._author, self._author.reporter
        about: dict[str, object] = {"region": self._region, "role": seen.role, "epoch": seen.epoch, "bindings": seen.bindings}
        if seen.socket_open:
            events = author.clear_alarm(name, "mobilitySocketClosed", now, {**about, "reason": "returned"})
        else:
            events = author.raise_alarm(name, "mobilitySocketClosed", "CRITICAL", now, about)
        if self._role is not None and seen.role != self._role:
            events += author.notification(name, "roleChanged", now, {**about, "previousRole": self._role})
        self._role = seen.role
        events += author.enter_state(name, "inService" if seen.ready else "outOfService", now, about)
        return events


def _emit(events: list[Written]) -> list[Action]:
    return [Emit(tuple(events))] if events else []
