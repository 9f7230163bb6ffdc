"""What of the control loop survives its process. Each disk may be full; then a commit changes nothing and says so."""

from __future__ import annotations

from typing import Final

from closedloop_loop.journal.messages import Commit, Read, Recovered
from closedloop_loop.operations.model import NEXT, Operation, State
from closedloop_loop.operations.store.interface import StoreError, T, Work
from closedloop_loop.operations.store.memory import MemoryStore

from tests.simulation.invariants import Broken

FULL: Final = "database or disk is full"


class JournalDisk:
    """The intake journal's file, as journal/store.py keeps it. `bodies`: every event that was ever durable, for the invariants."""

    def __init__(self) -> None:
        self.full = False
        self.events: dict[int, bytes] = {}
        self.seen: dict[int, bytes] = {}
        self.finished = 0
        self.state: bytes | None = None
        self.keys: set[bytes] = set()
        self.bodies: dict[int, bytes] = {}

    def load(self, remember: int) -> Recovered:
        last = max([self.finished, *self.events, *self.seen])
        keys = tuple(sorted(self.seen.items())[-remember:])
        return Recovered(self.finished, last, sum(number > self.finished for number in self.events), keys, self.state)

    def commit(self, commit: Commit) -> bool:
        """False where the disk refuses it."""
        if self.full:
            return False
        for number, key, body in commit.rows:
            self.events[number] = self.bodies[number] = body
            self.seen[number] = key
            self.keys.add(key)
        self.finished = commit.finished
        if commit.state is not None:
            self.state = commit.state
        self.events = {number: body for number, body in self.events.items() if number > commit.finished}
        self.seen = {number: key for number, key in self.seen.items() if number > commit.forget}
        return True

    def read(self, read: Read) -> tuple[list[tuple[int, bytes]], bool]:
        rows: list[tuple[int, bytes]] = []
        octets = 0
        for number in sorted(self.events):
            if not read.after < number <= read.through:
                continue
            rows.append((number, self.events[number]))
            octets += len(self.events[number])
            if octets >= read.octets or len(rows) == read.rows:
                return rows, True
        return rows, False


class OperationsDisk(MemoryStore):
    """The operations journal's database. Every transaction is looked at: what was written follows from what was there."""

    def __init__(self) -> None:
        super().__init__()
        self.full = False
        self.transitions: set[tuple[str, str]] = set()
        self._tokens: set[int] = set()

    def transact(self, work: Work[T]) -> T:
        answer, put = work(self)
        if put and self.full:
            raise StoreError(FULL)
        for operation in put:
            self._follows(self.operations.get(operation.request_id), operation)
            self.operations[operation.request_id] = operation
        if put:
            self._one_at_a_time()
        return answer

    def _follows(self, before: Operation | None, after: Operation) -> None:
        if before is None:
            self.transitions.add(("new", after.state))
        elif before.state is not after.state:
            # Two moves in one transaction (an actor found lost, then the next one's claim) are both in the table.
            through = any(after.state in NEXT[middle] for middle in NEXT[before.state])
            if after.state not in NEXT[before.state] and not through:
                raise Broken(f"operation {after.number} went from {before.state} to {after.state}")
            self.transitions.add((before.state, after.state))
        if before is not None and (before.onset.request_id, before.target, before.number) != (
            after.onset.request_id,
            after.target,
            after.number,
        ):
            raise Broken(f"operation {after.number} became another one")
        if after.token != (0 if before is None else before.token):
            if after.token in self._tokens:
                raise Broken(f"fencing token {after.token} was given twice")
            self._tokens.add(after.token)

    def _one_at_a_time(self) -> None:
        running = [operation for operation in self.operations.values() if operation.state is State.RUNNING]
        if len(running) > 1:
            raise Broken(f"operations {[operation.number for operation in running]} of one group run at the same time")
