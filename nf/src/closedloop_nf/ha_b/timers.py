"""Named timers of a core: many are moved later on every heartbeat, few ever fire."""

from __future__ import annotations

import heapq
from typing import NamedTuple


class Key(NamedTuple):
    """kind: what to do; of: which session (number), HA-PP (name) or address."""

    kind: str
    of: int | str | bytes = 0


class Timers:
    """Set, move, cancel and take due timers. Moving one later costs a dictionary entry; the heap learns of it when the old time comes."""

    def __init__(self) -> None:
        self._due: dict[Key, float] = {}
        self._queued: dict[Key, float] = {}
        self._heap: list[tuple[float, int, Key]] = []
        self._count = 0

    def set(self, key: Key, when: float) -> None:
        """(Re)arm `key` at monotonic second `when`."""
        self._due[key] = when
        queued = self._queued.get(key)
        if queued is None or when < queued:
            self._push(key, when)

    def cancel(self, key: Key) -> None:
        self._due.pop(key, None)

    def next(self) -> float | None:
        """When to look again; never later than the earliest timer."""
        heap = self._heap
        while heap:
            when, _, key = heap[0]
            if self._queued.get(key) == when and key in self._due:
                return when
            self._drop_first()
        return None

    def due(self, now: float) -> list[Key]:
        """Take every timer whose time has come, in order of time, then of arming."""
        keys: list[Key] = []
        heap = self._heap
        while heap and heap[0][0] <= now:
            queued, _, key = heap[0]
            current = self._queued.get(key) == queued
            self._drop_first()
            if not current:
                continue
            when = self._due.get(key)
            if when is None:
                continue
            if when <= now:
                del self._due[key]
                keys.append(key)
            else:
                self._push(key, when)
        return keys

    def _push(self, key: Key, when: float) -> None:
        self._queued[key] = when
        self._count += 1
        heapq.heappush(self._heap, (when, self._count, key))

    def _drop_first(self) -> None:
        when, _, key = heapq.heappop(self._heap)
        if self._queued.get(key) == when:
            del self._queued[key]
