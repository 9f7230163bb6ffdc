"""Store in a PostgreSQL database: one table, `closedloop_operation`, in the first schema of the search path.

One transaction at a time: each takes an advisory lock first. A lost connection is made again and the transaction repeated; the journal's
commands may be repeated, so it does no harm if the first try had been committed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Final, LiteralString

from closedloop_loop.operations.model import Operation, State
from closedloop_loop.operations.store import rows
from closedloop_loop.operations.store.interface import SCHEMA_VERSION, StoreError, T, Work

try:
    import psycopg
except ImportError:
    raise StoreError("PostgreSQL support is not installed; install closedloop-loop[postgresql]") from None

LOCK: Final = 0x636C6F70
"""Key of the advisory lock: `clop`."""
PATIENCE_S: Final = 10.0
"""How long a database that is away is tried again."""

SCHEMA: Final[tuple[LiteralString, ...]] = (
    "CREATE TABLE IF NOT EXISTS closedloop_meta (name text PRIMARY KEY, value bigint NOT NULL)",
    """CREATE TABLE IF NOT EXISTS closedloop_operation (
      request_id text PRIMARY KEY, number bigint NOT NULL UNIQUE, loop text NOT NULL, target text NOT NULL, state text NOT NULL,
      open boolean NOT NULL, started_us bigint, blocks boolean NOT NULL, token bigint NOT NULL, document text NOT NULL)""",
    "CREATE INDEX IF NOT EXISTS closedloop_operation_open ON closedloop_operation (number) WHERE open",
    "CREATE INDEX IF NOT EXISTS closedloop_operation_history ON closedloop_operation (loop, started_us)",
    "CREATE INDEX IF NOT EXISTS closedloop_operation_blocks ON closedloop_operation (loop) WHERE blocks",
    "CREATE INDEX IF NOT EXISTS closedloop_operation_token ON closedloop_operation (token)",
)
PUT: Final[LiteralString] = """
    INSERT INTO closedloop_operation (request_id, number, loop, target, state, open, started_us, blocks, token, document)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
    ON CONFLICT (request_id) DO UPDATE SET
      number = excluded.number, loop = excluded.loop, target = excluded.target, state = excluded.state, open = excluded.open,
      started_us = excluded.started_us, blocks = excluded.blocks, token = excluded.token, document = excluded.document"""


class PostgresqlStore:
    """`url` is libpq's; a password comes from where libpq finds it (PGPASSFILE, service file)."""

    def __init__(self, url: str, *, patience_s: float = PATIENCE_S) -> None:
        """Connect, and make the table where it is missing. Raises StoreError."""
        self._url, self.patience_s = url, patience_s
        self._db: psycopg.Connection[Any] | None = None
        try:
            self._connect()
        except psycopg.Error as error:
            raise _trouble(error) from None

    def _connect(self) -> psycopg.Connection[Any]:
        self.close()
        db = psycopg.connect(self._url, connect_timeout=2, application_name="closedloop")
        try:
            with db.transaction():
                db.execute("SET SESSION synchronous_commit TO on")
            with db.transaction():
                db.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))  # two that create the same table at once would collide
                for statement in SCHEMA:
                    db.execute(statement)
                db.execute("INSERT INTO closedloop_meta (name, value) VALUES ('schema', %s) ON CONFLICT DO NOTHING", (SCHEMA_VERSION,))
                found = db.execute("SELECT value FROM closedloop_meta WHERE name = 'schema'").fetchone()
                if found is None or found[0] > SCHEMA_VERSION:
                    raise StoreError(f"PostgreSQL: tables of a newer release (this one knows schema {SCHEMA_VERSION}); install that one")
        except BaseException:
            db.close()
            raise
        self._db = db
        return db

    def transact(self, work: Work[T]) -> T:
        def run(db: psycopg.Connection[Any]) -> T:
            db.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))
            answer, put = work(_View(db))
            for operation in put:
                db.execute(PUT, rows.to_row(operation))
            return answer

        return self._persist(run)

    def get(self, request_id: str) -> Operation | None:
        return self._persist(lambda db: _View(db).get(request_id))

    def open(self) -> Sequence[Operation]:
        return self._persist(lambda db: _View(db).open())

    def recent(self, limit: int, state: State | None = None, target: str | None = None) -> list[Operation]:
        def run(db: psycopg.Connection[Any]) -> list[Operation]:
            return _read(
                db,
                "SELECT document FROM closedloop_operation WHERE (%(state)s::text IS NULL OR state = %(state)s)"
                " AND (%(target)s::text IS NULL OR target = %(target)s) ORDER BY number DESC LIMIT %(limit)s",
                {"state": None if state is None else state.value, "target": target, "limit": limit},
            )

        return self._persist(run)

    def close(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None

    def _persist(self, work: Callable[[psycopg.Connection[Any]], T]) -> T:
        """Run `work` in a transaction, again after a lost connection as long as patience lasts."""
        give_up = time.monotonic() + self.patience_s
        pause_s = 0.05
        while True:
            try:
                db = self._db if self._db is not None else self._connect()
                with db.transaction():
                    return work(db)
            except (psycopg.OperationalError, psycopg.InterfaceError) as error:
                self.close()
                if time.monotonic() > give_up:
                    raise _trouble(error) from None
            except psycopg.Error as error:
                raise _trouble(error) from None
            time.sleep(pause_s)
            pause_s = min(1.0, pause_s * 2)


class _View:
    def __init__(self, db: psycopg.Connection[Any]) -> None:
        self._db = db

    def get(self, request_id: str) -> Operation | None:
        found = _read(self._db, "SELECT document FROM closedloop_operation WHERE request_id = %s", (request_id,))
        return found[0] if found else None

    def open(self) -> Sequence[Operation]:
        return _read(self._db, "SELECT document FROM closedloop_operation WHERE open ORDER BY number")

    def history(self, loop: str, since_us: int) -> Sequence[Operation]:
        query: LiteralString = "SELECT document FROM closedloop_operation WHERE loop = %s AND (started_us > %s OR blocks)"
        return _read(self._db, query, (loop, since_us))

    def last_number(self) -> int:
        return self._count("SELECT coalesce(max(number), 0) FROM closedloop_operation")

    def last_token(self) -> int:
        return self._count("SELECT coalesce(max(token), 0) FROM closedloop_operation")

    def _count(self, query: LiteralString) -> int:
        row = self._db.execute(query).fetchone()
        return 0 if row is None else int(row[0])


def _read(db: psycopg.Connection[Any], query: LiteralString, values: Any = ()) -> list[Operation]:
    return [rows.to_operation(row[0]) for row in db.execute(query, values)]


def _trouble(error: psycopg.Error) -> StoreError:
    """The first line of libpq's text names host and reason; a password never stands in it."""
    text = str(error).strip().splitlines()
    return StoreError(f"PostgreSQL: {text[0] if text else type(error).__name__}; see that the journal's URL leads to a running server")
