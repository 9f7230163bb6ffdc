"""The way of accepted events into the topic, as a state machine: what waits for the broker, duplicates, limits. No I/O.

Submit --> Produce(entry) ... Delivered(key, durable) ... --> Answer, when the fate of every event of the request is known
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TypeAlias

from closedloop_loop.journal.messages import Answer, Entry, Submit, Verdict


@dataclass(frozen=True, slots=True)
class Produce:
    """Give it to the broker; answer with `delivered`."""

    entry: Entry


Action: TypeAlias = Produce | Answer


@dataclass(slots=True)
class _Request:
    number: int
    duplicates: int
    left: int = 0
    failed: bool = False


@dataclass(slots=True)
class _UnderWay:
    octets: int
    requests: list[_Request] = field(default_factory=list)


class OutboxCore:
    def __init__(self, pending_octets: int, remember_events: int) -> None:
        self._limit, self._remember = pending_octets, remember_events
        self._under_way: dict[bytes, _UnderWay] = {}
        self._durable: set[bytes] = set()
        self._order: deque[bytes] = deque()
        self.pending_octets = 0
        """Octets of events whose fate is not known yet."""

    @property
    def full(self) -> bool:
        """Whether the next request would be refused."""
        return self.pending_octets >= self._limit

    @property
    def waiting(self) -> int:
        """Events whose fate is not known yet."""
        return len(self._under_way)

    def submit(self, submit: Submit) -> list[Action]:
        wanted = {entry.key: entry for entry in submit.entries if entry.key not in self._durable}
        fresh = [entry for key, entry in wanted.items() if key not in self._under_way]
        octets = sum(len(entry.body) for entry in fresh)
        # A single request larger than the limit passes when nothing else waits; else it could never be taken.
        if fresh and self.pending_octets and self.pending_octets + octets > self._limit:
            return [Answer(submit.request, Verdict.BUSY)]
        request = _Request(submit.request, len(submit.entries) - len(fresh), len(wanted))
        if not wanted:
            return [Answer(request.number, Verdict.ACCEPTED, request.duplicates)]
        self.pending_octets += octets
        for entry in fresh:
            self._under_way[entry.key] = _UnderWay(len(entry.body))
        for key in wanted:
            self._under_way[key].requests.append(request)
        return [Produce(entry) for entry in fresh]

    def delivered(self, key: bytes, durable: bool) -> list[Action]:
        """The fate of a produced event. One that was not acknowledged may be in the topic all the same."""
        sent = self._under_way.pop(key)
        self.pending_octets -= sent.octets
        if durable:
            self._keep(key)
        answers: list[Action] = []
        for request in sent.requests:
            request.left -= 1
            request.failed |= not durable
            if not request.left:
                answers.append(Answer(request.number, Verdict.FAILED if request.failed else Verdict.ACCEPTED, request.duplicates))
        return answers

    def _keep(self, key: bytes) -> None:
        if not self._remember:
            return
        self._durable.add(key)
        self._order.append(key)
        if len(self._order) > self._remember:
            self._durable.discard(self._order.popleft())
