"""What this HA-PP has learned from HA-B: the binding cache of its home prefixes and the mobility security associations."""

from __future__ import annotations

from collections.abc import Iterable

from closedloop_nf.link.messages import Binding, SecurityAssociation


class Known:
    """The HA-PP's copy. HA-B is the authority; nothing here is durable."""

    def __init__(self) -> None:
        self.bindings: dict[bytes, Binding] = {}
        self._keys: dict[bytes, dict[int, bytes]] = {}
        self._timestamps: dict[bytes, int] = {}
        self._snapshot: set[bytes] | None = None
        self._snapshot_keys: set[tuple[bytes, int]] | None = None

    def begin_snapshot(self) -> None:
        """What the coming snapshot does not name is forgotten by `end_snapshot`."""
        self._snapshot = set()
        self._snapshot_keys = set()

    def end_snapshot(self) -> list[bytes]:
        """Forget what the snapshot did not name; returns the home addresses that are gone."""
        seen = self._snapshot or set()
        seen_keys = self._snapshot_keys or set()
        self._snapshot = self._snapshot_keys = None
        gone = [home_address for home_address in self.bindings if home_address not in seen]
        for home_address in gone:
            del self.bindings[home_address]
        for stale in [(home, spi) for home, keys in self._keys.items() for spi in keys if (home, spi) not in seen_keys]:
            self._forget_key(*stale)
        return gone

    def _forget_key(self, home_address: bytes, spi: int) -> None:
        keys = self._keys.get(home_address, {})
        keys.pop(spi, None)
        if not keys:
            self._keys.pop(home_address, None)

    def learn(self, row: Binding) -> None:
        """Apply one row; lifetime_s 0 removes."""
        if row.timestamp:
            self._timestamps[row.home_address] = max(row.timestamp, self._timestamps.get(row.home_address, 0))
        if row.lifetime_s == 0:
            self.bindings.pop(row.home_address, None)
            return
        self.bindings[row.home_address] = row
        if self._snapshot is not None:
            self._snapshot.add(row.home_address)

    def newest_timestamp(self, home_address: bytes) -> int:
        """The newest RFC 4285 timestamp accepted from this node, 0 for none.

        It outlives the binding: what a node sent before it deregistered must not bind it again.
        """
        return self._timestamps.get(home_address, 0)

    def learn_keys(self, rows: Iterable[SecurityAssociation]) -> None:
        for row in rows:
            if row.removed:
                self._forget_key(row.home_address, row.spi)
                continue
            self._keys.setdefault(row.home_address, {})[row.spi] = row.key
            if self._snapshot_keys is not None:
                self._snapshot_keys.add((row.home_address, row.spi))

    def key(self, home_address: bytes, spi: int) -> bytes | None:
        keys = self._keys.get(home_address)
        return None if keys is None else keys.get(spi)

    def signing_key(self, home_address: bytes) -> tuple[int, bytes] | None:
        """(SPI, key) for a message that we begin; the lowest SPI where there are several."""
        keys = self._keys.get(home_address)
        if not keys:
            return None
        spi = min(keys)
        return spi, keys[spi]
