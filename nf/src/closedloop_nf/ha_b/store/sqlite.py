"""Store in one SQLite file: WAL, every commit flushed to the disk."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal

from closedloop_nf.ha_b.actions import Persist
from closedloop_nf.ha_b.records import Change, DeleteHomeAgent, MoveBindings, PurgeBindings, PutAssociation, PutBinding, PutHomeAgent, State
from closedloop_nf.ha_b.store import rows
from closedloop_nf.ha_b.store.interface import SCHEMA_VERSION, StoreError

SCHEMA: Final = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID, STRICT;
CREATE TABLE binding (
  home_address BLOB PRIMARY KEY, care_of_address BLOB NOT NULL, sequence INTEGER NOT NULL, lifetime_s INTEGER NOT NULL,
  expires_at REAL NOT NULL, flags INTEGER NOT NULL, owner TEXT NOT NULL, epoch INTEGER NOT NULL, timestamp INTEGER NOT NULL,
  revision INTEGER NOT NULL
) WITHOUT ROWID, STRICT;
CREATE TABLE home_agent (
  name TEXT PRIMARY KEY, epoch INTEGER NOT NULL, instance TEXT NOT NULL, host_id TEXT NOT NULL, region TEXT NOT NULL,
  address BLOB NOT NULL, home_link_address BLOB NOT NULL, health_host TEXT NOT NULL, health_port INTEGER NOT NULL, role TEXT NOT NULL,
  serving INTEGER NOT NULL, draining INTEGER NOT NULL
) WITHOUT ROWID, STRICT;
CREATE TABLE association (
  home_address BLOB NOT NULL, spi INTEGER NOT NULL, key BLOB NOT NULL, PRIMARY KEY (home_address, spi)
) WITHOUT ROWID, STRICT;
"""
STATEMENT_ROWS: Final = (512, 64, 8, 1)
"""Rows in one INSERT. sqlite3 lets go of the interpreter's lock once per statement; with a row each, the writer would wait for it ten
thousand times a second. Few sizes, so that the statement cache holds them all."""


def _upsert(table: str, columns: Sequence[str], keys: int) -> str:
    """`INSERT ... VALUES {} ON CONFLICT ... DO UPDATE`; the first `keys` columns are the key."""
    names = ", ".join(columns)
    updates = ", ".join(f"{column} = excluded.{column}" for column in columns[keys:])
    return f"INSERT INTO {table} ({names}) VALUES {{}} ON CONFLICT ({', '.join(columns[:keys])}) DO UPDATE SET {updates}"


UPSERT_BINDING: Final = _upsert("binding", rows.BINDING_COLUMNS, 1)
UPSERT_HOME_AGENT: Final = _upsert("home_agent", rows.HOME_AGENT_COLUMNS, 1)
UPSERT_ASSOCIATION: Final = _upsert("association", ("home_address", "spi", "key"), 2)
UPSERT_META: Final = _upsert("meta", ("name", "value"), 1)


