"""One partition of the topic: what the policy's loops make of its messages. No I/O, and no clock but the log's.

Time is that of the messages, so the same messages lead to the same onsets with the same request ids, however often they are read, and by
whom: what a crash, a rebalance or a worker that does not know yet that it was replaced brings twice, the operations journal knows. Where
nothing could be appended for a while, that time tells nothing about the sources.
"""

from __future__ import annotations

import logging
from typing import Final

import msgspec

from closedloop_loop.analytics import engine
from closedloop_loop.clock import Instant
from closedloop_loop.kafka.messages import DEAF_S, Message
from closedloop_loop.onset import Onset
from closedloop_loop.policy.model import Policy
from closedloop_loop.records import AnyRecord, Rejected, from_event

log: Final = logging.getLogger("closedloop_loop.kafka")

MILLISECONDS: Final = 1000


class Progress(msgspec.Struct, frozen=True):
    """How far a partition is done. next: offset; clock_ms: of analytics, which never goes back; time_ms: of the last message."""

    next: int = 0
    clock_ms: int = 0
    time_ms: int = 0
    state: bytes = b""


class Partition:
    def __init__(self, policy: Policy, progress: Progress | None) -> None:
        self._policy = policy
        self._clock_ms = self._time_ms = 0
        self.next = 0
        """Offset of the first message that was not looked at."""
        self.due: list[Onset] = []
        """Messages about loops that the policy no longer has."""
        self._analytics = engine.Analytics(policy, self._now())
        if progress is not None:
            self.next, self._clock_ms, self._time_ms = progress.next, progress.clock_ms, progress.time_ms
            try:
                self._analytics, self.due = engine.restore(policy, progress.state, self._now(), deaf=False)
            except engine.StateError as error:
                log.warning("analytics begins anew", extra={"problem": str(error)})
                self._analytics = engine.Analytics(policy, self._now())

    def handle(self, message: Message) -> list[Onset]:
        """What it makes the loops tell."""
        self.next = message.offset + 1
        passed = message.time_ms - self._time_ms if self._time_ms else 0
        self._time_ms = message.time_ms
        self._clock_ms += max(0, passed)  # a broker's clock that was set back stands still
        now = self._now()
        if passed > DEAF_S * MILLISECONDS:
            self._analytics.resume(now)
        told = self._analytics.tick(now)
        if message.body:
            record = _record(message.body)
            if isinstance(record, Rejected):
                if not record.other:
                    log.info("event is not used", extra={"problem": record.reason})
            else:
                told += self._analytics.handle(record, now)
        return told

    def modules(self) -> list[str]:
        """VF modules that onsets are about."""
        return self._analytics.modules()

    def dismiss(self, module: str) -> list[Onset]:
        """It is not placed: what was told of it is abated."""
        return self._analytics.dismiss(module, self._now())

    def progress(self) -> Progress:
        return Progress(self.next, self._clock_ms, self._time_ms, self._analytics.dump(self._now()))

    def _now(self) -> Instant:
        return Instant(self._clock_ms / MILLISECONDS, self._time_ms / MILLISECONDS)


def _record(body: bytes) -> AnyRecord | Rejected:
    """An intake puts nothing but events into the topic; whoever else may write to it must not stop the loop."""
    try:
        return from_event(msgspec.json.decode(body))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return Rejected("a message of the topic is no JSON")
