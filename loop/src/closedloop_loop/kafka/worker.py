"""A loop worker: the event source `closedloop.mobility.ves_kafka` without its plug-in.

topic --fetch--> partitions (analytics) --onsets--> dispatcher --> operations journal --> rulebook
                      |                                  |
                      +--- offset and state, token <-----+ only when no onset of it can be lost any more
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from closedloop_loop.dispatch.shell import DispatcherShell
from closedloop_loop.files import FileError
from closedloop_loop.intake.source import Queue
from closedloop_loop.kafka import connection, worker_config
from closedloop_loop.kafka.messages import Message
from closedloop_loop.kafka.partition import Partition
from closedloop_loop.kafka.progress import ProgressStore
from closedloop_loop.kafka.reader import Reader, patiently
from closedloop_loop.kafka.worker_config import NOT_A_FILE, WorkerConfig
from closedloop_loop.onset import Onset
from closedloop_loop.operations.journal import Journal
from closedloop_loop.operations.store.interface import StoreError
from closedloop_loop.operations.store.open import open_store
from closedloop_loop.policy.load import load_inventory, load_policy
from closedloop_loop.policy.model import Imbalance, Policy, Threshold
from closedloop_loop.policy.placement import world

log: Final = logging.getLogger("closedloop_loop.worker")

FETCH_S: Final = 0.1
SAVE_S: Final = 5.0
"""How much a successor reads again after a crash, at most, while the database answers. State is about 0.3 KB for each source of a loop."""
LOOK_S: Final = 3.0
"""How often it is looked whether what onsets are about is still there."""
RETRY_S: Final = 1.0

T = TypeVar("T")


async def run(queue: Queue, arguments: Mapping[str, Any]) -> None:
    """Until cancelled. Raises FileError before anything is read; the text names the argument and the remedy."""
    settings = worker_config.from_arguments(arguments)
    policy = load_policy(settings.policy)
    if settings.inventory is not None:
        load_inventory(settings.inventory)  # it is read for each decision; what is wrong with it from the first is told now
    number = connection.partitions(settings.kafka)
    refuse_divided_groups(policy, number)
    try:
        store = open_store(settings.operations)
    except StoreError as error:
        raise FileError(NOT_A_FILE, "operations", str(error)) from None
    try:
        dispatcher = DispatcherShell(policy, Journal(store), lambda: world(settings.inventory, settings.placement), queue.put, shared=True)
        worker = Worker(settings, policy, dispatcher)
        log.info("a worker of group %s, topic %s with %d partitions", settings.group, settings.kafka.topic, number)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(dispatcher.run())
            tasks.create_task(worker.run())
    finally:
        store.close()


def refuse_divided_groups(policy: Policy, partitions: int) -> None:
    """A condition on all sources together needs them in one place. Raises FileError."""
    divided = [
        loop.name
        for loop in policy.loops
        if isinstance(loop.condition, Imbalance) or (isinstance(loop.condition, Threshold) and loop.condition.across == "all")
    ]
    if divided and partitions > 1:
        problem = (
            f"of {', '.join(divided)} regards all sources together, and the topic has {partitions} partitions, whose sources may be with"
            " different workers; give these sources a topic with one partition, or leave the loop out"
        )
        raise FileError(NOT_A_FILE, "policy", f"the condition {problem}")


@dataclass(slots=True)
class _Held:
    partition: Partition
    token: int
    saved: int
    """Offset up to which the database has it."""


class Worker:
    """What blocks is done in one thread: the consumer calls back within, and so do its rebalances into the database."""

    def __init__(self, settings: WorkerConfig, policy: Policy, dispatcher: DispatcherShell) -> None:
        self._policy, self._dispatcher, self._settings = policy, dispatcher, settings
        self._progress = ProgressStore(settings.operations, settings.group, settings.kafka.topic)
        self._held: dict[int, _Held] = {}
        self._stop = threading.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="kafka")
        self._problem = ""

    async def run(self) -> None:
        """Until cancelled."""
        reader = await self._blocking(lambda: Reader(self._settings.kafka, self._settings.group, self._given, self._taken))
        save_at = look_at = time.monotonic()
        try:
            while True:
                messages = await self._blocking(lambda: reader.fetch(FETCH_S))
                due, accepted = self._look(messages)
                if time.monotonic() >= look_at:
                    look_at = time.monotonic() + LOOK_S
                    due += await self._absent()
                await self._dispatcher.take(due, accepted)
                if time.monotonic() >= save_at:
                    await self._blocking(lambda: self._save(reader))
                    save_at = time.monotonic() + SAVE_S
        finally:
            self._stop.set()
            await asyncio.shield(self._blocking(lambda: self._close(reader)))
            self._thread.shutdown(wait=False)

    def _look(self, messages: list[Message]) -> tuple[list[Onset], dict[str, int]]:
        due: list[Onset] = []
        accepted: dict[str, int] = {}
        for held in self._held.values():
            due += held.partition.due
            held.partition.due = []
        for message in messages:
            if (found := self._held.get(message.partition)) is None:
                continue
            told = found.partition.handle(message)
            due += told
            if message.body:
                accepted |= {onset.request_id: message.time_ms * 1000 for onset in told if onset.status == "ONSET"}
        return due, accepted

    async def _absent(self) -> list[Onset]:
        due: list[Onset] = []
        for held in list(self._held.values()):
            for module in await self._dispatcher.absent(held.partition.modules()):
                due += held.partition.dismiss(module)
        return due

    async def _blocking(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    # --- the thread; the event loop waits meanwhile ------------------------------------------------------------------

    def _given(self, partitions: list[int]) -> dict[int, int]:
        """Waits for the database. A worker that waits too long is taken for lost, and its claims are as good as any other's."""
        places = {}
        for number in partitions:
            while True:
                try:
                    claimed = self._progress.claim(number)
                    break
                except StoreError as error:
                    self._tell(str(error))
                    patiently(self._stop, RETRY_S)
            partition = Partition(self._policy, claimed.progress)
            self._held[number] = _Held(partition, claimed.token, partition.next)
            places[number] = partition.next if claimed.progress is not None else -1
        self._tell("")
        log.info("partitions are taken over", extra={"partitions": places})
        return places

    def _taken(self, partitions: list[int]) -> None:
        """All of them, as a rebalance begins, with what was looked at on record; where that fails, a successor looks again."""
        try:
            self._store()
        except StoreError as error:
            self._tell(str(error))
        self._held.clear()

    def _save(self, reader: Reader) -> None:
        try:
            reader.commit(self._store())
        except StoreError as error:
            self._tell(str(error))

    def _store(self) -> dict[int, int]:
        """Returns what is on record now. Raises StoreError."""
        changed = {number: held for number, held in self._held.items() if held.partition.next != held.saved}
        if not changed:
            return {}
        refused = self._progress.save({number: (held.token, held.partition.progress()) for number, held in changed.items()})
        for number, held in changed.items():
            if number in refused:
                log.warning("another worker has the partition", extra={"partition": number, "token": held.token})
                del self._held[number]
            else:
                held.saved = held.partition.next
        self._tell("")
        return {number: held.saved for number, held in changed.items() if number not in refused}

    def _close(self, reader: Reader) -> None:
        reader.close()
        self._progress.close()

    def _tell(self, problem: str) -> None:
        """Once for each problem, not with every try."""
        if problem and problem != self._problem:
            log.error("progress is not on record", extra={"problem": problem})
        self._problem = problem
