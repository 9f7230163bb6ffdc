"""State changes, newest 4096 in memory, for GET /v1/events and for whoever reports them."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final, NamedTuple

from closedloop_nf.ha_b.actions import Notify

KEPT: Final = 4096


class Entry(NamedTuple):
    """id: grows by one per event, and across restarts, as it begins at the start time in microseconds."""

    id: int
    event: Notify


class EventLog:
    def __init__(self, started_wall: float) -> None:
        self._entries: deque[Entry] = deque(maxlen=KEPT)
        self._next = int(started_wall * 1_000_000)
        self._first = self._next
        self._arrived = asyncio.Event()

    def add(self, event: Notify) -> None:
        self._entries.append(Entry(self._next, event))
        self._next += 1
        self._arrived.set()
        self._arrived = asyncio.Event()

    @property
    def last(self) -> int:
        """Id of the newest event, one less than the first id to come where there is none."""
        return self._next - 1

    def since(self, last_seen: int, limit: int) -> tuple[list[Entry], bool]:
        """Up to `limit` events after `last_seen`, oldest first, and whether earlier ones are gone that the caller has not seen."""
        oldest = self._entries[0].id if self._entries else self._next
        missed = 0 < last_seen < oldest - 1
        if last_seen >= self.last:
            return [], missed
        start = max(0, last_seen + 1 - oldest)
        return [self._entries[index] for index in range(start, min(len(self._entries), start + limit))], missed

    async def wait(self, last_seen: int, timeout_s: float) -> None:
        """Until there is an event after `last_seen`, at most `timeout_s`."""
        if last_seen < self.last:
            return
        try:
            async with asyncio.timeout(timeout_s):
                await self._arrived.wait()
        except TimeoutError:
            return
