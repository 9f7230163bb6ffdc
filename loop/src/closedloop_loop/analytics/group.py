"""Conditions on all sources of a loop together: the mean past a threshold, and imbalance. There is one subject, whose key is `*`."""

from __future__ import annotations

from typing import Final, TypeVar

import msgspec

from closedloop_loop.analytics.detector import MAX_KEYS, Detector, Reading, Subject
from closedloop_loop.analytics.samples import Samples
from closedloop_loop.analytics.threshold import beyond, level
from closedloop_loop.policy import model
from closedloop_loop.records import AnyRecord, Measurement

GROUP: Final = "*"


class GroupSubject(Subject, kw_only=True):
    """All sources."""

    sources: dict[str, Samples] = msgspec.field(default_factory=dict)
    """By name, the longest silent first."""
    target: str = ""
    """The source that is farthest out."""
    value: float = 0.0

    def means(self, at_least: int, since: float) -> dict[str, float]:
        """Of the sources with enough samples after `since`."""
        return {name: mean for name, samples in self.sources.items() if (mean := samples.mean(at_least, since)) is not None}


W = TypeVar("W", model.Threshold, model.Imbalance)


class GroupDetector(Detector[GroupSubject, W]):
    subject = GroupSubject

    def key(self, record: AnyRecord) -> str | None:
        return GROUP if isinstance(record, Measurement) and self.condition.figure in record.figures else None

    def observe(self, subject: GroupSubject, record: AnyRecord, t: float) -> tuple[bool, int] | None:
        assert isinstance(record, Measurement)  # key() lets nothing else pass
        samples = subject.sources.get(record.source)
        if samples is None:
            if len(subject.sources) >= MAX_KEYS:
                self.refused += 1
                return None
            samples = Samples()
        if not samples.add(record, record.figures[self.condition.figure], t, self.condition.window_s):
            return None
        subject.sources.pop(record.source, None)
        subject.sources[record.source] = samples
        on = self.judge(subject, t)
        return None if on is None else (on, record.time_us)

    def lapse(self, subject: GroupSubject, t: float) -> tuple[bool, str, int | None] | None:
        silent = [name for name, samples in subject.sources.items() if samples.arrived + self.condition.patience_s <= t]
        for name in silent:
            del subject.sources[name]
        on = self.judge(subject, t) if subject.sources else False
        return None if on is None else (on, f"silence|{silent[0]}|{t:.6f}", None)

    def expiry(self, subject: GroupSubject) -> float | None:
        first = next(iter(subject.sources.values()), None)
        return None if first is None else first.arrived + self.condition.patience_s

    def read(self, key: str, subject: GroupSubject) -> Reading:
        samples = subject.sources.get(subject.target)
        return Reading(
            target=subject.target,
            reason=self.condition.figure,
            value=subject.value,
            limit=self.limit(),
            attributes=samples.attributes if samples is not None else {},
        )

    def forget_source(self, source: str) -> str | None:
        """The group stays as long as it has other sources; the next record judges it anew."""
        for subject in self.subjects.values():
            subject.sources.pop(source, None)
            if not subject.sources or (subject.episode.onset is not None and subject.episode.onset.target == source):
                return GROUP
        return None

    def resume(self, subject: GroupSubject, t: float) -> None:
        """The silence was ours."""
        for samples in subject.sources.values():
            samples.arrived = t

    def judge(self, subject: GroupSubject, t: float) -> bool | None:
        """The signal; sets the subject's target and value."""
        raise NotImplementedError

    def limit(self) -> float | None:
        """The level that must be crossed."""
        raise NotImplementedError


class MeanDetector(GroupDetector[model.Threshold]):
    """The mean of all sources past a level. The target is the busiest source of an overload, the idlest of an underload."""

    def judge(self, subject: GroupSubject, t: float) -> bool | None:
        means = subject.means(self.condition.samples, t - self.condition.window_s)
        if not means:
            return None
        sign = -1 if self.condition.above is not None else 1
        subject.target = min(means, key=lambda name: (sign * means[name], name))
        subject.value = sum(means.values()) / len(means)
        return beyond(subject.value, self.condition)

    def limit(self) -> float | None:
        return level(self.condition)


class ImbalanceDetector(GroupDetector[model.Imbalance]):
    """The busiest source has too many times the mean. It is the target."""

    def judge(self, subject: GroupSubject, t: float) -> bool | None:
        means = subject.means(self.condition.samples, t - self.condition.window_s)
        if len(means) < 2:
            return False if len(subject.sources) < 2 else None  # None: the others are late
        mean = sum(means.values()) / len(means)
        subject.target = min(means, key=lambda name: (-means[name], name))
        if mean <= 0 or mean < self.condition.floor:
            subject.value = 1.0
            return False
        subject.value = means[subject.target] / mean
        return True if subject.value > self.condition.above else False if subject.value <= self.condition.clear else None

    def limit(self) -> float | None:
        return self.condition.above
