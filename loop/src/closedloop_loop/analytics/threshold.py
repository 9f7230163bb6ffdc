"""Threshold with window and hysteresis, for every source by itself."""

from __future__ import annotations

import msgspec

from closedloop_loop.analytics.detector import Detector, Reading, Subject
from closedloop_loop.analytics.samples import Samples
from closedloop_loop.policy import model
from closedloop_loop.records import AnyRecord, Measurement


def beyond(value: float, condition: model.Threshold) -> bool | None:
    """True past the level, False back at `clear`, None between the two: there the signal stays what it was."""
    if condition.above is not None:
        return True if value > condition.above else False if value <= condition.clear else None
    assert condition.below is not None  # the policy has one of the two
    return True if value < condition.below else False if value >= condition.clear else None


def level(condition: model.Threshold) -> float | None:
    """The level that must be crossed."""
    return condition.above if condition.above is not None else condition.below


class ThresholdSubject(Subject, kw_only=True):
    """One source."""

    samples: Samples = msgspec.field(default_factory=Samples)
    mean: float = 0.0


class ThresholdDetector(Detector[ThresholdSubject, model.Threshold]):
    subject = ThresholdSubject

    def key(self, record: AnyRecord) -> str | None:
        return record.source if isinstance(record, Measurement) and self.condition.figure in record.figures else None

    def observe(self, subject: ThresholdSubject, record: AnyRecord, t: float) -> tuple[bool, int] | None:
        assert isinstance(record, Measurement)  # key() lets nothing else pass
        condition = self.condition
        if not subject.samples.add(record, record.figures[condition.figure], t, condition.window_s):
            return None
        mean = subject.samples.mean(condition.samples, t - condition.window_s)
        if mean is None:
            return None
        subject.mean = mean
        on = beyond(mean, condition)
        return None if on is None else (on, record.time_us)

    def lapse(self, subject: ThresholdSubject, t: float) -> tuple[bool, str, int | None] | None:
        subject.samples.points = []
        return False, "silence", None

    def expiry(self, subject: ThresholdSubject) -> float | None:
        return subject.samples.arrived + self.condition.patience_s if subject.samples.points else None

    def read(self, key: str, subject: ThresholdSubject) -> Reading:
        return Reading(
            target=key,
            reason=self.condition.figure,
            value=subject.mean,
            limit=level(self.condition),
            attributes=subject.samples.attributes,
        )

    def resume(self, subject: ThresholdSubject, t: float) -> None:
        """The silence was ours."""
        subject.samples.arrived = t
