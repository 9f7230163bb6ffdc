"""The reference for figures that wait for the disk: what one flush of it takes, and what follows from committing one by one."""

from __future__ import annotations

import os
import sqlite3
import time
from pathlib import Path

FLUSHES = 200
PAUSE_S = 0.004
"""Between flushes, as between Binding Updates at 200/s."""


def flushes_ms(folder: Path) -> list[float]:
    """Append 4 kB to a file in `folder` and fdatasync it, again and again: milliseconds each time."""
    taken: list[float] = []
    file = folder / "flush"
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        for _ in range(FLUSHES):
            begun = time.perf_counter()
            os.write(descriptor, bytes(4096))
            os.fdatasync(descriptor)
            taken.append((time.perf_counter() - begun) * 1e3)
            time.sleep(PAUSE_S)
    finally:
        os.close(descriptor)
        file.unlink()
    return taken


def single_commits_per_s(folder: Path, duration_s: float = 2.0) -> float:
    """Rows per second into SQLite (WAL, synchronous=FULL) with a transaction for each."""
    file = folder / "single.sqlite"
    database = sqlite3.connect(file, isolation_level=None)
    try:
        for pragma in ("locking_mode = EXCLUSIVE", "journal_mode = WAL", "synchronous = FULL"):
            database.execute(f"PRAGMA {pragma}")
        database.execute("CREATE TABLE binding (home_address BLOB PRIMARY KEY, care_of_address BLOB) WITHOUT ROWID")
        begun = time.perf_counter()
        rows = 0
        while time.perf_counter() < begun + duration_s:
            database.execute("INSERT OR REPLACE INTO binding VALUES (?, ?)", (rows.to_bytes(16, "big"), bytes(16)))
            rows += 1
        return rows / (time.perf_counter() - begun)
    finally:
        database.close()
        file.unlink()
