"""Store in memory, for the simulator, replays and tests."""

from __future__ import annotations

from collections.abc import Sequence

from closedloop_loop.operations.model import Operation, State
from closedloop_loop.operations.store.interface import T, Work


class MemoryStore:
    """Also its own view."""

    def __init__(self) -> None:
        self.operations: dict[str, Operation] = {}

    def transact(self, work: Work[T]) -> T:
        answer, put = work(self)
        self.operations.update((operation.request_id, operation) for operation in put)
        return answer

    def get(self, request_id: str) -> Operation | None:
        return self.operations.get(request_id)

    def recent(self, limit: int, state: State | None = None, target: str | None = None) -> list[Operation]:
        wanted = [
            operation
            for operation in self.operations.values()
            if (state is None or operation.state is state) and (target is None or operation.target == target)
        ]
        return sorted(wanted, key=lambda operation: -operation.number)[:limit]

    def close(self) -> None:
        """Nothing to let go of."""

    def open(self) -> Sequence[Operation]:
        return sorted((operation for operation in self.operations.values() if operation.open), key=lambda operation: operation.number)

    def history(self, loop: str, since_us: int) -> Sequence[Operation]:
        return [
            operation
            for operation in self.operations.values()
            if operation.loop == loop and (operation.blocks or (operation.started_us is not None and operation.started_us > since_us))
        ]

    def last_number(self) -> int:
        return max((operation.number for operation in self.operations.values()), default=0)

    def last_token(self) -> int:
        return max((operation.token for operation in self.operations.values()), default=0)
