"""Choose the engine."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from closedloop_loop.operations.store.interface import Store
from closedloop_loop.operations.store.sqlite import SqliteStore

URLS: Final = ("postgresql://", "postgres://")


def open_store(place: str) -> Store:
    """The PostgreSQL database of a `postgresql://` URL, else the SQLite file at that path. Raises StoreError."""
    if place.startswith(URLS):
        from closedloop_loop.operations.store.postgresql import PostgresqlStore  # psycopg only where it is wanted

        return PostgresqlStore(place)
    return SqliteStore(Path(place))
