"""The binding cache in memory: what is committed, and on top of it what waits to be.

Registrations are judged against the newest row (`known`); nothing but committed rows (`committed`) leaves this process.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from sys import intern

import msgspec

from closedloop_nf.link.messages import Binding


class BindingTable:
    """Rows by home address, with tombstones (lifetime_s 0). `live` counts of an owner include waiting changes."""

    def __init__(self, rows: Iterable[Binding]) -> None:
        self.committed: dict[bytes, Binding] = {}
        self._staged: dict[bytes, Binding] = {}
        self._owned: dict[str, dict[bytes, None]] = {}
        self._expiry: list[tuple[float, bytes]] = []
        self._queued: dict[bytes, float] = {}
        for row in rows:
            shared = msgspec.structs.replace(row, owner=intern(row.owner))
            self.committed[row.home_address] = shared
            self._index(None, shared)

    def known(self, home_address: bytes) -> Binding | None:
        """The newest row, committed or not; may be a tombstone."""
        row = self._staged.get(home_address)
        return row if row is not None else self.committed.get(home_address)

    def owned(self, owner: str) -> list[bytes]:
        """Home addresses of the owner's live rows, in the order in which it got them."""
        return list(self._owned.get(owner, ()))

    def count(self, owner: str) -> int:
        return len(self._owned.get(owner, ()))

    def live(self) -> Iterator[Binding]:
        """Committed rows without tombstones."""
        return (row for row in self.committed.values() if row.lifetime_s)

    def stage(self, row: Binding) -> None:
        """Change a row; committed later by `commit` with the same object."""
        self._index(self.known(row.home_address), row)
        self._staged[row.home_address] = row

    def commit(self, rows: Iterable[Binding]) -> None:
        """These staged rows are durable. Call in the order of staging."""
        staged = self._staged
        for row in rows:
            self.committed[row.home_address] = row
            if staged.get(row.home_address) is row:
                del staged[row.home_address]

    def settled(self, row: Binding) -> bool:
        """Whether the row is committed and nothing newer waits."""
        return self.committed.get(row.home_address) is row and row.home_address not in self._staged

    def forget(self, home_addresses: Iterable[bytes]) -> None:
        """Drop tombstones."""
        for home_address in home_addresses:
            self.committed.pop(home_address, None)

    # --- expiry: of bindings, and of tombstones ---

    def next_expiry(self) -> float | None:
        """UNIX second to look again; never later than the earliest expiry."""
        return self._expiry[0][0] if self._expiry else None

    def expired(self, wall: float, limit: int) -> list[Binding]:
        """Take up to `limit` rows and settled tombstones whose time has ended.

        The caller stages tombstones for the former and forgets the latter.
        """
        found: list[Binding] = []
        while self._expiry and self._expiry[0][0] <= wall and len(found) < limit:
            when, home_address = heapq.heappop(self._expiry)
            if self._queued.get(home_address) != when:
                continue
            del self._queued[home_address]
            row = self.known(home_address)
            if row is None:
                continue
            if row.expires_at > wall:
                self._queue(row)
            elif row.lifetime_s or self.settled(row):
                found.append(row)
        return found

    def _index(self, before: Binding | None, row: Binding) -> None:
        if before is not None and before.lifetime_s and (before.owner != row.owner or not row.lifetime_s):
            owned = self._owned[before.owner]
            del owned[before.home_address]
            if not owned:
                del self._owned[before.owner]
        if row.lifetime_s:
            self._owned.setdefault(row.owner, {})[row.home_address] = None
        self._queue(row)

    def _queue(self, row: Binding) -> None:
        queued = self._queued.get(row.home_address)
        if queued is None or row.expires_at < queued:
            self._queued[row.home_address] = row.expires_at
            heapq.heappush(self._expiry, (row.expires_at, row.home_address))
