"""The intake journal in one SQLite file: WAL, every commit flushed to the disk."""

from __future__ import annotations

import contextlib
import itertools
import os
import sqlite3
from pathlib import Path
from typing import Final

import msgspec

from closedloop_loop.journal.messages import Commit, Read, Recovered

SCHEMA_VERSION: Final = 1
SCHEMA: Final = (
    "CREATE TABLE progress (id INTEGER PRIMARY KEY CHECK (id = 1), finished INTEGER NOT NULL) STRICT",
    "INSERT INTO progress VALUES (1, 0)",
    "CREATE TABLE consumer (id INTEGER PRIMARY KEY CHECK (id = 1), state BLOB NOT NULL) STRICT",
    "CREATE TABLE events (last INTEGER PRIMARY KEY, first INTEGER NOT NULL, bodies BLOB NOT NULL) STRICT",
    "CREATE TABLE seen (last INTEGER PRIMARY KEY, first INTEGER NOT NULL, keys BLOB NOT NULL) STRICT",
    """CREATE VIEW intake AS SELECT
        0 AS first, 0 AS last, x'' AS bodies, x'' AS keys, 0 AS finished, 0 AS forget, x'' AS state WHERE false""",
    """CREATE TRIGGER commit_intake INSTEAD OF INSERT ON intake BEGIN
        INSERT INTO events SELECT NEW.last, NEW.first, NEW.bodies WHERE NEW.bodies IS NOT NULL;
        INSERT INTO seen SELECT NEW.last, NEW.first, NEW.keys WHERE NEW.keys IS NOT NULL;
        UPDATE progress SET finished = NEW.finished WHERE finished <> NEW.finished;
        INSERT OR REPLACE INTO consumer SELECT 1, NEW.state WHERE NEW.state IS NOT NULL;
        DELETE FROM events WHERE last <= NEW.finished;
        DELETE FROM seen WHERE last <= NEW.forget;
    END""",
    f"PRAGMA user_version = {SCHEMA_VERSION}",
)
"""Events and keys that were stored together share a row: a msgpack list, whose members have the ids first, first + 1, ... last.

A commit is one statement, which a trigger spreads: sqlite3 gives the interpreter's lock away for each statement, and has to wait for it
while the event loop is busy, which costs more than what the statement does.
"""
COMMIT: Final = "INSERT INTO intake (first, last, bodies, keys, finished, forget, state) VALUES (?, ?, ?, ?, ?, ?, ?)"
ROW_EVENTS: Final = 256
"""Events in one row, at most: a row is read as a whole."""
PRAGMAS: Final = (
    # Exclusive: a second collector with the same journal fails at its start instead of giving the same ids.
    "locking_mode = EXCLUSIVE",
    "journal_mode = WAL",
    "synchronous = FULL",
    # 128 MiB. A checkpoint stops commits, for as long as it takes to write each page once, however often it was written in between: events
    # that were finished meanwhile cost nothing, and the more seldom it is, the fewer requests wait for one.
    "wal_autocheckpoint = 32768",
    f"journal_size_limit = {256 << 20}",
)


class JournalError(Exception):
    """The journal cannot be used; the text names the file and the remedy."""


class SqliteJournal:
    """Used by one thread at a time and one process at a time."""

    def __init__(self, path: Path) -> None:
        """Open or create. Raises JournalError."""
        self._path = path
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        except OSError as error:
            raise JournalError(f"{path}: cannot be opened ({error.strerror}); give a path this user can write") from None
        try:
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=1.0, cached_statements=64)
            self._prepare()
        except sqlite3.Error as error:
            raise self._trouble(error) from None

    def _trouble(self, error: sqlite3.Error) -> JournalError:
        remedy = "stop the other process that uses it" if "locked" in str(error) else "see that it is a journal on a disk with free space"
        return JournalError(f"{self._path}: {error}; {remedy}")

    def _prepare(self) -> None:
        for pragma in PRAGMAS:
            self._db.execute(f"PRAGMA {pragma}")
        self._db.execute("BEGIN EXCLUSIVE")
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if version > SCHEMA_VERSION:
            raise JournalError(
                f"{self._path}: written by a newer release (schema {version}, this one knows {SCHEMA_VERSION}); install that one"
            )
        if version == 0:
            for statement in SCHEMA:
                self._db.execute(statement)
        self._db.execute("COMMIT")

    def load(self, remember: int) -> Recovered:
        """What was durable; `remember`: how many keys at most. Raises JournalError."""
        try:
            [(finished,)] = self._db.execute("SELECT finished FROM progress")
            [(last,)] = self._db.execute("SELECT max((SELECT ifnull(max(last), 0) FROM events), (SELECT ifnull(max(last), 0) FROM seen))")
            [(backlog,)] = self._db.execute(
                "SELECT ifnull(sum(last - max(first - 1, ?)), 0) FROM events WHERE last > ?", (finished, finished)
            )
            state = self._db.execute("SELECT state FROM consumer").fetchone()
            keys = self._keys(remember)
        except sqlite3.Error as error:
            raise self._trouble(error) from None
        return Recovered(finished, max(finished, last), backlog, keys, state[0] if state else None)

    def _keys(self, remember: int) -> tuple[tuple[int, bytes], ...]:
        """The newest, rising by id."""
        newest: list[tuple[int, bytes]] = []
        for last, packed in self._db.execute("SELECT last, keys FROM seen ORDER BY last DESC"):
            if len(newest) >= remember:
                break
            newest += zip(itertools.count(last, -1), reversed(_list.decode(packed)), strict=False)
        return tuple(reversed(newest[:remember]))

    def commit(self, commit: Commit) -> None:
        """All of it or nothing. Raises JournalError."""
        tail = (commit.finished, commit.forget, commit.state)
        parts = [(*_packed(commit.rows[at : at + ROW_EVENTS]), *tail) for at in range(0, len(commit.rows), ROW_EVENTS)]
        try:
            if len(parts) <= 1:
                self._db.execute(COMMIT, parts[0] if parts else (None, None, None, None, *tail))
                return
            self._db.execute("BEGIN IMMEDIATE")
            try:
                self._db.executemany(COMMIT, parts)
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise self._trouble(error) from None

    def read(self, read: Read) -> tuple[list[tuple[int, bytes]], bool]:
        """Rows, and whether limits ended the list. Raises JournalError."""
        rows: list[tuple[int, bytes]] = []
        octets = 0
        try:
            cursor = self._db.execute(
                "SELECT first, bodies FROM events WHERE last > ? AND first <= ? ORDER BY last", (read.after, read.through)
            )
            with contextlib.closing(cursor):
                for first, packed in cursor:
                    for number, body in enumerate(_list.decode(packed), first):
                        if not read.after < number <= read.through:
                            continue
                        rows.append((number, body))
                        octets += len(body)
                        if octets >= read.octets or len(rows) == read.rows:
                            return rows, True
        except sqlite3.Error as error:
            raise self._trouble(error) from None
        return rows, False

    def close(self) -> None:
        self._db.close()


_list: Final = msgspec.msgpack.Decoder(list[bytes])
_encoder: Final = msgspec.msgpack.Encoder()


def _packed(rows: list[tuple[int, bytes, bytes]]) -> tuple[int, int, bytes, bytes]:
    """first, last, bodies, keys."""
    return rows[0][0], rows[-1][0], _encoder.encode([body for _, _, body in rows]), _encoder.encode([key for _, key, _ in rows])
