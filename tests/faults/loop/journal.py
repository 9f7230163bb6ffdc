"""The operations journal while others write it: no operation twice, tokens that only grow; and what acknowledged alarms led to."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from ansible_collections.closedloop.mobility.plugins.module_utils import namespaces
from closedloop_loop.onset import request_id
from closedloop_loop.operations.model import Operation, State
from closedloop_loop.operations.store import rows
from closedloop_loop.records import FaultRaised

from tests.faults.loop.wire import Acknowledged

LOOP: Final = "home-agent-failover"
SAMPLE_S: Final = 0.02


def read(path: Path) -> list[Operation]:
    """All operations by number. Only read: what is looked at is not disturbed. Raises sqlite3.Error."""
    database = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)
    try:
        return [rows.to_operation(document) for (document,) in database.execute("SELECT document FROM operation ORDER BY number")]
    finally:
        database.close()


class JournalWatch:
    """Reads journal and hosts all the time, in a thread."""

    def __init__(self, path: Path, lab: str) -> None:
        self._path, self._lab = path, lab
        self._known: dict[str, Operation] = {}
        self._claims: dict[int, str] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="journal watch")
        self.samples = 0
        self.hosts: set[tuple[str, int]] = set()
        """Every network namespace that was there for a VF module: name and inode."""
        self.violations: list[str] = []
        self.failure: str | None = None

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join(20)

    @property
    def claims(self) -> int:
        return len(self._claims)

    def _run(self) -> None:
        while not self._stop.wait(SAMPLE_S):
            try:
                self._look()
            except sqlite3.OperationalError as error:
                self.failure = str(error)
            except Exception as error:
                self.violations.append(f"the watch of the journal has failed: {type(error).__name__}: {error}")
                raise
            self.samples += 1

    def _look(self) -> None:
        for path in namespaces.RUN_DIRECTORY.glob(f"{self._lab}-ha-pp-*"):
            try:
                self.hosts.add((path.name, path.stat().st_ino))
            except FileNotFoundError:
                continue
        operations = read(self._path)
        for operation in operations:
            before = self._known.get(operation.request_id)
            if operation != before:
                self.violations += self._problems(before, operation)
            self._known[operation.request_id] = operation
        for lost in self._known.keys() - {operation.request_id for operation in operations}:
            self.violations.append(f"operation {lost} has gone from the journal")
        running = [operation for operation in operations if operation.state is State.RUNNING]
        if len({operation.group for operation in running}) < len(running):
            self.violations.append(f"operations {[operation.number for operation in running]} of one group run at the same time")

    def _problems(self, before: Operation | None, now: Operation) -> Iterable[str]:
        name = f"operation {now.number} of {now.target}"
        successes = sum(stage.name == "succeeded" for stage in now.stages)
        if successes > 1:
            yield f"{name} has succeeded {successes} times"
        if before is not None and before.state is State.SUCCEEDED and now.state is not State.SUCCEEDED:
            yield f"{name} had succeeded and is {now.state}"
        if before is not None and now.token < before.token:
            yield f"the token of {name} went back from {before.token} to {now.token}"
        if now.token and now.token != (before.token if before else 0):
            if self._claims.setdefault(now.token, now.request_id) != now.request_id:
                yield f"token {now.token} was given to {name} and to {self._claims[now.token]}"
            later = [token for token, owner in self._claims.items() if token > now.token and owner != now.request_id]
            if later:
                yield f"token {now.token} of {name} is not above {max(later)}, which was given before"


def lost(acknowledged: Iterable[Acknowledged], sent: dict[tuple[str, str, int], float], operations: Iterable[Operation]) -> list[str]:
    """Alarms that were acknowledged and that no operation stands for."""
    known = list(operations)
    problems = []
    for fact in acknowledged:
        alarm = fact.record
        if not isinstance(alarm, FaultRaised):
            continue
        ended = sent.get((alarm.source, alarm.event_id, alarm.sequence + 1))
        if ended is not None and ended <= fact.answered:
            continue  # its end may have arrived before it
        if not any(_stands_for(operation, alarm) for operation in known):
            problems.append(f"{alarm.alarm} of {alarm.source}, event {alarm.event_id}, was acknowledged and led to no operation")
    return problems


def _stands_for(operation: Operation, alarm: FaultRaised) -> bool:
    """It was begun by the alarm, or by another one of the same target that had not ended when this one began."""
    if operation.request_id == request_id(LOOP, alarm.source, alarm.identity):
        return True
    if operation.loop != LOOP or operation.target != alarm.source or operation.onset.alarm_start_us > alarm.start_us:
        return False
    return operation.abated_us is None or operation.abated_us >= alarm.start_us
