"""The journal at work: its core in the event loop, its store in one thread."""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
from collections.abc import Callable
from typing import Final, Protocol

from closedloop_loop.clock import Instant, now
from closedloop_loop.journal.core import JournalCore, Limits
from closedloop_loop.journal.messages import (
    Action,
    Answer,
    Commit,
    Committed,
    Delivery,
    Entry,
    Failed,
    Finished,
    Input,
    Loaded,
    Read,
    ReadFailed,
    Ready,
    Recovered,
    Refill,
    Submit,
    Verdict,
)
from closedloop_loop.journal.store import JournalError

log: Final = logging.getLogger("closedloop_loop.journal")

KEEP_RETRY_S: Final = 1.0
"""Pause before a disk that was full is tried again."""


class Store(Protocol):
    """What keeps the events: store.SqliteJournal."""

    def load(self, remember: int) -> Recovered: ...

    def commit(self, commit: Commit) -> None: ...

    def read(self, read: Read) -> tuple[list[tuple[int, bytes]], bool]: ...

    def close(self) -> None: ...


class Journal:
    """Made and used in the event loop's thread."""

    def __init__(self, store: Store, limits: Limits, clock: Callable[[], Instant] = now) -> None:
        """Raises JournalError."""
        self._store, self._clock = store, clock
        recovered = store.load(limits.remember_events)
        self.core = JournalCore(limits, recovered)
        self.state = recovered.state
        """The consumer's state as it was when the journal was opened."""
        self.commits = self.failures = 0
        self.broken = False
        """Whether the last attempt to store failed."""
        self._loop = asyncio.get_running_loop()
        self._ready, self._settled = asyncio.Event(), asyncio.Event()
        self._requests: dict[int, asyncio.Future[Answer]] = {}
        self._request = 0
        self._work: queue.SimpleQueue[Commit | Read | None] = queue.SimpleQueue()
        self._timer: asyncio.TimerHandle | None = None
        self._armed: float | None = None
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()
        self._apply(self.core.start())

    @property
    def full(self) -> bool:
        """Whether the next request would be refused."""
        return self.core.full

    async def submit(self, entries: list[Entry]) -> Answer:
        """Returns when the events are durable, or were refused."""
        self._request += 1
        number = self._request
        future: asyncio.Future[Answer] = self._loop.create_future()
        self._requests[number] = future
        self._feed(Submit(number, entries))
        return await future

    async def take(self, limit: int) -> list[Delivery]:
        """At least one and at most `limit` deliveries, oldest first; waits for them."""
        while not (deliveries := self.core.take(limit)):
            self._ready.clear()
            await self._ready.wait()
        self._feed(Refill())
        return deliveries

    def finish(self, ids: list[int], state: bytes | None = None) -> None:
        """These deliveries are done with, see messages.Finished. Durable within about 0.2 s; until then a crash delivers them again."""
        self._feed(Finished(ids, state))

    async def keep(self, ids: list[int], state: bytes) -> None:
        """As `finish`, and returns when it is durable."""
        answer = None
        while answer is None or answer.verdict is not Verdict.ACCEPTED:
            if answer is not None:
                await asyncio.sleep(KEEP_RETRY_S)
                ids = []
            self._request += 1
            future: asyncio.Future[Answer] = self._loop.create_future()
            self._requests[self._request] = future
            self._feed(Finished(ids, state, self._request))
            answer = await future

    async def close(self) -> None:
        """Store what waits, then end the thread and close the store."""
        while not self.core.idle and not self.broken:
            self._settled.clear()
            await self._settled.wait()
        self._work.put(None)
        await self._loop.run_in_executor(None, self._thread.join)
        if self._timer is not None:
            self._timer.cancel()
        self._store.close()

    def _feed(self, event: Input) -> None:
        self._apply(self.core.handle(event, self._clock()))

    def _apply(self, actions: list[Action]) -> None:
        for action in actions:
            match action:
                case Commit() | Read():
                    self._work.put(action)
                case Answer():
                    future = self._requests.pop(action.request)
                    if not future.done():  # the sender may have gone
                        future.set_result(action)
                case Ready():
                    self._ready.set()
        self._arm()

    def _arm(self) -> None:
        due = self.core.deadline()
        if due == self._armed:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._armed = due
        self._timer = None if due is None else self._loop.call_later(max(0.0, due - self._clock().mono), self._due)

    def _due(self) -> None:
        self._timer = self._armed = None
        self._apply(self.core.tick(self._clock()))

    # --- the thread --------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            outcome: Input
            try:
                if isinstance(work, Commit):
                    self._store.commit(work)
                    outcome = Committed()
                else:
                    outcome = Loaded(*self._store.read(work))
            except JournalError as error:
                outcome = Failed() if isinstance(work, Commit) else ReadFailed()
                log.error("journal cannot be used", extra={"problem": str(error)})
            try:
                self._loop.call_soon_threadsafe(self._outcome, outcome)
            except RuntimeError:
                return  # the loop has ended: nobody is left to be told

    def _outcome(self, outcome: Input) -> None:
        self.broken = isinstance(outcome, (Failed, ReadFailed))
        self.failures += self.broken
        self.commits += isinstance(outcome, Committed)
        self._feed(outcome)
        self._settled.set()
