"""Which events follow from what HA-B finds out: alarms and states of HA-PPs, notifications, figures of its own. Without I/O."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from closedloop_nf.ha_b.actions import Notify
from closedloop_nf.runtime.clock import Instant
from closedloop_nf.ves.author import Author, Condition, Severity, Written
from closedloop_nf.ves.measurement import Reading
from closedloop_nf.ves.schedule import Action, Begin, Emit, End, Schedule

_CRASHED: Final = ("lease_ended", "process_gone")
"""Proofs that an HA-PP ended without anybody wanting it; the HA-B that was there may have missed its end."""

_ENDINGS: Final[Mapping[str, str]] = {"ready": "returned", "forgotten": "removed"}
"""Kinds that end every alarm of the HA-PP, and the reason given. So does a clean stop: `stopped`."""

_CONDITIONS: Final[tuple[Condition, ...]] = ("mobilitySocketClosed", "homeAgentLost")

_NOTIFIED: Final[Mapping[str, tuple[str, ...]]] = {
    "hello": ("epoch",),
    "superseded": ("epoch",),
    "stopped": ("proof", "bindings"),
    "adopted": ("previous_owner", "bindings", "duration_ms"),
    "relinquished": (),
    "draining": ("bindings",),
    "drained": (),
    "resumed": (),
    "switch": ("to", "bindings"),
    "forgotten": (),
}
"""Kinds of ha_b.actions.EVENT_KINDS that become notifications, and which of their details go along.

Not: `refused`, as anybody who reaches the port can cause it (it is counted in measurements); lost, ready and not_ready, which are faults
and state changes.
"""

_CHANGES: Final[Mapping[str, str]] = {
    "hello": "homeAgentConnected",
    "superseded": "sessionSuperseded",
    "stopped": "homeAgentStopped",
    "adopted": "bindingsAdopted",
    "relinquished": "bindingsRelinquished",
    "draining": "homeAgentDraining",
    "drained": "homeAgentDrained",
    "resumed": "homeAgentResumed",
    "switch": "mobileNodesSwitched",
    "forgotten": "homeAgentRemoved",
}

_KEYS: Final[Mapping[str, str]] = {"previous_owner": "previousOwner", "duration_ms": "durationMs"}


class Changed(NamedTuple):
    """A state change of the core, with what HA-B knows of that HA-PP at this moment; region is empty where it knows nothing."""

    notify: Notify
    region: str = ""
    role: str = ""
    serving: bool = False
    bindings: int = 0
    standbys_ready: int = 0
    """Other HA-PPs that could take over at once."""


class HomeAgentBackend:
    """The core of HA-B's reports."""

    def __init__(self, author: Author, measurement_s: float, heartbeat_s: int) -> None:
        self._author = author
        self._schedule = Schedule(author, measurement_s, heartbeat_s)

    def deadline(self) -> float | None:
        return self._schedule.deadline()

    def tick(self, now: Instant) -> list[Action]:
        return self._schedule.tick(now)

    def handle(self, event: object, now: Instant) -> list[Action]:
        """event: Changed, Reading, Begin or End."""
        author = self._author
        match event:
            case Changed():
                return _emit(self._changed(event, Instant(now.mono, event.notify.wall)))
            case Reading():
                return self._schedule.measured(event)
            case Begin():
                return _emit(author.enter_state(author.reporter, "inService", now, {})) + self._schedule.begin(now)
            case End():
                self._schedule.end()
                return _emit(author.enter_state(author.reporter, "outOfService", now, {}))
            case _:
                raise TypeError(f"input of type {type(event).__name__}")

    def _changed(self, changed: Changed, now: Instant) -> list[Written]:
        author, kind, name = self._author, changed.notify.kind, changed.notify.name
        details = changed.notify.details
        events: list[Written] = []
        about: dict[str, object] = {"region": changed.region, "role": changed.role} if changed.region else {}
        reason = str(details.get("reason", details.get("proof", "")))
        if (kind == "lost" and reason != "fenced") or (kind == "stopped" and reason in _CRASHED):
            severity: Severity = "CRITICAL" if changed.serving else "MAJOR"
            more = {"reason": reason, "bindings": changed.bindings, "standbysReady": changed.standbys_ready}
            events += author.raise_alarm(name, "homeAgentLost", severity, now, {**about, **more})
        if kind == "not_ready":
            more = {"bindings": changed.bindings, "standbysReady": changed.standbys_ready}
            events += author.raise_alarm(name, "mobilitySocketClosed", "CRITICAL", now, {**about, **more})
        ending = "stopped" if kind == "stopped" and reason == "bye" else _ENDINGS.get(kind)
        if ending is not None:
            for condition in _CONDITIONS:
                events += author.clear_alarm(name, condition, now, {**about, "reason": ending})
        if kind in ("ready", "resumed"):
            events += author.enter_state(name, "inService", now, about)
        elif kind in ("lost", "not_ready", "stopped"):
            events += author.enter_state(name, "outOfService", now, about)
        elif kind == "draining":
            events += author.enter_state(name, "maintenance", now, about)
        if kind == "forgotten":
            author.forget(name)
        if kind in _NOTIFIED:
            chosen = {_KEYS.get(key, key): details[key] for key in _NOTIFIED[kind] if key in details}
            events += author.notification(name, _CHANGES[kind], now, {**about, **chosen})
        return events


def _emit(events: list[Written]) -> list[Action]:
    return [Emit(tuple(events))] if events else []
