"""The dispatcher at work: its core in the event loop, the journal in one thread, what is due to whoever takes it."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeAlias

from closedloop_loop.clock import Instant, now
from closedloop_loop.dispatch.core import Action, Arrived, Consult, Dispatcher, Failed, Handed, HandOn, Input, Seen, Settled
from closedloop_loop.files import FileError
from closedloop_loop.onset import Onset, to_map
from closedloop_loop.operations.journal import Journal
from closedloop_loop.operations.model import Operation, Refused
from closedloop_loop.operations.store.interface import StoreError
from closedloop_loop.policy.inventory import Inventory, Unreadable
from closedloop_loop.policy.model import Policy

log: Final = logging.getLogger("closedloop_loop.dispatch")

Scalars: TypeAlias = dict[str, str | int | float]
Event: TypeAlias = dict[str, Scalars]
Put: TypeAlias = Callable[[Event], Awaitable[None]]
World: TypeAlias = Callable[[], Inventory | None]
"""Reads the inventory of now; raises FileError."""


class DispatcherShell:
    """`run` for as long as it is wanted; `take` meanwhile, from tasks of the same event loop."""

    def __init__(
        self, policy: Policy, journal: Journal, world: World, put: Put, clock: Callable[[], Instant] = now, *, shared: bool = False
    ) -> None:
        """put: hand an operation on, as `event` makes it; returns when it was taken. shared: as the core's."""
        self.core = Dispatcher(shared)
        self._policy, self._journal, self._world, self._put, self._clock = policy, journal, world, put, clock
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="operations")
        self._wake = asyncio.Event()
        self._takers: deque[asyncio.Future[None]] = deque()
        self._work: asyncio.Queue[Consult] = asyncio.Queue()
        self._out: asyncio.Queue[Operation] = asyncio.Queue()
        self._problem = ""

    async def take(self, onsets: list[Onset], accepted_us: Mapping[str, int]) -> None:
        """Returns when all are durable in the journal; a journal that cannot be used is waited for. accepted_us: as in Arrived."""
        if not onsets:
            return
        loop = asyncio.get_running_loop()
        durable = [loop.create_future() for _ in onsets]
        self._takers.extend(durable)
        self._feed(Arrived(onsets, accepted_us))
        await asyncio.gather(*durable)

    async def absent(self, names: list[str]) -> list[str]:
        """Those of these VF modules that are not placed; none where the world is not known."""
        inventory = await asyncio.get_running_loop().run_in_executor(self._thread, self._inventory)
        return [name for name in names if isinstance(inventory, Inventory) and inventory.module(name) is None]

    async def run(self) -> None:
        """Until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._consulting())
                tasks.create_task(self._handing_on())
                tasks.create_task(self._timing())
        finally:
            self._thread.shutdown(wait=True)

    def _feed(self, event: Input) -> None:
        self._apply(self.core.handle(event, self._clock()))

    def _apply(self, actions: list[Action]) -> None:
        for action in actions:
            match action:
                case Consult():
                    self._work.put_nowait(action)
                case HandOn():
                    self._out.put_nowait(action.operation)
                case Settled():
                    for _ in range(action.onsets):
                        taker = self._takers.popleft()
                        if not taker.done():  # who gave it may have been cancelled
                            taker.set_result(None)
        self._wake.set()

    async def _timing(self) -> None:
        while True:
            self._wake.clear()
            due = self.core.deadline()
            try:
                async with asyncio.timeout(None if due is None else max(0.0, due - self._clock().mono)):
                    await self._wake.wait()
            except TimeoutError:
                self._apply(self.core.tick(self._clock()))

    async def _consulting(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            consult = await self._work.get()
            self._feed(await loop.run_in_executor(self._thread, self._consult, consult))

    async def _handing_on(self) -> None:
        while True:
            operation = await self._out.get()
            await self._put(event(operation))
            self._feed(Handed(operation))

    # --- the thread --------------------------------------------------------------------------------------------------

    def _consult(self, consult: Consult) -> Seen | Failed:
        try:
            if consult.sweep:
                self._journal.sweep(self._clock())
            if consult.onsets:
                inventory = self._inventory()
                for onset in consult.onsets:
                    answer = self._journal.submit(self._policy, onset, inventory, self._clock(), consult.accepted_us.get(onset.request_id))
                    if isinstance(answer, Refused):
                        log.warning("onset is not acted upon", extra={"request_id": onset.request_id, "problem": answer.reason})
            seen = Seen(list(self._journal.opened()))
        except StoreError as error:
            self._tell(str(error))
            return Failed()
        if consult.onsets:
            self._tell(inventory.problem if isinstance(inventory, Unreadable) else "")
        return seen

    def _inventory(self) -> Inventory | Unreadable | None:
        try:
            return self._world()
        except FileError as error:
            return Unreadable(str(error))

    def _tell(self, problem: str) -> None:
        """Once for each problem, not with every try."""
        if problem and problem != self._problem:
            log.error("decisions wait", extra={"problem": problem})
        self._problem = problem


def event(operation: Operation) -> Event:
    """What a rulebook gets: the control loop message, and what is to be done about it."""
    attempt = operation.attempt if operation.half_done else operation.attempt + 1
    return {"onset": to_map(operation.onset), "operation": {"action": operation.action, "attempt": attempt}}
