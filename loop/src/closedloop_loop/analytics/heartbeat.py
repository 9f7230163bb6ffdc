"""Heartbeat lost: a source that has sent one is silent for `missed` intervals.

The time of arrival counts, not the sender's clock, so a clock that steps raises no alarm. A heartbeat that is late shows that the source
was alive when it was sent and puts the alarm off by its delay at most. A source that says that it stops is watched again from its next
heartbeat on.
"""

from __future__ import annotations

import msgspec

from closedloop_loop.analytics.detector import Detector, Reading, Subject
from closedloop_loop.policy import model
from closedloop_loop.records import AnyRecord, Heartbeat, OutOfService

REASON = "heartbeat_lost"


class HeartbeatSubject(Subject, kw_only=True):
    """One source."""

    arrived: float = 0.0
    interval_s: float = 0.0
    """0 as long as neither the policy nor a heartbeat has told it."""
    lost: bool = False
    last: str = ""
    """Identity of the last heartbeat."""
    last_us: int = 0
    attributes: dict[str, str] = msgspec.field(default_factory=dict)


class HeartbeatDetector(Detector[HeartbeatSubject, model.HeartbeatLost]):
    subject = HeartbeatSubject

    def key(self, record: AnyRecord) -> str | None:
        return record.source if isinstance(record, Heartbeat | OutOfService) else None

    def observe(self, subject: HeartbeatSubject, record: AnyRecord, t: float) -> tuple[bool, int] | None:
        if isinstance(record, OutOfService):
            subject.interval_s, subject.lost = 0.0, False
            return False, record.time_us
        assert isinstance(record, Heartbeat)  # key() lets nothing else pass
        if record.identity == subject.last:
            return None  # the same one again: delivered twice, or after a restart of ours
        subject.last, subject.last_us, subject.arrived = record.identity, record.time_us, t
        subject.interval_s = self.condition.interval_s or record.interval_s
        subject.attributes = record.attributes or subject.attributes
        subject.lost = False
        return False, record.time_us

    def lapse(self, subject: HeartbeatSubject, t: float) -> tuple[bool, str, int | None] | None:
        subject.lost = True
        return True, subject.last, subject.last_us

    def expiry(self, subject: HeartbeatSubject) -> float | None:
        if subject.lost or not subject.interval_s:
            return None
        return subject.arrived + self.condition.missed * subject.interval_s

    def read(self, key: str, subject: HeartbeatSubject) -> Reading:
        return Reading(target=key, reason=REASON, attributes=subject.attributes)

    def resume(self, subject: HeartbeatSubject, t: float) -> None:
        """Heartbeats that came while we were away had nobody to hear them: every source gets its full time again."""
        subject.arrived = t
