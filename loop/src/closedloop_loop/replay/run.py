"""Records through analytics, policy and the operations journal, the same code as in production, on a clock that the events drive.

An event arrives at its lastEpochMicrosec, or with the event before it where clocks or order are off. An operation is taken up at once,
takes `operation_s` and succeeds, but the world does not change by it: the next measurements are the recorded ones.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import msgspec

from closedloop_loop.analytics.engine import Analytics
from closedloop_loop.clock import MICROSECONDS, Instant
from closedloop_loop.onset import Onset
from closedloop_loop.operations.journal import Journal
from closedloop_loop.operations.model import Operation, Refused, State
from closedloop_loop.operations.store.memory import MemoryStore
from closedloop_loop.policy.inventory import Inventory
from closedloop_loop.policy.model import Policy
from closedloop_loop.records import AnyRecord

ACTOR = "replay"


class Happening(msgspec.Struct, frozen=True):
    """A line of the replay."""

    at_us: int
    what: str
    """onset, abated, or the state an operation came into."""
    loop: str
    target: str
    request_id: str
    detail: str


class Replay:
    """One run. After `run`: `happenings` in order, `operations`, `records` seen, `span_us` of the events."""

    def __init__(self, policy: Policy, inventory: Inventory | None, operation_s: float) -> None:
        self._policy, self._inventory = policy, inventory
        self._operation_us = round(operation_s * MICROSECONDS)
        self._journal = Journal(MemoryStore(), lease_s=operation_s + 1)
        self._running: dict[str, tuple[int, int]] = {}
        """Request id -> (end, token) of what is being carried out."""
        self._onsets: dict[str, Onset] = {}
        self.happenings: list[Happening] = []
        self.records = 0
        self.span_us: tuple[int, int] | None = None

    @property
    def operations(self) -> list[Operation]:
        """In the order of their acceptance."""
        return self._journal.recent(2**31)[::-1]

    def run(self, records: Iterable[AnyRecord]) -> None:
        """Feed all records; ends with the last one, as what a silence after it would bring is not known."""
        analytics: Analytics | None = None
        at_us = 0
        for record in records:
            at_us = max(at_us, record.time_us)
            if self.span_us is None:
                self.span_us = (at_us, at_us)
            if analytics is None:
                analytics = Analytics(self._policy, self._instant(at_us))
            self._until(analytics, at_us)
            self.span_us = (self.span_us[0], at_us)
            self.records += 1
            self._messages(analytics.handle(record, self._instant(at_us)), at_us)
        if analytics is not None:
            self._work(at_us)

    def _until(self, analytics: Analytics, end_us: int) -> None:
        """Let every timer before `end_us` ring, in order."""
        begin_us = end_us if self.span_us is None else self.span_us[0]
        while True:
            timer = analytics.deadline()
            times = [] if timer is None else [begin_us + math.ceil(timer * MICROSECONDS)]
            times += [end for end, _ in self._running.values()]
            times += [operation.due_us for operation in self.waiting() if operation.due_us is not None]
            at_us = min((time for time in times if time < end_us), default=None)
            if at_us is None:
                return
            self._messages(analytics.tick(self._instant(at_us)), at_us)
            self._work(at_us)

    def waiting(self) -> list[Operation]:
        """Operations that a guard holds back."""
        return [
            operation for request_id in self._onsets if (operation := self._journal.get(request_id)) and operation.state is State.DENIED
        ]

    def _messages(self, onsets: list[Onset], at_us: int) -> None:
        for onset in onsets:
            detail = (
                onset.reason if onset.value is None or onset.limit is None else f"{onset.reason} {onset.value:.4g}, limit {onset.limit:g}"
            )
            self._note(at_us, onset.status.lower(), onset, detail)
            if onset.status == "ONSET":
                self._onsets[onset.request_id] = onset
            else:
                self._onsets.pop(onset.request_id, None)
            before = self._journal.get(onset.request_id)
            answer = self._journal.submit(self._policy, onset, self._inventory, self._instant(at_us))
            self._changed(before, answer, at_us)
        self._work(at_us)

    def _work(self, at_us: int) -> None:
        """End what is done, take up what is due, until nothing changes."""
        now = self._instant(at_us)
        for request_id, (_, token) in [item for item in self._running.items() if item[1][0] <= at_us]:
            del self._running[request_id]
            waiting = [operation for operation in self._journal.recent(len(self._onsets) + 1000) if operation.open]
            self._journal.finish(request_id, token, True, "replayed", now)
            for before in waiting:
                self._changed(before, self._journal.get(before.request_id), at_us)
        for operation in self._journal.due(now):
            if operation.state is State.PENDING and not operation.outdated:
                claimed = self._journal.claim(operation.request_id, ACTOR, now)
                if isinstance(claimed, Operation):
                    self._running[claimed.request_id] = (at_us + self._operation_us, claimed.token)
            else:
                answer = self._journal.submit(self._policy, operation.onset, self._inventory, now)
                self._changed(operation, answer, at_us)
                if isinstance(answer, Operation) and answer.state is State.PENDING:
                    self._work(at_us)
                    return

    def _changed(self, before: Operation | None, after: Operation | Refused | None, at_us: int) -> None:
        if not isinstance(after, Operation) or (before is not None and before.state is after.state):
            return
        region = f" in {after.region}" if after.region else ""
        match after.state:
            case State.PENDING:
                self._note(at_us, after.action, after.onset, after.reason)
            case State.DENIED:
                self._note(at_us, "denied", after.onset, f"{after.guard}: {after.reason}")
            case State.CANCELLED:
                self._note(at_us, "cancelled", after.onset, after.message or "abated before it began")
            case State.SUCCEEDED:
                self._note(at_us, "done", after.onset, f"{after.action}{region}")
            case _:
                pass

    def _note(self, at_us: int, what: str, onset: Onset, detail: str) -> None:
        self.happenings.append(Happening(at_us, what, onset.name, onset.target, onset.request_id, detail))

    def _instant(self, at_us: int) -> Instant:
        begin_us = at_us if self.span_us is None else self.span_us[0]
        return Instant((at_us - begin_us) / MICROSECONDS, at_us / MICROSECONDS)
