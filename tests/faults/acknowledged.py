"""What mobile nodes were told is registered, and whether HA-B still knows."""

from __future__ import annotations

import json
import shutil
import sqlite3
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from closedloop_nf.ha_b.store.interface import StoreError
from closedloop_nf.ha_b.store.sqlite import SqliteStore
from closedloop_nf.runtime.addresses import to_text

_SPACE = 1 << 16


class Acknowledged(NamedTuple):
    """The last registration that a home agent acknowledged."""

    sequence: int
    care_of_address: str


class EventStream:
    """Follows the event stream of one mobile node, over the ends of its processes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read = 0
        self._sequence: int | None = None
        self.last: Acknowledged | None = None
        """None also where the mobile node has asked for a deregistration since: then HA-B may know it or not."""
        self.count = 0

    def follow(self) -> None:
        """Read what has been added. A line is written in one piece."""
        with self._path.open("rb") as file:
            file.seek(self._read)
            lines = file.read().splitlines()
            self._read = file.tell()
        for line in lines:
            self._take(json.loads(line))

    def _take(self, event: dict[str, Any]) -> None:
        """`bound` follows the `ba_received` that it is the outcome of, which has the sequence number."""
        if event["name"] == "ba_received" and event["status"] < 128 and event["lifetime_s"] > 0:
            self._sequence = event["sequence"]
        elif event["name"] == "bound" and self._sequence is not None:
            self.last = Acknowledged(self._sequence, event["care_of_address"])
            self.count += 1
        elif event["name"] == "bu_sent" and event["lifetime_s"] == 0:
            self.last = None


def lost(acknowledged: Acknowledged, row: dict[str, Any] | None) -> str | None:
    """None where HA-B's row is this registration or a newer one (RFC 6275 section 9.5.1 compares modulo 2^16); else what is wrong."""
    if row is None:
        return f"acknowledged with sequence {acknowledged.sequence}, HA-B knows no binding"
    newer = (row["sequence"] - acknowledged.sequence) % _SPACE
    if newer >= _SPACE // 2:
        return f"acknowledged with sequence {acknowledged.sequence}, HA-B has {row['sequence']}"
    if newer == 0 and row["care_of_address"] != acknowledged.care_of_address:
        return f"acknowledged at {acknowledged.care_of_address}, HA-B has the same sequence at {row['care_of_address']}"
    return None


def durable(database: Path) -> dict[str, dict[str, Any]]:
    """Bindings in the SQLite file of an HA-B that does not run, by home address. A copy is read: opening it would recover it."""
    with tempfile.TemporaryDirectory(prefix="closedloop-faults-") as folder:
        copy = Path(folder, database.name)
        for suffix in ("", "-wal"):
            source = database.with_name(database.name + suffix)
            if source.exists():
                shutil.copy(source, f"{copy}{suffix}")
        try:
            store = SqliteStore(copy)
            rows = store.load().bindings
            store.close()
        except (StoreError, sqlite3.Error) as error:
            raise AssertionError(f"the database of a killed HA-B cannot be read: {error}") from error
    return {
        to_text(row.home_address): {"sequence": row.sequence, "care_of_address": to_text(row.care_of_address), "owner": row.owner}
        for row in rows
    }
