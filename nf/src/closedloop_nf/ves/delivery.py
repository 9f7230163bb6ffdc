"""What waits for the collector and when it is sent: a state machine without I/O.

          add              stored            begin                 answered ACCEPTED
  event -------> waiting ---------> sendable -------> on its way --------------------> finished
                    |                   ^                 |  answered UNAVAILABLE: back-off, sent again
                    +--> dropped        +-----------------+  answered REFUSED: a batch is sent again one by one,
                     (the queue is full)                     a single one REFUSALS times, then it is finished

Events leave in the order of their numbers, one request at a time; so they arrive in order per source. A batch holds one domain, as
collectors refuse mixed ones.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable
from enum import Enum
from typing import Final, NamedTuple

from closedloop_nf.ves.author import Written

FIRST_RETRY_S: Final = 0.02
LAST_RETRY_S: Final = 5.0
LONGEST_ASKED_S: Final = 60.0
"""As long as a collector's Retry-After is obeyed."""
REFUSALS: Final = 3
BATCH_EVENTS: Final = 100
BATCH_OCTETS: Final = 1_000_000
"""Half of what a collector takes; some take little more than this."""
MAX_OCTETS: Final = 32_000_000
"""Octets that may wait in memory and on disk, whatever the number of events."""

_CLASSES: Final = {"measurement": 0, "heartbeat": 0, "notification": 1, "stateChange": 1, "fault": 2}


class Verdict(Enum):
    """What a collector said of a request."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    """It will not take this body: 400, 413, 422."""
    UNAVAILABLE = "unavailable"
    """No answer, or one that says nothing about the events."""


class Post(NamedTuple):
    """A request to make: one event for the event path, several for the batch path."""

    events: tuple[Written, ...]


class Delivery:
    """`waiting`: what an earlier process left, in order; it is stored. `rng`: jitter of the back-off."""

    def __init__(self, max_events: int, rng: random.Random, waiting: Iterable[Written] = ()) -> None:
        self._max_events = max_events
        self._rng = rng
        self._waiting: dict[int, Written] = {}
        self._by_class: tuple[dict[int, None], ...] = ({}, {}, {})
        self._octets = 0
        self._stored = -1
        self._sent: tuple[Written, ...] = ()
        self._retry_at: float | None = None
        self._retry_s = FIRST_RETRY_S
        self._singly_until = -1
        self._refusals = 0
        self.counters: Counter[str] = Counter()
        """accepted, dropped, refused: events. failures: requests."""
        for event in waiting:
            self._put(event)
            self._stored = event.number
        self.counters["dropped"] += len(self._make_room())

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, events: Iterable[Written], now: float) -> list[int]:
        """Take new events, in the order of their numbers. Returns the numbers of those that had to go for them, new ones perhaps."""
        for event in events:
            self._put(event)
            if event.domain == "fault" and self._retry_at is not None:  # news that may end the outage is worth another try
                self._retry_at = min(self._retry_at, now + FIRST_RETRY_S)
        dropped = self._make_room()
        self.counters["dropped"] += len(dropped)
        return dropped

    def stored(self, number: int) -> None:
        """Everything up to `number` is on disk and may leave."""
        self._stored = max(self._stored, number)

    def deadline(self) -> float | None:
        """Monotonic second of the next attempt; None: none is planned."""
        return self._retry_at

    def begin(self, now: float) -> Post | None:
        """The next request, if it is time for one; it has to be `answered` before another begins."""
        if self._sent or not self._waiting or (self._retry_at is not None and now < self._retry_at):
            return None
        batch: list[Written] = []
        octets = 0
        for event in self._waiting.values():
            octets += len(event.body) + 1
            apart = batch and (event.domain != batch[0].domain or octets > BATCH_OCTETS or event.number <= self._singly_until)
            if event.number > self._stored or apart or len(batch) == BATCH_EVENTS:
                break
            batch.append(event)
        self._sent = tuple(batch)
        self._retry_at = None
        return Post(self._sent) if batch else None

    def answered(self, verdict: Verdict, now: float, retry_after_s: float = 0.0) -> list[int]:
        """Returns the numbers of the events that are finished."""
        sent, self._sent = self._sent, ()
        if verdict is Verdict.ACCEPTED:
            self._retry_s, self._refusals = FIRST_RETRY_S, 0
            return self._finish(sent, "accepted")
        self.counters["failures"] += 1
        if verdict is Verdict.REFUSED:
            if len(sent) > 1:
                self._singly_until = sent[-1].number
                return []
            self._refusals += 1
            if self._refusals >= REFUSALS:
                self._retry_s, self._refusals = FIRST_RETRY_S, 0
                return self._finish(sent, "refused")
        pause = max(self._retry_s * self._rng.uniform(0.75, 1.25), min(retry_after_s, LONGEST_ASKED_S))
        self._retry_at = now + pause
        self._retry_s = min(LAST_RETRY_S, self._retry_s * 2)
        return []

    def _finish(self, events: tuple[Written, ...], how: str) -> list[int]:
        self.counters[how] += len(events)
        for event in events:
            self._remove(event.number)
        return [event.number for event in events]

    def _put(self, event: Written) -> None:
        self._waiting[event.number] = event
        self._by_class[_CLASSES[event.domain]][event.number] = None
        self._octets += len(event.body)

    def _remove(self, number: int) -> None:
        event = self._waiting.pop(number)
        del self._by_class[_CLASSES[event.domain]][number]
        self._octets -= len(event.body)

    def _make_room(self) -> list[int]:
        """Drop the oldest of the least important, until the rest fits. What is on its way may have been accepted, so it stays."""
        on_its_way = {event.number for event in self._sent}
        dropped: list[int] = []
        while len(self._waiting) > self._max_events or self._octets > MAX_OCTETS:
            number = next((number for numbers in self._by_class for number in numbers if number not in on_its_way), None)
            if number is None:
                break
            self._remove(number)
            dropped.append(number)
        return dropped
