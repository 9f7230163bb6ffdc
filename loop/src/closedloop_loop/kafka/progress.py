"""How far each partition is done, in PostgreSQL beside the operations journal, with a fencing token.

Who takes a partition over raises its token; what comes with an older one is refused. Offset and state are one row, so a worker goes on
exactly where the state is that it goes on from, whatever Kafka has committed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, LiteralString, TypeVar

import psycopg

from closedloop_loop.kafka.partition import Progress
from closedloop_loop.operations.store.interface import StoreError

SCHEMA: Final[LiteralString] = """
    CREATE TABLE IF NOT EXISTS closedloop_partition (
      consumer_group text, topic text, partition int, token bigint NOT NULL, next bigint NOT NULL, clock_ms bigint NOT NULL,
      time_ms bigint NOT NULL, state bytea NOT NULL, PRIMARY KEY (consumer_group, topic, partition))"""
CLAIM: Final[LiteralString] = """
    INSERT INTO closedloop_partition AS held (consumer_group, topic, partition, token, next, clock_ms, time_ms, state)
    VALUES (%s, %s, %s, 1, 0, 0, 0, '')
    ON CONFLICT (consumer_group, topic, partition) DO UPDATE SET token = held.token + 1
    RETURNING token, next, clock_ms, time_ms, state"""
SAVE: Final[LiteralString] = """
    UPDATE closedloop_partition SET next = %s, clock_ms = %s, time_ms = %s, state = %s
    WHERE consumer_group = %s AND topic = %s AND partition = %s AND token = %s"""
LOCK: Final = 0x636C7061
"""Key of the advisory lock under which the table is made: `clpa`."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Claimed:
    """progress: None where nobody has done anything yet."""

    token: int
    progress: Progress | None


class ProgressStore:
    """Used by one thread at a time. Methods raise StoreError; the next call connects anew."""

    def __init__(self, url: str, group: str, topic: str) -> None:
        self._url, self._group, self._topic = url, group, topic
        self._db: psycopg.Connection[Any] | None = None

    def claim(self, partition: int) -> Claimed:
        """Whoever had it before is fenced from now on."""

        def work(db: psycopg.Connection[Any]) -> Claimed:
            row = db.execute(CLAIM, (self._group, self._topic, partition)).fetchone()
            assert row is not None, "the statement returns what it wrote"
            token, offset, clock_ms, time_ms, state = row
            return Claimed(token, Progress(offset, clock_ms, time_ms, bytes(state)) if state else None)

        return self._run(work)

    def save(self, done: Mapping[int, tuple[int, Progress]]) -> set[int]:
        """By partition, token and progress, all in one transaction. Returns the partitions that were refused: another has them now."""

        def work(db: psycopg.Connection[Any]) -> set[int]:
            refused = set()
            for partition, (token, progress) in sorted(done.items()):
                values = (progress.next, progress.clock_ms, progress.time_ms, progress.state, self._group, self._topic, partition, token)
                if db.execute(SAVE, values).rowcount != 1:
                    refused.add(partition)
            return refused

        return self._run(work)

    def close(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None

    def _run(self, work: Callable[[psycopg.Connection[Any]], T]) -> T:
        """Once more where the connection turns out to be a dead one."""
        for attempt in (1, 2):
            try:
                db = self._db if self._db is not None else self._connect()
                with db.transaction():
                    return work(db)
            except psycopg.Error as error:
                self.close()
                if attempt == 2 or not isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError)):
                    text = str(error).strip().splitlines()
                    raise StoreError(
                        f"PostgreSQL: {text[0] if text else type(error).__name__}; see that the journal's URL leads to a running server"
                    ) from None
                time.sleep(0.05)
        raise AssertionError("both attempts have an end")

    def _connect(self) -> psycopg.Connection[Any]:
        db = psycopg.connect(self._url, connect_timeout=2, application_name="closedloop")
        try:
            db.autocommit = True
            db.execute("SET SESSION synchronous_commit TO on")
            with db.transaction():
                db.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))
                db.execute(SCHEMA)
        except BaseException:
            db.close()
            raise
        self._db = db
        return db
