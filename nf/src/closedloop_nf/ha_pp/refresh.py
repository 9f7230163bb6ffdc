"""Binding Refresh Requests: ask a mobile node whose lifetime nears its end to register again (RFC 6275 sections 6.1.2 and 9.5.5)."""

from __future__ import annotations

import heapq

from closedloop_nf.ha_pp import replies
from closedloop_nf.ha_pp.state import State
from closedloop_nf.link.messages import Binding
from closedloop_nf.runtime.clock import Instant

REMAINING_SHARE = 0.1
"""Share of the lifetime still to go when the request is sent. The refresh advice of the acknowledgement asks for more (replies.py)."""
AT_ONCE = 200
"""Requests sent in one step."""


class Refresher:
    """One request per granted lifetime; a registration before that puts it off."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._queue: list[tuple[float, bytes]] = []
        self._queued: dict[bytes, float] = {}
        """Earliest queue entry of an address; a later due time is found out when that comes up."""
        self._due: dict[bytes, float] = {}

    def deadline(self) -> float | None:
        return self._queue[0][0] if self._queue else None

    def plan(self, row: Binding, now: Instant) -> None:
        """The row is served here until `expires_at`."""
        due = now.mono + (row.expires_at - now.wall) - row.lifetime_s * REMAINING_SHARE
        if due <= now.mono:
            return
        self._due[row.home_address] = due
        self._enqueue(row.home_address, due)

    def cancel(self, home_address: bytes) -> None:
        """The address is no longer served here."""
        self._due.pop(home_address, None)

    def tick(self, now: Instant) -> None:
        """Send what is due."""
        state = self._state
        for _step in range(AT_ONCE):
            if not self._queue or self._queue[0][0] > now.mono:
                return
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
            row = state.known.bindings.get(home_address)
            if row is not None and home_address in state.served and state.serving(now) and state.address is not None:
                state.counters["binding_refresh_requests_sent"] += 1
                state.out.append(
                    replies.binding_refresh_request(source=state.address, home_address=home_address, care_of_address=row.care_of_address)
                )

    def _enqueue(self, home_address: bytes, due: float) -> None:
        queued = self._queued.get(home_address)
        if queued is None or due < queued:
            self._queued[home_address] = due
            heapq.heappush(self._queue, (due, home_address))
