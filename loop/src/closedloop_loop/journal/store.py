"""The intake journal in one SQLite file: WAL, every commit flushed to the disk."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from closedloop_loop.journal.messages import Commit, Read, Recovered

SCHEMA_VERSION: Final = 1
SCHEMA: Final = (
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID, STRICT",
    "CREATE TABLE consumer (id INTEGER PRIMARY KEY CHECK (id = 1), state BLOB NOT NULL) STRICT",
    "CREATE TABLE event (id INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT",
    "CREATE TABLE seen (id INTEGER PRIMARY KEY, key BLOB NOT NULL) STRICT",
    f"PRAGMA user_version = {SCHEMA_VERSION}",
)
STATEMENT_ROWS: Final = (256, 32, 8, 1)
"""Rows in one INSERT: sqlite3 takes the interpreter's lock anew for each statement, which costs more than the row does."""


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
        # Exclusive: a second collector with the same journal fails at its start instead of giving the same ids.
        for pragma in ("locking_mode = EXCLUSIVE", "journal_mode = WAL", "synchronous = FULL", "wal_autocheckpoint = 4000"):
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
            finished = self._value("SELECT value FROM meta WHERE name = 'finished'")
            last = max(finished, self._value("SELECT max(id) FROM event"), self._value("SELECT max(id) FROM seen"))
            backlog = self._value("SELECT count(*) FROM event WHERE id > ?", finished)
            state = self._db.execute("SELECT state FROM consumer").fetchone()
            keys = self._db.execute("SELECT id, key FROM seen ORDER BY id DESC LIMIT ?", (remember,)).fetchall()
        except sqlite3.Error as error:
            raise self._trouble(error) from None
        return Recovered(finished, last, backlog, tuple(reversed(keys)), state[0] if state else None)

    def _value(self, query: str, *arguments: int) -> int:
        row = self._db.execute(query, arguments).fetchone()
        return int(row[0]) if row and row[0] is not None else 0

    def commit(self, commit: Commit) -> None:
        """All of it or nothing. Raises JournalError."""
        try:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                self._insert("event (id, body)", [(number, body) for number, _, body in commit.rows])
                self._insert("seen (id, key)", [(number, key) for number, key, _ in commit.rows])
                self._db.execute("INSERT OR REPLACE INTO meta (name, value) VALUES ('finished', ?)", (commit.finished,))
                if commit.state is not None:
                    self._db.execute("INSERT OR REPLACE INTO consumer (id, state) VALUES (1, ?)", (commit.state,))
                self._db.execute("DELETE FROM event WHERE id <= ?", (commit.finished,))
                self._db.execute("DELETE FROM seen WHERE id <= ?", (commit.forget,))
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise self._trouble(error) from None

    def _insert(self, into: str, values: Sequence[tuple[Any, ...]]) -> None:
        start = 0
        for size in STATEMENT_ROWS:
            while len(values) - start >= size:
                part = values[start : start + size]
                self._db.execute(f"INSERT INTO {into} VALUES {', '.join(['(?, ?)'] * size)}", [value for row in part for value in row])
                start += size

    def read(self, read: Read) -> tuple[list[tuple[int, bytes]], bool]:
        """Rows, and whether limits ended the list. Raises JournalError."""
        rows: list[tuple[int, bytes]] = []
        octets = 0
        try:
            cursor = self._db.execute(
                "SELECT id, body FROM event WHERE id > ? AND id <= ? ORDER BY id LIMIT ?", (read.after, read.through, read.rows)
            )
            for number, body in cursor:
                rows.append((number, body))
                octets += len(body)
                if octets >= read.octets:
                    cursor.close()
                    return rows, True
        except sqlite3.Error as error:
            raise self._trouble(error) from None
        return rows, len(rows) == read.rows

    def close(self) -> None:
        self._db.close()
