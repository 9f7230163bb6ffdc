"""Fault raised and cleared.

An alarm is known by its event id and start; raising, changes of severity and clearing count up its sequence (in VES the clearing
event has the eventId and startEpochMicrosec of the one that raised it). So messages that come twice or in the wrong order do no harm: of
each alarm the highest sequence counts, and no clock is asked.
"""

from __future__ import annotations

from typing import Final

import msgspec

from closedloop_loop.analytics.detector import Detector, Reading, Subject
from closedloop_loop.analytics.episode import Episode
from closedloop_loop.clock import Instant
from closedloop_loop.onset import Onset
from closedloop_loop.policy import model
from closedloop_loop.records import SEVERITIES, AnyRecord, FaultCleared, FaultRaised

MAX_ALARMS: Final = 64
"""Alarms remembered per source, those that have ended included, as a message of theirs may still be on its way."""


class Alarm(msgspec.Struct, frozen=True):
    """The latest known of one alarm."""

    condition: str
    sequence: int
    start_us: int
    raised: bool


class FaultSubject(Subject, kw_only=True):
    """One source."""

    alarms: dict[str, Alarm] = msgspec.field(default_factory=dict)
    """By event id and start, the oldest first."""
    reason: str = ""
    severity: str = "NORMAL"
    attributes: dict[str, str] = msgspec.field(default_factory=dict)


class FaultDetector(Detector[FaultSubject, model.Fault]):
    subject = FaultSubject

    def key(self, record: AnyRecord) -> str | None:
        wanted = isinstance(record, FaultRaised | FaultCleared) and record.alarm in self.condition.alarms
        return record.source if wanted else None

    def observe(self, subject: FaultSubject, record: AnyRecord, t: float) -> tuple[bool, int] | None:
        assert isinstance(record, FaultRaised | FaultCleared)  # key() lets nothing else pass
        identity = f"{record.event_id}|{record.start_us}"
        known = subject.alarms.get(identity)
        if known is not None and record.sequence <= known.sequence:
            return None
        raised = isinstance(record, FaultRaised) and SEVERITIES.index(record.severity) >= SEVERITIES.index(self.condition.severity)
        if known is None and isinstance(record, FaultCleared):
            _clear_elder(subject, record)
        was_raised = any(alarm.raised for alarm in subject.alarms.values())
        _remember(subject, identity, Alarm(record.alarm, record.sequence, record.start_us, raised))
        if isinstance(record, FaultRaised) and raised and not was_raised:
            subject.reason, subject.severity, subject.attributes = record.alarm, record.severity, record.attributes
        on = any(alarm.raised for alarm in subject.alarms.values())
        return on, record.start_us if on else record.time_us

    def forget(self, source: str, now: Instant) -> list[Onset]:
        """Its alarms have ended. They stay known, as the raising of one may come after its clearing."""
        subject = self.subjects.get(source)
        if subject is None:
            return []
        subject.alarms = {identity: msgspec.structs.replace(alarm, raised=False) for identity, alarm in subject.alarms.items()}
        told = self._tell(source, subject, ["end"] if subject.episode.onset is not None else [], now)
        subject.episode = Episode()
        return told

    def lapse(self, subject: FaultSubject, t: float) -> tuple[bool, str, int | None] | None:
        return None

    def expiry(self, subject: FaultSubject) -> float | None:
        return None

    def read(self, key: str, subject: FaultSubject) -> Reading:
        return Reading(target=key, reason=subject.reason, severity=subject.severity, attributes=subject.attributes)

    def resume(self, subject: FaultSubject, t: float) -> None:
        """An alarm lasts until it is cleared."""


def _clear_elder(subject: FaultSubject, cleared: FaultCleared) -> None:
    """A sender that lost its memory clears under a new event id: that ends what it had raised under the same condition before."""
    for identity, alarm in subject.alarms.items():
        if alarm.condition == cleared.alarm and alarm.start_us <= cleared.time_us:
            subject.alarms[identity] = msgspec.structs.replace(alarm, raised=False)


def _remember(subject: FaultSubject, identity: str, alarm: Alarm) -> None:
    subject.alarms.pop(identity, None)
    subject.alarms[identity] = alarm
    if len(subject.alarms) > MAX_ALARMS:
        ended = next((name for name, other in subject.alarms.items() if not other.raised), next(iter(subject.alarms)))
        del subject.alarms[ended]
