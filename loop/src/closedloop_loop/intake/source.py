"""The event source `closedloop.mobility.ves` without its plug-in."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any, Final, Protocol

from closedloop_loop.files import FileError
from closedloop_loop.intake import config, pipeline
from closedloop_loop.intake.collector import Collector
from closedloop_loop.intake.pipeline import Put, Scalars
from closedloop_loop.policy.load import load_policy

log: Final = logging.getLogger("closedloop_loop.source")


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
    recorder = pipeline.Recorder(settings.record) if settings.record is not None else None
    try:
        async with await Collector.open(settings) as collector:
            log.info("listening at port %d, %d events are not finished", collector.port, collector.journal.core.backlog)
            if policy is None:
                await pipeline.hand_on_records(collector, recorder, _putter(queue, "record", feedback))
            else:
                await pipeline.hand_on_onsets(collector, recorder, _putter(queue, "onset", feedback), policy)
    finally:
        if recorder is not None:
            recorder.close()


def _putter(queue: Queue, name: str, feedback: asyncio.Queue[Any] | None) -> Put:
    async def put(scalars: Scalars) -> None:
        await queue.put({name: scalars})
        if feedback is not None:
            await feedback.get()

    return put
