"""What is due when, for each home address: one time each, changed and taken back at will."""

from __future__ import annotations

import heapq


class Agenda:
    """Holds about one queue entry for each address, however often its time is changed."""

    def __init__(self) -> None:
        self._queue: list[tuple[float, bytes]] = []
        self._queued: dict[bytes, float] = {}
        """Earliest queue entry of an address; a later due time is found out when that comes up."""
        self._due: dict[bytes, float] = {}

    def deadline(self) -> float | None:
        """Monotonic seconds at which `take` is to be asked."""
        return self._queue[0][0] if self._queue else None

    def due(self, home_address: bytes) -> float | None:
        """Monotonic seconds; None: nothing is planned."""
        return self._due.get(home_address)

    def plan(self, home_address: bytes, due: float) -> None:
        self._due[home_address] = due
        self._enqueue(home_address, due)

    def cancel(self, home_address: bytes) -> None:
        self._due.pop(home_address, None)

    def take(self, mono: float, at_most: int) -> list[bytes]:
        """The addresses that are due, each once; of very many the first ones."""
        found: list[bytes] = []
        for _step in range(at_most):
            if not self._queue or self._queue[0][0] > mono:
                break
            at, home_address = heapq.heappop(self._queue)
            if self._queued.get(home_address) == at:
                del self._queued[home_address]
            due = self._due.get(home_address)
            if due is None:
                continue
            if due > at:
                self._enqueue(home_address, due)
                continue
            del self._due[home_address]
            found.append(home_address)
        return found

    def _enqueue(self, home_address: bytes, due: float) -> None:
        queued = self._queued.get(home_address)
        if queued is None or due < queued:
            self._queued[home_address] = due
            heapq.heappush(self._queue, (due, home_address))
