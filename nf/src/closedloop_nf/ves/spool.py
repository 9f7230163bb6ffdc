"""The queue's disk: events that wait, and the reporter's memory, in one SQLite file.

Every write is one transaction and flushed (WAL, synchronous=FULL): what a raised alarm needs to be cleared is as durable as its event.
All methods are called from one thread after another, never from two at once.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import msgspec

from closedloop_nf.runtime.config import ConfigError
from closedloop_nf.ves.author import Memory, Written

_TABLES = """
CREATE TABLE IF NOT EXISTS event (number INTEGER PRIMARY KEY, domain TEXT NOT NULL, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS kept (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
"""


class Left(NamedTuple):
    """What an earlier process left. number: the last one it used, 0 where there was none."""

    events: list[Written]
    memory: Memory
    number: int


class Spool:
    """Opens, and creates, the file. Raises ConfigError where that cannot be, or where another process has it."""

    def __init__(self, path: Path) -> None:
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            self._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=1.0)
            for setting in ("locking_mode = EXCLUSIVE", "journal_mode = WAL", "synchronous = FULL"):
                self._database.execute(f"PRAGMA {setting}")
            self._database.executescript(_TABLES)
        except (OSError, sqlite3.Error) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise ConfigError(
                path, "ves.queue", f"cannot be used ({reason}); name a file in a writable folder that no other process uses"
            ) from None

    def load(self) -> Left:
        """Raises sqlite3.Error, and msgspec.MsgspecError where the memory is not ours."""
        events = [Written(*row) for row in self._database.execute("SELECT number, domain, body FROM event ORDER BY number")]
        kept = dict(self._database.execute("SELECT key, value FROM kept").fetchall())
        memory = msgspec.json.decode(kept["memory"], type=Memory) if "memory" in kept else Memory()
        return Left(events, memory, int(kept.get("number", 0)))

    def write(self, events: Iterable[Written], gone: Iterable[int], number: int | None = None, memory: bytes | None = None) -> None:
        """One transaction: add, delete, remember. Raises sqlite3.Error with nothing changed."""
        database = self._database
        database.execute("BEGIN IMMEDIATE")
        try:
            database.executemany("INSERT OR REPLACE INTO event VALUES (?, ?, ?)", events)
            database.executemany("DELETE FROM event WHERE number = ?", ((number,) for number in gone))
            kept = {"number": number, "memory": memory}
            database.executemany("INSERT OR REPLACE INTO kept VALUES (?, ?)", [(k, v) for k, v in kept.items() if v is not None])
            database.execute("COMMIT")
        except BaseException:
            if database.in_transaction:
                database.execute("ROLLBACK")
            raise

    def close(self) -> None:
        self._database.close()
