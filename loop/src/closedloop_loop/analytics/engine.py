"""Analytics: all control loops of a policy over one stream of records.

A core without I/O: `handle(record, now)`, `tick(now)`, `deadline()`. `dump(now)` is everything it knows; `restore` goes on from there in
another process, after a reboot too. Whoever drives it dumps from time to time and, after a crash, restores and hands in again every record
since the dump: the same records give the same onsets with the same request ids, which the operations journal knows.

That is not so where time has a part in it: while nobody watched, a heartbeat may have come that puts an end to a silence which nobody
remembers. Such messages are `fleeting`: a dump that has them is to be durable before they are told.

Inside, time is a scale of its own that begins at 0 and goes on over restarts: seconds of `now.mono`, plus the time between a dump and its
restoration by the wall clock.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterable, Sequence
from typing import Any, Final, TypeAlias

import msgspec

from closedloop_loop.analytics.detector import Detector, Subject, abated
from closedloop_loop.analytics.episode import Phase
from closedloop_loop.analytics.fault import FaultDetector
from closedloop_loop.analytics.group import ImbalanceDetector, MeanDetector
from closedloop_loop.analytics.heartbeat import HeartbeatDetector
from closedloop_loop.analytics.threshold import ThresholdDetector
from closedloop_loop.clock import Instant
from closedloop_loop.onset import Onset
from closedloop_loop.policy import model
from closedloop_loop.records import AnyRecord, Connected, FaultCleared, FaultRaised, Heartbeat, Measurement, OutOfService, Removed

DUMP_VERSION: Final = 1
SAME_MOMENT_S: Final = 1e-5
"""A timer that rings this much early has rung; the sum of two floats is not exact."""
LATE_S: Final = 10.0
"""How late an event may come that its source sent before it was removed: twice as long as a function waits for an answer. A source that
comes under the same name is heard from then on, or from when HA-B tells that it is there; what others tell of it counts at any time."""
MAX_REMEMBERED_SOURCES: Final = 20_000

AnyDetector: TypeAlias = Detector[Any, Any]


class StateError(Exception):
    """A dump that cannot be used; the text says why."""


class _LoopDump(msgspec.Struct):
    essence: list[Any]
    open: list[Onset]
    subjects: msgspec.Raw


class _Dump(msgspec.Struct):
    version: int
    t: float
    wall: float
    loops: dict[str, _LoopDump]
    buried: dict[str, float] = {}
    due: list[Onset] = []


class Analytics:
    """State machines of every loop of a policy."""

    def __init__(self, policy: model.Policy, now: Instant, _begin: float = 0.0) -> None:
        self._offset = _begin - now.mono
        self._detectors = {loop.name: detector(loop) for loop in policy.loops}
        self._by_kind: dict[type, list[tuple[str, AnyDetector]]] = {
            kind: [(name, found) for name, found in self._detectors.items() if uses(found.condition, kind)]
            for kind in (FaultRaised, FaultCleared, Measurement, Heartbeat, OutOfService)
        }
        self._scopes = {loop.name: _pattern(loop.scope.sources) for loop in policy.loops}
        self._in_scope: dict[tuple[str, str], bool] = {}
        self._timers: list[tuple[float, str, str]] = []
        """Heap of (t, loop, key); an entry may be early, as a deadline that moves away leaves its entry where it is."""
        self._armed: dict[tuple[str, str], float] = {}
        self._buried: dict[str, float] = {}
        """Sources that were removed, and until when something that they had sent may still come."""
        self.fleeting = False
        """Whether a message was given that the same records may not lead to again; whoever has made it durable says so here."""

    @property
    def refused(self) -> int:
        """Records not looked at because a loop had as many targets as it may have."""
        return sum(detector.refused for detector in self._detectors.values())

    def handle(self, record: AnyRecord, now: Instant) -> list[Onset]:
        """Take in one record; what is due by now is told first."""
        told = self.tick(now)
        t = now.mono + self._offset
        if isinstance(record, Removed):
            self._bury(record.source, t)
            return told + self.forget(record.source, now)
        if isinstance(record, Connected):
            self._buried.pop(record.source, None)
            return told
        if record.own and t < self._buried.get(record.source, t):
            return told
        for name, detector in self._by_kind[type(record)]:
            if (key := detector.key(record)) is not None and self._scoped(name, record.source):
                messages = detector.handle(key, record, t, now)
                self.fleeting |= bool(messages) and not _timeless(detector.condition)
                told += messages
                self._arm(name, key, detector)
        return told

    def tick(self, now: Instant) -> list[Onset]:
        """Tell what time alone has brought about."""
        told: list[Onset] = []
        t = now.mono + self._offset
        while self._timers and self._timers[0][0] <= t + SAME_MOMENT_S:
            when, name, key = heapq.heappop(self._timers)
            if self._armed.get((name, key)) != when:
                continue
            del self._armed[name, key]
            detector = self._detectors[name]
            due = detector.deadline(key)
            if due is not None and due <= t + SAME_MOMENT_S:
                told += detector.tick(key, max(t, due), now)
            self._arm(name, key, detector)
        self.fleeting |= bool(told)
        return told

    def deadline(self) -> float | None:
        """`now.mono` at which `tick` is wanted; it may find nothing to do."""
        while self._timers and self._armed.get(self._timers[0][1:]) != self._timers[0][0]:
            heapq.heappop(self._timers)
        return self._timers[0][0] - self._offset if self._timers else None

    def forget(self, source: str, now: Instant) -> list[Onset]:
        """A source has been removed on purpose: it is watched no longer, and its open onsets are abated."""
        return [message for detector in self._detectors.values() for message in detector.forget(source, now)]

    def modules(self) -> list[str]:
        """VF modules that onsets are about, told and not abated."""
        return sorted({onset.target for onset in self.open() if onset.target_type == "VF_MODULE"})

    def dismiss(self, source: str, now: Instant) -> list[Onset]:
        """There is no such source, so what was told of it is abated; what told that it was removed may have been lost."""
        told = self.forget(source, now)
        self.fleeting |= bool(told)
        return told

    def open(self) -> list[Onset]:
        """Onsets told and not abated."""
        return [onset for detector in self._detectors.values() for onset in _open(detector.subjects.values())]

    def dump(self, now: Instant, due: Sequence[Onset] = ()) -> bytes:
        """Everything it knows, as JSON. due: messages that are about to be told; `restore` gives them again."""
        loops = {
            name: _LoopDump(essence(found.condition), _open(found.subjects.values()), msgspec.Raw(msgspec.json.encode(found.subjects)))
            for name, found in self._detectors.items()
        }
        return msgspec.json.encode(_Dump(DUMP_VERSION, now.mono + self._offset, now.wall, loops, self._buried, list(due)))

    def resume(self, now: Instant) -> None:
        """Nobody could be heard until now: the silence of a source says nothing about it."""
        t = now.mono + self._offset
        for name, detector in self._detectors.items():
            for key, subject in detector.subjects.items():
                detector.resume(subject, t)
                if subject.episode.phase is Phase.HELD:
                    subject.episode.since = t
                self._arm(name, key, detector)

    def _bury(self, source: str, t: float) -> None:
        self._buried = {name: until for name, until in self._buried.items() if t < until}
        self._buried[source] = t + LATE_S

    def _scoped(self, name: str, source: str) -> bool:
        known = self._in_scope.get((name, source))
        if known is None:
            if len(self._in_scope) >= MAX_REMEMBERED_SOURCES:
                self._in_scope.clear()
            known = self._in_scope[name, source] = self._scopes[name].fullmatch(source) is not None
        return known

    def _arm(self, name: str, key: str, detector: AnyDetector) -> None:
        due, armed = detector.deadline(key), self._armed.get((name, key))
        if due is not None and (armed is None or due < armed):
            self._armed[name, key] = due
            heapq.heappush(self._timers, (due, name, key))


def restore(policy: model.Policy, data: bytes, now: Instant, *, deaf: bool = True) -> tuple[Analytics, list[Onset]]:
    """Go on from a dump. Raises StateError.

    A loop that the policy no longer has, or whose condition now regards other figures or alarms, does not go on; its open onsets are abated
    by the messages returned, after those that were due. deaf: the time since the dump counts as time in which nothing could be heard.
    """
    try:
        dump = msgspec.json.decode(data, type=_Dump)
        if dump.version != DUMP_VERSION:
            raise StateError(f"state of analytics has version {dump.version}, this release knows {DUMP_VERSION}; start without it")
        analytics = Analytics(policy, now, dump.t + max(0.0, now.wall - dump.wall))
        analytics._buried = dump.buried
        told = dump.due
        for name, saved in dump.loops.items():
            detector = analytics._detectors.get(name)
            if detector is None or essence(detector.condition) != saved.essence:
                told += [abated(onset, now.wall_us) for onset in saved.open]
                continue
            detector.subjects = msgspec.json.decode(saved.subjects, type=dict[str, detector.subject])  # type: ignore[name-defined] # known at run time
            for key in detector.subjects:
                analytics._arm(name, key, detector)
        if deaf:
            analytics.resume(now)
    except msgspec.MsgspecError as error:
        raise StateError(f"state of analytics cannot be read ({error}); start without it") from None
    return analytics, told


def detector(loop: model.Loop) -> AnyDetector:
    """The state machines of one loop."""
    match loop.condition:
        case model.Fault() as condition:
            return FaultDetector(loop, condition)
        case model.HeartbeatLost() as condition:
            return HeartbeatDetector(loop, condition)
        case model.Threshold() as condition if condition.across == "all":
            return MeanDetector(loop, condition)
        case model.Threshold() as condition:
            return ThresholdDetector(loop, condition)
        case model.Imbalance() as condition:
            return ImbalanceDetector(loop, condition)


def uses(condition: model.Condition, kind: type) -> bool:
    """Whether records of a kind matter to a condition."""
    match condition:
        case model.Fault():
            return kind in (FaultRaised, FaultCleared)
        case model.HeartbeatLost():
            return kind in (Heartbeat, OutOfService)
        case _:
            return kind is Measurement


def essence(condition: model.Condition) -> list[Any]:
    """What a condition's state is about. When only levels and times of a policy change, the state stays good."""
    match condition:
        case model.Fault():
            return ["fault", condition.severity, *sorted(condition.alarms)]
        case model.HeartbeatLost():
            return ["heartbeat_lost"]
        case model.Threshold():
            return ["threshold", condition.figure, condition.across, "above" if condition.above is not None else "below"]
        case model.Imbalance():
            return ["imbalance", condition.figure]


def _timeless(condition: model.Condition) -> bool:
    """Whether the same records lead to the same messages, whenever they come."""
    return isinstance(condition, model.Fault) and not condition.hold_s and not condition.quiet_s


def _open(subjects: Iterable[Subject]) -> list[Onset]:
    return [subject.episode.onset for subject in subjects if subject.episode.onset is not None]


def _pattern(globs: list[str]) -> re.Pattern[str]:
    """One expression for a list of patterns with `*` and `?`; several stars in a row are one, so that matching stays quick."""
    parts = (re.escape(re.sub(r"\*+", "*", glob)).replace(r"\*", ".*").replace(r"\?", ".") for glob in globs)
    return re.compile("|".join(parts), re.S)
