"""The event source `closedloop.mobility.ves` without its plug-in."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, Protocol, TypeAlias

from closedloop_loop.dispatch.shell import DispatcherShell
from closedloop_loop.files import FileError
from closedloop_loop.intake import config, pipeline
from closedloop_loop.intake.collector import Collector, open_journal
from closedloop_loop.intake.config import SourceConfig
from closedloop_loop.intake.pipeline import Accepted, Recorder, Scalars
from closedloop_loop.journal.shell import Journal as IntakeJournal
from closedloop_loop.onset import Onset, to_map
from closedloop_loop.operations.journal import Journal
from closedloop_loop.operations.store.interface import StoreError
from closedloop_loop.operations.store.open import open_store
from closedloop_loop.policy.load import load_inventory, load_policy
from closedloop_loop.policy.model import Policy
from closedloop_loop.policy.placement import world

log: Final = logging.getLogger("closedloop_loop.source")


Put: TypeAlias = Callable[[dict[str, Scalars]], Awaitable[None]]


class Queue(Protocol):
    """What ansible-rulebook gives a source: asyncio's, or one that filters."""

    async def put(self, item: dict[str, Any], /) -> None: ...


async def run(queue: Queue, arguments: Mapping[str, Any], feedback: asyncio.Queue[Any] | None = None) -> None:
    """Until cancelled. Raises FileError before the port is open; the text names the argument and the remedy.

    feedback: a queue that holds an item for each event that the rulebook has stored.
    """
    settings = config.from_arguments(arguments)
    if settings.feedback and feedback is None:
        raise FileError(config.NOT_A_FILE, "feedback", "is true, but ansible-rulebook offers none; update it, or leave feedback out")
    policy = load_policy(settings.policy) if settings.policy is not None else None
    if settings.inventory is not None:
        load_inventory(settings.inventory)  # it is read for each decision; what is wrong with it from the first is told now
    put = _putter(queue, feedback)
    recorder = pipeline.Recorder(settings.record) if settings.record is not None else None
    try:
        if policy is not None and settings.operations is not None:
            await _carry_out(settings, settings.operations, policy, recorder, put)
            return
        async with await _open(settings) as collector:
            _listening(collector)
            if policy is None:
                await pipeline.hand_on_records(collector, recorder, lambda scalars: put({"record": scalars}))
            else:

                async def tell(onsets: list[Onset], _accepted: Accepted) -> None:
                    for onset in onsets:
                        await put({"onset": to_map(onset)})

                await pipeline.hand_on_onsets(collector, recorder, tell, policy)
    finally:
        if recorder is not None:
            recorder.close()


async def _carry_out(settings: SourceConfig, operations: str, policy: Policy, recorder: Recorder | None, put: Put) -> None:
    """Onsets go to the operations journal; the rulebook gets what is due of it."""
    try:
        store = open_store(operations)
    except StoreError as error:
        raise FileError(config.NOT_A_FILE, "operations", str(error)) from None
    try:
        dispatcher = DispatcherShell(policy, Journal(store), lambda: world(settings.inventory, settings.placement), put)
        async with await _open(settings) as collector, asyncio.TaskGroup() as tasks:
            _listening(collector)
            tasks.create_task(dispatcher.run())
            tasks.create_task(pipeline.hand_on_onsets(collector, recorder, dispatcher.take, policy, dispatcher.absent))
    finally:
        store.close()


async def _open(settings: SourceConfig) -> Collector[IntakeJournal]:
    return await Collector.open(settings, lambda metrics: open_journal(settings, settings.journal, metrics))


def _listening(collector: Collector[IntakeJournal]) -> None:
    log.info("listening at port %d, %d events are not finished", collector.port, collector.journal.core.backlog)


def _putter(queue: Queue, feedback: asyncio.Queue[Any] | None) -> Put:
    async def put(item: dict[str, Scalars]) -> None:
        await queue.put(item)
        if feedback is not None:
            await feedback.get()

    return put
