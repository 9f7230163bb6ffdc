"""Store in a PostgreSQL database: the same tables, prefixed `ha_b_`, in the first schema of the search path.

A lost connection is made again and the transaction repeated: repeating is harmless, whether or not the first try had been committed, as the
changes of a transaction replace rows in a fixed order. An advisory lock keeps a second HA-B out. It is lost with the connection, so another
HA-B may have it when the connection is made again: this process then gives up, `patience_s` after the database was last seen.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Final, LiteralString, TypeVar

from closedloop_nf.ha_b.actions import Persist
from closedloop_nf.ha_b.records import Change, DeleteHomeAgent, MoveBindings, PurgeBindings, PutAssociation, PutBinding, PutHomeAgent, State
from closedloop_nf.ha_b.store import rows
from closedloop_nf.ha_b.store.interface import SCHEMA_VERSION, StoreError

try:
    import psycopg
except ImportError:
    raise StoreError("PostgreSQL support is not installed; install closedloop-nf[postgresql]") from None

T = TypeVar("T")

LOCK: Final = 0x68612D62
"""Key of the advisory lock: `ha-b`."""
PATIENCE_S: Final = 5.0
"""A database that stays away for so long ends the process; nothing was acknowledged meanwhile."""
CONNECT_S: Final = 2
"""How long one try may take."""
START_S: Final = 3.0
"""How long a start waits for the lock of a predecessor that was killed."""

SCHEMA: Final[tuple[LiteralString, ...]] = (
    "CREATE TABLE IF NOT EXISTS ha_b_meta (name text PRIMARY KEY, value bigint NOT NULL)",
    """CREATE TABLE IF NOT EXISTS ha_b_binding (
      home_address bytea PRIMARY KEY, care_of_address bytea NOT NULL, sequence integer NOT NULL, lifetime_s bigint NOT NULL,
      expires_at double precision NOT NULL, flags integer NOT NULL, owner text NOT NULL, epoch bigint NOT NULL,
      timestamp bigint NOT NULL, revision bigint NOT NULL)""",
    "CREATE INDEX IF NOT EXISTS ha_b_binding_owner ON ha_b_binding (owner)",
    """CREATE TABLE IF NOT EXISTS ha_b_home_agent (
      name text PRIMARY KEY, epoch bigint NOT NULL, instance text NOT NULL, host_id text NOT NULL, region text NOT NULL,
      address bytea NOT NULL, home_link_address bytea NOT NULL, health_host text NOT NULL, health_port integer NOT NULL,
      role text NOT NULL, serving boolean NOT NULL, draining boolean NOT NULL)""",
    """CREATE TABLE IF NOT EXISTS ha_b_association (
      home_address bytea, spi bigint, key bytea NOT NULL, PRIMARY KEY (home_address, spi))""",
)
UPSERT_BINDINGS: Final[LiteralString] = """
    INSERT INTO ha_b_binding SELECT * FROM unnest(
      %s::bytea[], %s::bytea[], %s::integer[], %s::bigint[], %s::double precision[], %s::integer[], %s::text[], %s::bigint[],
      %s::bigint[], %s::bigint[])
    ON CONFLICT (home_address) DO UPDATE SET
      care_of_address = excluded.care_of_address, sequence = excluded.sequence, lifetime_s = excluded.lifetime_s,
      expires_at = excluded.expires_at, flags = excluded.flags, owner = excluded.owner, epoch = excluded.epoch,
      timestamp = excluded.timestamp, revision = excluded.revision"""
UPSERT_HOME_AGENT: Final[LiteralString] = """
    INSERT INTO ha_b_home_agent (name, epoch, instance, host_id, region, address, home_link_address, health_host, health_port, role,
      serving, draining) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
    ON CONFLICT (name) DO UPDATE SET
      epoch = excluded.epoch, instance = excluded.instance, host_id = excluded.host_id, region = excluded.region,
      address = excluded.address, home_link_address = excluded.home_link_address, health_host = excluded.health_host,
      health_port = excluded.health_port, role = excluded.role, serving = excluded.serving, draining = excluded.draining"""
UPSERT_ASSOCIATION: Final[LiteralString] = """
    INSERT INTO ha_b_association (home_address, spi, key) VALUES (%s, %s, %s)
    ON CONFLICT (home_address, spi) DO UPDATE SET key = excluded.key"""
UPSERT_META: Final[LiteralString] = (
    "INSERT INTO ha_b_meta (name, value) VALUES (%s, %s) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
)
SELECT_BINDINGS: Final[LiteralString] = (
    "SELECT home_address, care_of_address, sequence, lifetime_s, expires_at, flags, owner, epoch, timestamp, revision"
    " FROM ha_b_binding ORDER BY home_address"
)
SELECT_ASSOCIATIONS: Final[LiteralString] = "SELECT home_address, spi, key FROM ha_b_association"
SELECT_HOME_AGENTS: Final[LiteralString] = (
    "SELECT name, epoch, instance, host_id, region, address, home_link_address, health_host, health_port, role, serving, draining"
    " FROM ha_b_home_agent ORDER BY name"
)


class _Locked(StoreError):
    """The advisory lock is held: by another HA-B, or by the server for a connection whose end it has not noticed yet."""


class PostgresqlStore:
    def __init__(self, url: str, password: str | None = None, *, patience_s: float = PATIENCE_S) -> None:
        """Connect by a libpq URL; `password` goes beside it. Raises StoreError when the database cannot be had now, or another HA-B has it.

        patience_s: how long it is tried again when the database is away.
        """
        self._url, self._password, self._patience_s = url, password, patience_s
        self.patience_s = patience_s + 2 * CONNECT_S
        self._db: psycopg.Connection[Any] | None = None
        self._seen = time.monotonic()
        give_up = time.monotonic() + START_S
        while True:
            try:
                self._connect()
                return
            except psycopg.Error as error:
                raise self._trouble(error) from None
            except _Locked:
                if time.monotonic() > give_up:
                    raise
                time.sleep(0.1)

    def _trouble(self, error: psycopg.Error) -> StoreError:
        """The first line of libpq's text names host and reason; a password never stands in it."""
        text = str(error).strip().splitlines()
        return StoreError(f"PostgreSQL: {text[0] if text else type(error).__name__}; see that database.url leads to a running server")

    def _connect(self) -> psycopg.Connection[Any]:
        self._drop()
        db = psycopg.connect(
            self._url, connect_timeout=CONNECT_S, tcp_user_timeout=CONNECT_S * 1000, application_name="ha-b", password=self._password
        )
        try:
            self._prepare(db)
        except BaseException:
            db.close()
            raise
        self._db = db
        return db

    def _prepare(self, db: psycopg.Connection[Any]) -> None:
        with db.transaction():
            db.execute("SET SESSION synchronous_commit TO on")
        with db.transaction():
            locked = db.execute("SELECT pg_try_advisory_lock(%s)", (LOCK,)).fetchone()
            if locked is None or not locked[0]:
                raise _Locked("PostgreSQL: another HA-B uses this database; stop it")
            for statement in SCHEMA:
                db.execute(statement)
            db.execute("INSERT INTO ha_b_meta (name, value) VALUES ('schema', %s) ON CONFLICT DO NOTHING", (SCHEMA_VERSION,))
            found = db.execute("SELECT value FROM ha_b_meta WHERE name = 'schema'").fetchone()
            if found is None or found[0] > SCHEMA_VERSION:
                raise StoreError(f"PostgreSQL: tables of a newer release (this one knows schema {SCHEMA_VERSION}); install that one")

    def load(self) -> State:
        def read(db: psycopg.Connection[Any]) -> State:
            meta = dict(db.execute("SELECT name, value FROM ha_b_meta").fetchall())
            with db.cursor(binary=True) as cursor:
                return State(
                    revision=meta.get("revision", 0),
                    epoch=meta.get("epoch", 0),
                    lease_ms=meta.get("lease_ms", 0),
                    bindings=[rows.to_binding(row) for row in cursor.execute(SELECT_BINDINGS)],
                    home_agents=[rows.to_home_agent(row) for row in cursor.execute(SELECT_HOME_AGENTS)],
                    associations=[
                        rows.to_association(row) for row in cursor.execute("SELECT home_address, spi, key FROM ha_b_association")
                    ],
                    boot=meta.get("boot", 0),
                    boot_began_us=meta.get("boot_began_us", 0),
                )

        return self._transaction(read)

    def commit(self, batches: Sequence[Persist]) -> None:
        if not batches:
            return
        last = batches[-1]
        runs = rows.runs(batches)

        def write(db: psycopg.Connection[Any]) -> None:
            for run in runs:
                _apply(db, run)
            db.execute(UPSERT_META, ("revision", last.revision))
            db.execute(UPSERT_META, ("epoch", last.epoch))

        self._transaction(write)

    def set_lease(self, lease_ms: int) -> None:
        self._transaction(lambda db: db.execute(UPSERT_META, ("lease_ms", lease_ms)))

    def set_clock(self, boot: int, began_us: int) -> None:
        def write(db: psycopg.Connection[Any]) -> None:
            db.execute(UPSERT_META, ("boot", boot))
            db.execute(UPSERT_META, ("boot_began_us", began_us))

        self._transaction(write)

    def check(self) -> None:
        self._transaction(lambda db: db.execute("SELECT 1"))

    def close(self) -> None:
        self._drop()

    def _drop(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None

    def _transaction(self, work: Callable[[psycopg.Connection[Any]], T]) -> T:
        """Run `work` in a transaction; on a lost connection connect anew and repeat while patience lasts."""
        give_up = self._seen + self._patience_s
        tries = 0
        pause = 0.05
        while True:
            try:
                db = self._db if self._db is not None else self._connect()
                with db.transaction():
                    result = work(db)
                self._seen = time.monotonic()
                return result
            except (psycopg.OperationalError, psycopg.InterfaceError) as error:
                self._drop()
                if tries and time.monotonic() > give_up:
                    raise self._trouble(error) from None
            except psycopg.Error as error:
                raise self._trouble(error) from None
            except _Locked:
                if time.monotonic() > give_up:
                    raise
            tries += 1
            time.sleep(pause)
            pause = min(1.0, pause * 2)


def _apply(db: psycopg.Connection[Any], run: list[Change]) -> None:
    match run[0]:
        case PutBinding():
            db.execute(UPSERT_BINDINGS, [list(column) for column in zip(*rows.latest_bindings(run), strict=True)], binary=True)
        case PutHomeAgent():
            for row in rows.latest_home_agents(run):
                db.execute(UPSERT_HOME_AGENT, row)
        case PutAssociation():
            put, gone = rows.split_associations(run)
            for row in put:
                db.execute(UPSERT_ASSOCIATION, row)
            for row in gone:
                db.execute("DELETE FROM ha_b_association WHERE home_address = %s AND spi = %s", row)
        case _:
            for change in run:
                _apply_one(db, change)


def _apply_one(db: psycopg.Connection[Any], change: Change) -> None:
    match change:
        case MoveBindings():
            db.execute(
                "UPDATE ha_b_binding SET owner = %s, epoch = %s, revision = %s WHERE owner = %s AND lifetime_s > 0",
                (change.owner, change.epoch, change.revision, change.previous),
            )
        case PurgeBindings():
            db.execute("DELETE FROM ha_b_binding WHERE home_address = ANY(%s)", (change.home_addresses,))
        case DeleteHomeAgent():
            db.execute("DELETE FROM ha_b_home_agent WHERE name = %s", (change.name,))
        case _:
            raise AssertionError(f"{type(change).__name__} is applied in runs")
