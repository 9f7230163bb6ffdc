"""What the detectors of all conditions share: a bounded set of keys, each with its state and its episode, and the messages they lead to."""

from __future__ import annotations

from itertools import islice
from typing import Final, Generic, TypeVar

import msgspec

from closedloop_loop.analytics.episode import Episode, Phase, Told
from closedloop_loop.clock import Instant
from closedloop_loop.onset import Onset, aai, request_id
from closedloop_loop.policy.model import Condition, Loop
from closedloop_loop.records import AnyRecord

MAX_KEYS: Final = 10_000
"""Targets of one loop. When it is full, one that has been calm for long gives way; where none has, the new one is refused and counted."""
EVICTION_LOOKS: Final = 16


class Subject(msgspec.Struct, kw_only=True):
    """State of one key of a loop; detectors add to it."""

    episode: Episode = msgspec.field(default_factory=Episode)


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """What an onset tells of its subject."""

    target: str
    reason: str
    attributes: dict[str, str] = {}
    severity: str | None = None
    value: float | None = None
    limit: float | None = None


S = TypeVar("S", bound=Subject)
C = TypeVar("C", bound=Condition)


class Detector(Generic[S, C]):
    """One control loop's state machines. Subclasses say how a record or the time changes the signal."""

    subject: type[S]

    def __init__(self, loop: Loop, condition: C) -> None:
        self.loop, self.condition = loop, condition
        self.subjects: dict[str, S] = {}
        """By key, the longest untouched first."""
        self.refused = 0
        """Records that came when all keys were taken."""

    # --- a subclass answers these

    def key(self, record: AnyRecord) -> str | None:
        """Which subject a record is about; None where this loop does not use it."""
        raise NotImplementedError

    def observe(self, subject: S, record: AnyRecord, t: float) -> tuple[bool, int] | None:
        """Take a record in: the signal and since when (UNIX microseconds), or None where nothing can be said."""
        raise NotImplementedError

    def lapse(self, subject: S, t: float) -> tuple[bool, str, int | None] | None:
        """The time `expiry` has come: the signal, what caused it and since when (None: now); or None."""
        raise NotImplementedError

    def expiry(self, subject: S) -> float | None:
        """When time alone changes the signal."""
        raise NotImplementedError

    def read(self, key: str, subject: S) -> Reading:
        """For the onset that is about to be told."""
        raise NotImplementedError

    def forget_source(self, source: str) -> str | None:
        """A source is gone for good; the key whose subject goes with it."""
        return source if source in self.subjects else None

    def resume(self, subject: S, t: float) -> None:
        """After a restart: the time without records says nothing about the functions."""
        raise NotImplementedError

    # --- what the engine calls

    def handle(self, key: str, record: AnyRecord, t: float, now: Instant) -> list[Onset]:
        """Take in a record that is about `key`."""
        subject = self._touch(key)
        if subject is None:
            self.refused += 1
            return []
        seen = self.observe(subject, record, t)
        if seen is None:
            return []
        on, at_us = seen
        return self._tell(key, subject, subject.episode.signal(on, record.identity, at_us, t, self.condition), now)

    def tick(self, key: str, t: float, now: Instant) -> list[Onset]:
        """The key's deadline has come."""
        subject = self.subjects.get(key)
        if subject is None:
            return []
        told: list[Told] = []
        expiry = self.expiry(subject)
        if expiry is not None and expiry <= t and (lapsed := self.lapse(subject, t)) is not None:
            on, cause, at_us = lapsed
            told += subject.episode.signal(on, cause, now.wall_us if at_us is None else at_us, t, self.condition)
        told += subject.episode.advance(t, self.condition)
        return self._tell(key, subject, told, now)

    def deadline(self, key: str) -> float | None:
        """When `tick` has something to do for the key."""
        subject = self.subjects.get(key)
        if subject is None:
            return None
        times = [time for time in (self.expiry(subject), subject.episode.deadline(self.condition)) if time is not None]
        return min(times, default=None)

    def forget(self, source: str, now: Instant) -> list[Onset]:
        """Drop what is known of a source; its onset, if one is open, is abated."""
        key = self.forget_source(source)
        if key is None:
            return []
        subject = self.subjects.pop(key)
        return self._tell(key, subject, ["end"] if subject.episode.onset is not None else [], now)

    # --- inside

    def _touch(self, key: str) -> S | None:
        known = self.subjects.pop(key, None)
        if known is None and len(self.subjects) >= MAX_KEYS and not self._evict():
            return None
        self.subjects[key] = subject = self.subject() if known is None else known
        return subject

    def _evict(self) -> bool:
        for key in islice(self.subjects, EVICTION_LOOKS):
            if self.subjects[key].episode.phase is Phase.QUIET:
                del self.subjects[key]
                return True
        return False

    def _tell(self, key: str, subject: S, told: list[Told], now: Instant) -> list[Onset]:
        messages = []
        episode = subject.episode
        for word in told:
            if word == "fire":
                reading = self.read(key, subject)
                episode.onset = Onset(
                    name=self.loop.name,
                    request_id=request_id(self.loop.name, key, episode.cause),
                    status="ONSET",
                    alarm_start_us=episode.start_us,
                    target=reading.target,
                    target_type=self.loop.scope.target_type,
                    reason=reading.reason,
                    severity=reading.severity,  # type: ignore[arg-type] # a record's, hence one of SEVERITIES
                    value=reading.value,
                    limit=reading.limit,
                    **aai(reading.attributes),
                )
                messages.append(episode.onset)
            elif episode.onset is not None:
                messages.append(abated(episode.onset, episode.end_us or now.wall_us))
                episode.onset = None
        return messages


def abated(onset: Onset, end_us: int) -> Onset:
    """The message that ends an onset. An end before the start, by clocks that differ, is the start."""
    return msgspec.structs.replace(onset, status="ABATED", alarm_end_us=max(end_us, onset.alarm_start_us))
