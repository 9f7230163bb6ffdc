"""From the journal to whoever acts: recorded, turned into records or onsets, handed on, then finished."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final, TypeAlias

import msgspec

from closedloop_loop import onset as onsets
from closedloop_loop.analytics import engine
from closedloop_loop.clock import now
from closedloop_loop.files import FileError
from closedloop_loop.intake.collector import Collector
from closedloop_loop.journal.messages import Delivery
from closedloop_loop.journal.shell import Journal
from closedloop_loop.names import is_figure
from closedloop_loop.policy.model import Policy
from closedloop_loop.records import AnyRecord, Measurement, Rejected, from_event

log: Final = logging.getLogger("closedloop_loop.pipeline")

TAKE: Final = 256
STATE_INTERVAL_S: Final = 1.0
"""How much analytics does again after a crash, at most."""

LOOK_S: Final = 3.0
"""How often it is looked whether what onsets are about is still there."""

Scalars: TypeAlias = dict[str, str | int | float]
Put: TypeAlias = Callable[[Scalars], Awaitable[None]]
Accepted: TypeAlias = Mapping[str, int]
"""When the event was durable that made analytics decide, UNIX microseconds, by request id; not for what time alone decided."""
Absent: TypeAlias = Callable[[list[str]], Awaitable[list[str]]]
"""Which of these VF modules are not placed."""
Tell: TypeAlias = Callable[[list[onsets.Onset], Accepted], Awaitable[None]]
"""Returns when none of the onsets can be lost any more."""


MEND_OCTETS: Final = 65536


class Recorder:
    """Appends events to a file, one JSON object a line; on the disk when `write` returns.

    After a crash some are there twice. The line that a killed process did not complete is removed: its event was not finished, so it comes
    again.
    """

    def __init__(self, path: str) -> None:
        """Raises FileError."""
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            self._mend()
        except OSError as error:
            raise FileError(path, "record", f"cannot be opened ({error.strerror}); give a path this user can write") from None
        self._path = Path(path)

    def _mend(self) -> None:
        size = kept = os.fstat(self._file).st_size
        while kept > 0:
            begin = max(0, kept - MEND_OCTETS)
            complete = os.pread(self._file, kept - begin, begin).rfind(b"\n") + 1
            kept = begin + complete
            if complete:
                break
        if kept < size:
            os.ftruncate(self._file, kept)

    async def write(self, deliveries: list[Delivery]) -> None:
        """Raises OSError."""
        await asyncio.to_thread(self._write, b"".join(delivery.body + b"\n" for delivery in deliveries))

    def _write(self, lines: bytes) -> None:
        view = memoryview(lines)
        while view:
            view = view[os.write(self._file, view) :]
        os.fdatasync(self._file)

    def close(self) -> None:
        os.close(self._file)


async def discard(collector: Collector[Journal], recorder: Recorder | None) -> None:
    """Nobody acts: events are recorded, if that is wanted, and finished."""
    while True:
        deliveries = await collector.journal.take(TAKE)
        await _record(recorder, deliveries)
        collector.metrics.delivered += len(deliveries)
        collector.journal.finish([delivery.id for delivery in deliveries])


async def hand_on_records(collector: Collector[Journal], recorder: Recorder | None, put: Put) -> None:
    """Every event that analytics could use, as a flat map; each is finished when `put` has returned."""
    while True:
        deliveries = await collector.journal.take(TAKE)
        await _record(recorder, deliveries)
        for delivery in deliveries:
            record = _record_of(collector, delivery)
            if record is not None:
                await put(flat(record))
            collector.metrics.delivered += 1
            collector.journal.finish([delivery.id])


async def hand_on_onsets(
    collector: Collector[Journal], recorder: Recorder | None, tell: Tell, policy: Policy, absent: Absent | None = None
) -> None:
    """What the policy's loops make of the events.

    Events are finished when `tell` has returned, together with the state that has taken them in, so that after a crash the same events meet
    the same state and give the same onsets, with the same request ids. What time has a part in is durable before it is told.
    absent: an onset about what is not placed is abated, as nobody may be left who would tell its end.
    """
    begun = now()
    analytics = engine.Analytics(policy, begun)
    due: list[onsets.Onset] = []
    if collector.journal.state is not None:
        try:
            analytics, due = engine.restore(policy, collector.journal.state, begun)
        except engine.StateError as error:
            log.warning("analytics begins anew", extra={"problem": str(error)})
    accepted: dict[str, int] = {}
    taken: list[int] = []
    save_at, look_at = begun.mono + STATE_INTERVAL_S, begun.mono
    while True:
        if due and analytics.fleeting:
            await collector.journal.keep(taken, analytics.dump(now(), due))
            taken, analytics.fleeting = [], False
        await tell(due, accepted)
        accepted = {}
        moment = now()
        if due or (taken and moment.mono >= save_at):
            collector.journal.finish(taken, analytics.dump(moment))
            taken, save_at = [], moment.mono + STATE_INTERVAL_S
        deadlines = [at for at in (analytics.deadline(), save_at if taken else None) if at is not None]
        try:
            async with asyncio.timeout(max(0.0, min(deadlines) - moment.mono) if deadlines else None):
                deliveries = await collector.journal.take(TAKE)
        except TimeoutError:
            due = analytics.tick(now())
            continue
        await _record(recorder, deliveries)
        moment = now()
        due = analytics.tick(moment)
        for delivery in deliveries:
            record = _record_of(collector, delivery)
            if record is not None:
                told = analytics.handle(record, moment)
                due += told
                if delivery.accepted_us is not None:
                    accepted |= {onset.request_id: delivery.accepted_us for onset in told if onset.status == "ONSET"}
            taken.append(delivery.id)
        collector.metrics.delivered += len(deliveries)
        if absent is not None and moment.mono >= look_at:
            look_at = moment.mono + LOOK_S
            for module in await absent(analytics.modules()):
                due += analytics.dismiss(module, moment)


async def _record(recorder: Recorder | None, deliveries: list[Delivery]) -> None:
    if recorder is not None:
        await recorder.write(deliveries)


def _record_of(collector: Collector[Journal], delivery: Delivery) -> AnyRecord | None:
    record = from_event(msgspec.json.decode(delivery.body))
    if isinstance(record, Rejected):
        if not record.other:
            collector.metrics.rejected += 1
            log.info("event is not used", extra={"problem": record.reason})
        return None
    return record


def flat(record: AnyRecord) -> Scalars:
    """A record as typed scalars under allow-listed names: its fields, its attributes, and `figure_<name>` for figures of the whole source.

    Figures of a part of it (`received_mbps.eth0`) are for analytics: a source has up to tens of thousands.
    """
    fields: dict[str, Any] = msgspec.to_builtins(record)
    scalars: Scalars = {name: value for name, value in fields.items() if type(value) in (str, int, float)}
    scalars.update(record.attributes)
    if isinstance(record, Measurement):
        scalars.update({f"figure_{name}": value for name, value in record.figures.items() if is_figure(name) and "." not in name})
    return scalars
