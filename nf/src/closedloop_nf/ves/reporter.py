"""The shell of reporting: one thread for the disk and the readings, one task that sends, the core between.

Reporting never holds up the function: whatever goes wrong here is logged, and the collector misses the heartbeat.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import logging
import random
import sqlite3
from collections.abc import Callable, Coroutine, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import msgspec

from closedloop_nf.runtime.clock import now
from closedloop_nf.runtime.config import ConfigError
from closedloop_nf.runtime.serve import Driver
from closedloop_nf.ves.author import Author, Written
from closedloop_nf.ves.config import Access, VesConfig
from closedloop_nf.ves.delivery import Delivery, Verdict
from closedloop_nf.ves.measurement import Reading
from closedloop_nf.ves.schedule import Action, Begin, Emit, End, Measure, Reporting
from closedloop_nf.ves.spool import Left, Spool

if TYPE_CHECKING:
    from closedloop_nf.ves.client import Answer, Client

log = logging.getLogger("closedloop_nf.ves")

LAST_WORDS_S: Final = 0.5
"""How long a clean stop waits for the collector; what it does not take by then waits on disk for the next start."""

Take = Callable[[], Reading]
"""Reads the kernel; runs in the reporter's thread."""


class Reporter:
    """One per process. `prepare` is called in the event loop and returns the reading's second half, which runs in the thread."""

    def __init__(
        self,
        config: VesConfig,
        access: Access,
        name: str,
        function: str,
        core: Callable[[Author], Reporting],
        prepare: Callable[[], Take],
    ) -> None:
        self._config, self._access = config, access
        self._name, self._function = name, function
        self._make_core, self._prepare = core, prepare
        self._thread = ThreadPoolExecutor(1, "ves")
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._writes: set[asyncio.Task[None]] = set()
        self._sender: asyncio.Task[None] | None = None
        self._staged: list[Written] = []
        self._measuring = False
        self._failing_with: int | None = None
        self._spool: Spool | None = None
        self._client: Client | None = None
        self._driver: Driver[object, Action] | None = None
        self._author: Author
        self._delivery: Delivery

    async def start(self) -> None:
        """Open the queue, then report. Raises ConfigError."""
        self._loop = asyncio.get_running_loop()
        left = await self._in_thread(self._open)
        # Numbers go on at the time, so that none comes again where the queue was deleted, or full when a predecessor counted.
        number = max(left.number, int(now().wall * 1_000_000))
        self._author = Author(self._name, self._function, left.memory, number)
        self._delivery = Delivery(self._config.max_events, random.Random(), left.events)
        await self._in_thread(partial(importlib.import_module, "aiohttp"))
        from closedloop_nf.ves.client import Client

        config = self._config
        self._client = Client(config.url, self._access.tls, config.tls.server_name, self._access.authorization)
        self._driver = Driver(self._make_core(self._author), self._apply)
        self._sender = self._spawn(self._deliver(self._client))
        self.feed(Begin())
        log.info("reporting", extra={"waiting": len(self._delivery)})

    def feed(self, event: object) -> None:
        """An input of the core; ignored before `start` is done."""
        if self._driver is None:
            return
        try:
            self._driver.feed(event)
        except Exception:
            log.exception("an event could not be reported", extra={"input": type(event).__name__})

    async def close(self) -> None:
        """Report the end, send what can be sent at once, keep the rest on disk."""
        if self._driver is not None:
            self.feed(End())
            self._flush()
            self._driver.close()
            if self._failing_with is None:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LAST_WORDS_S):
                        await self._idle.wait()
            if len(self._delivery):
                log.info("events wait for the next start", extra={"waiting": len(self._delivery)})
        if self._sender is not None:
            self._sender.cancel()
        await asyncio.gather(*self._writes, return_exceptions=True)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._client is not None:
            await self._client.close()
        await asyncio.to_thread(self._thread.shutdown)
        if self._spool is not None:
            self._spool.close()

    @property
    def dropped(self) -> int:
        """Events that found the queue full since the start."""
        return self._delivery.counters["dropped"]

    def facts(self) -> dict[str, int | str | None]:
        """For /healthz: events waiting, accepted, dropped and refused, and the last HTTP status while it is no success."""
        if self._driver is None:
            return {"waiting": None}
        counters = self._delivery.counters
        counted = {key: counters[key] for key in ("accepted", "dropped", "refused")}
        return {"waiting": len(self._delivery), **counted, "failing_with": self._failing_with}

    # --- actions of the core ---------------------------------------------------------------------------------------------------------

    def _apply(self, action: Action) -> None:
        match action:
            case Emit():
                if not self._staged:
                    self._loop.call_soon(self._flush)
                self._staged += action.events
            case Measure():
                if not self._measuring:
                    self._measuring = True
                    self._spawn(self._measure())

    async def _measure(self) -> None:
        try:
            self.feed(await self._in_thread(self._prepare()))
        except Exception:
            log.exception("figures could not be read")
        finally:
            self._measuring = False

    # --- disk ------------------------------------------------------------------------------------------------------------------------

    def _open(self) -> Left:
        self._spool = Spool(self._config.queue)
        try:
            return self._spool.load()
        except (sqlite3.Error, msgspec.MsgspecError, ValueError) as error:
            raise ConfigError(self._config.queue, "ves.queue", f"is damaged ({type(error).__name__}); move the file away") from None

    def _flush(self) -> None:
        """Write what was staged in this turn of the loop; when it is on disk it may leave."""
        events, self._staged = self._staged, []
        if not events:
            return
        self._idle.clear()
        author = self._author
        dropped = self._delivery.add(events, now().mono)
        memory = msgspec.json.encode(author.memory) if author.changed else None
        author.changed = False
        kept = [event for event in events if event.number not in frozenset(dropped)] if dropped else events
        self._write_later(self._store(kept, dropped, events[-1].number, memory))

    async def _store(self, events: list[Written], dropped: list[int], number: int, memory: bytes | None) -> None:
        if not await self._write(events, dropped, number, memory) and memory is not None:
            self._author.changed = True  # the next write tries again
        # A disk that does not take an event is no reason to keep it from the collector.
        self._delivery.stored(number)
        self._wake.set()

    async def _write(self, events: Iterable[Written], gone: Iterable[int], number: int | None = None, memory: bytes | None = None) -> bool:
        assert self._spool is not None
        try:
            await self._in_thread(partial(self._spool.write, events, gone, number, memory))
        except sqlite3.Error as error:
            log.error("event queue cannot be written", extra={"file": str(self._config.queue), "problem": str(error)})
            return False
        return True

    # --- collector -------------------------------------------------------------------------------------------------------------------

    async def _deliver(self, client: Client) -> None:
        while True:
            self._wake.clear()
            post = self._delivery.begin(now().mono)
            if post is not None:
                answer = await client.post(post)
                finished = self._delivery.answered(answer.verdict, now().mono, answer.retry_after_s)
                self._tell(answer, len(post.events), len(finished))
                if finished:
                    self._write_later(self._forget(finished))
                continue
            if not len(self._delivery):
                self._idle.set()
            due = self._delivery.deadline()
            try:
                async with asyncio.timeout(None if due is None else max(0.0, due - now().mono)):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def _forget(self, finished: list[int]) -> None:
        await self._write((), finished)

    def _tell(self, answer: Answer, events: int, finished: int) -> None:
        """Log when the collector begins to fail, when it works again, and every event that it will not take."""
        if answer.verdict is Verdict.REFUSED and finished:
            log.error("collector refuses an event for good", extra={"status": answer.status, "events": events})
        failing = None if answer.verdict is Verdict.ACCEPTED else answer.status
        if failing != self._failing_with:
            if failing is None:
                log.info("collector takes events", extra={"waiting": len(self._delivery)})
            else:
                log.warning("collector does not take events", extra={"status": failing, "problem": answer.problem, "events": events})
            self._failing_with = failing

    # --- tasks -----------------------------------------------------------------------------------------------------------------------

    async def _in_thread(self, work: Callable[[], Any]) -> Any:
        return await self._loop.run_in_executor(self._thread, work)

    def _write_later(self, work: Coroutine[Any, Any, None]) -> None:
        """As _spawn, but `close` waits for it."""
        task = self._spawn(work)
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("reporting failed", exc_info=error)
