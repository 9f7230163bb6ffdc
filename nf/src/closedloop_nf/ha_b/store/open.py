"""Choose the engine."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Literal

from closedloop_nf.ha_b.store.interface import Store
from closedloop_nf.ha_b.store.sqlite import SqliteStore


def import_engine(url: str | None) -> None:
    """Load what `open_store` needs, so that no file of the program is read later. Raises StoreError."""
    if url is not None:
        importlib.import_module("closedloop_nf.ha_b.store.postgresql")


def open_store(path: Path | None, url: str | None, password: str | None = None, synchronous: Literal["full", "normal"] = "full") -> Store:
    """The PostgreSQL database of `url`, else the SQLite file at `path`. Raises StoreError."""
    if url is not None:
        from closedloop_nf.ha_b.store.postgresql import PostgresqlStore  # psycopg only where it is wanted

        return PostgresqlStore(url, password)
    assert path is not None  # the configuration sees to it that one of the two is given
    return SqliteStore(path, synchronous)
