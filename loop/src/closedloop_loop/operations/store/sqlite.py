"""Store in one SQLite file: WAL, every commit flushed to the disk; several processes may use it at once."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from closedloop_loop.operations.model import Operation, State
from closedloop_loop.operations.store import rows
from closedloop_loop.operations.store.interface import SCHEMA_VERSION, StoreError, T, Work

SCHEMA: Final = """
CREATE TABLE operation (
  request_id TEXT PRIMARY KEY, number INTEGER NOT NULL UNIQUE, loop TEXT NOT NULL, target TEXT NOT NULL, state TEXT NOT NULL,
  open INTEGER NOT NULL, started_us INTEGER, blocks INTEGER NOT NULL, token INTEGER NOT NULL, document TEXT NOT NULL
) WITHOUT ROWID, STRICT;
CREATE INDEX operation_open ON operation (number) WHERE open;
CREATE INDEX operation_history ON operation (loop, started_us);
CREATE INDEX operation_blocks ON operation (loop) WHERE blocks;
CREATE INDEX operation_token ON operation (token);
"""
PUT: Final = (
    f"INSERT INTO operation ({', '.join(rows.COLUMNS)}) VALUES ({', '.join('?' * len(rows.COLUMNS))})"
    " ON CONFLICT (request_id) DO UPDATE SET " + ", ".join(f"{column} = excluded.{column}" for column in rows.COLUMNS[1:])
)
PATIENCE_S: Final = 10.0
"""How long a transaction waits for those of other processes."""


class SqliteStore:
    """Also the view of its own transactions."""

    def __init__(self, path: Path) -> None:
        """Open or create, readable by its owner only. Raises StoreError."""
        self._path = path
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Never an existing file: to close any descriptor of it drops the locks that other connections of this process hold on it.
            with contextlib.suppress(FileExistsError):
                os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        except OSError as error:
            raise StoreError(f"{path}: cannot be opened ({error.strerror}); give a path this user can write") from None
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=PATIENCE_S)
        try:
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            self._prepare()
        except sqlite3.Error as error:
            self._db.close()
            raise self._trouble(error) from None
        except StoreError:
            self._db.close()
            raise

    def _prepare(self) -> None:
        self._db.execute("BEGIN IMMEDIATE")
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if version > SCHEMA_VERSION:
            self._db.execute("ROLLBACK")
            raise StoreError(f"{self._path}: has schema {version}, this release knows {SCHEMA_VERSION}; install the release that wrote it")
        if version == 0:
            for statement in SCHEMA.split(";"):
                self._db.execute(statement)
            self._db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        self._db.execute("COMMIT")

    def _trouble(self, error: sqlite3.Error) -> StoreError:
        return StoreError(f"{self._path}: {error}; see that it is an operations journal on a disk with free space, held up by nobody")

    def transact(self, work: Work[T]) -> T:
        try:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                answer, put = work(self)
                if put:
                    self._db.executemany(PUT, [rows.to_row(operation) for operation in put])
                self._db.execute("COMMIT")
                return answer
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise self._trouble(error) from None

    def get(self, request_id: str) -> Operation | None:
        found = self._read("SELECT document FROM operation WHERE request_id = ?", (request_id,))
        return found[0] if found else None

    def recent(self, limit: int, state: State | None = None, target: str | None = None) -> list[Operation]:
        wanted, values = [], []
        for column, value in (("state", state), ("target", target)):
            if value is not None:
                wanted.append(f"{column} = ?")
                values.append(str(value))
        where = f"WHERE {' AND '.join(wanted)}" if wanted else ""
        return self._read(f"SELECT document FROM operation {where} ORDER BY number DESC LIMIT ?", (*values, limit))

    def close(self) -> None:
        self._db.close()

    def open(self) -> Sequence[Operation]:
        return self._read("SELECT document FROM operation WHERE open ORDER BY number")

    def history(self, loop: str, since_us: int) -> Sequence[Operation]:
        return self._read(
            "SELECT document FROM operation WHERE loop = ? AND started_us > ?"
            " UNION SELECT document FROM operation WHERE loop = ? AND blocks",
            (loop, since_us, loop),
        )

    def last_number(self) -> int:
        return self._highest("number")

    def last_token(self) -> int:
        return self._highest("token")

    def _read(self, query: str, values: tuple[Any, ...] = ()) -> list[Operation]:
        try:
            return [rows.to_operation(row[0]) for row in self._db.execute(query, values)]
        except sqlite3.Error as error:
            raise self._trouble(error) from None

    def _highest(self, column: str) -> int:
        value: int | None = self._db.execute(f"SELECT max({column}) FROM operation").fetchone()[0]
        return value or 0