class SqliteStore:
    patience_s = 0.0

    def __init__(self, path: Path, synchronous: Literal["full", "normal"] = "full") -> None:
        """Open or create. The file is readable by its owner only, as it holds keys; one process at a time. Raises StoreError."""
        self._path = path
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            mode = path.stat().st_mode & 0o777
        except OSError as error:
            raise StoreError(f"{path}: cannot be opened ({error.strerror}); give a path this user can write") from None
        if mode & 0o077:
            raise StoreError(f"{path}: mode {mode:04o} lets others read keys; chmod 0600 it")
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=1.0, cached_statements=256)
        try:
            self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute(f"PRAGMA synchronous = {synchronous.upper()}")
            self._db.execute("PRAGMA wal_autocheckpoint = 4000")
            self._prepare()
        except sqlite3.Error as error:
            self._db.close()
            raise self._trouble(error) from None
        except StoreError:
            self._db.close()
            raise

    def _trouble(self, error: sqlite3.Error) -> StoreError:
        remedy = (
            "stop the other HA-B that uses it" if "locked" in str(error) else "see that it is an HA-B database on a disk with free space"
        )
        return StoreError(f"{self._path}: {error}; {remedy}")

    def _prepare(self) -> None:
        self._db.execute("BEGIN EXCLUSIVE")
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if version > SCHEMA_VERSION:
            self._db.execute("ROLLBACK")
            raise StoreError(
                f"{self._path}: written by a newer release (schema {version}, this one knows {SCHEMA_VERSION}); install that one"
            )
        if version == 0:
            for statement in SCHEMA.split(";"):
                self._db.execute(statement)
            self._db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        self._db.execute("COMMIT")

    def load(self) -> State:
        try:
            meta = dict(self._db.execute("SELECT name, value FROM meta").fetchall())
            select = f"SELECT {', '.join(rows.BINDING_COLUMNS)} FROM binding ORDER BY home_address"
            agents = f"SELECT {', '.join(rows.HOME_AGENT_COLUMNS)} FROM home_agent ORDER BY name"
            return State(
                revision=meta.get("revision", 0),
                epoch=meta.get("epoch", 0),
                lease_ms=meta.get("lease_ms", 0),
                bindings=[rows.to_binding(row) for row in self._db.execute(select)],
                home_agents=[rows.to_home_agent(row) for row in self._db.execute(agents)],
                associations=[rows.to_association(row) for row in self._db.execute("SELECT home_address, spi, key FROM association")],
                boot=meta.get("boot", 0),
                boot_began_us=meta.get("boot_began_us", 0),
            )
        except sqlite3.Error as error:
            raise self._trouble(error) from None

    def commit(self, batches: Sequence[Persist]) -> None:
        if not batches:
            return
        last = batches[-1]
        try:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                for run in rows.runs(batches):
                    self._apply(run)
                self._put(UPSERT_META, [("revision", last.revision), ("epoch", last.epoch)])
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise self._trouble(error) from None

    def _apply(self, run: list[Change]) -> None:
        match run[0]:
            case PutBinding():
                self._put(UPSERT_BINDING, rows.latest_bindings(run))
            case PutHomeAgent():
                self._put(UPSERT_HOME_AGENT, rows.latest_home_agents(run))
            case PutAssociation():
                put, gone = rows.split_associations(run)
                self._put(UPSERT_ASSOCIATION, put)
                self._db.executemany("DELETE FROM association WHERE home_address = ? AND spi = ?", gone)
            case _:
                for change in run:
                    self._apply_one(change)

    def _apply_one(self, change: Change) -> None:
        match change:
            case MoveBindings():
                self._db.execute(
                    "UPDATE binding SET owner = ?, epoch = ?, revision = ? WHERE owner = ? AND lifetime_s > 0",
                    (change.owner, change.epoch, change.revision, change.previous),
                )
            case PurgeBindings():
                self._db.executemany("DELETE FROM binding WHERE home_address = ?", [(address,) for address in change.home_addresses])
            case DeleteHomeAgent():
                self._db.execute("DELETE FROM home_agent WHERE name = ?", (change.name,))
            case _:
                raise AssertionError(f"{type(change).__name__} is applied in runs")

    def _put(self, statement: str, values: Sequence[rows.Row]) -> None:
        """Insert rows by as few statements as the sizes allow."""
        start = 0
        for size in STATEMENT_ROWS:
            while len(values) - start >= size:
                part = values[start : start + size]
                places = "(" + ", ".join("?" * len(part[0])) + ")"
                self._db.execute(statement.format(", ".join([places] * size)), [value for row in part for value in row])
                start += size

    def set_lease(self, lease_ms: int) -> None:
        self._set(("lease_ms", lease_ms))

    def set_clock(self, boot: int, began_us: int) -> None:
        self._set(("boot", boot), ("boot_began_us", began_us))

    def _set(self, *values: tuple[str, int]) -> None:
        """In one statement, and so durable together."""
        try:
            places = ", ".join(["(?, ?)"] * len(values))
            self._db.execute(UPSERT_META.format(places), [part for value in values for part in value])
        except sqlite3.Error as error:
            raise self._trouble(error) from None

    def check(self) -> None:
        """The file lock ends with the process only."""

    def close(self) -> None:
        self._db.close()
