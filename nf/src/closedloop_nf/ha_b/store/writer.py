"""Group commit: one thread that commits, in one transaction, everything that has come in during the one before."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Final

from closedloop_nf.ha_b.actions import Persist
from closedloop_nf.ha_b.store.interface import Store

CHECK_S: Final = 1.0
"""Interval of Store.check while nothing is committed."""


class Writer:
    """Made and used in the event loop's thread. `committed(last batch, batches, seconds)` and `failed(error)` are called there."""

    def __init__(self, store: Store, committed: Callable[[int, int, float], None], failed: Callable[[Exception], None]) -> None:
        self._store = store
        self._committed, self._failed = committed, failed
        self._loop = asyncio.get_running_loop()
        self._wake = threading.Condition()
        self._waiting: list[Persist] = []
        self._lease_ms: int | None = None
        self._stop = False
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)
        self._thread.start()

    def submit(self, batches: list[Persist]) -> None:
        """Commit these after all before."""
        with self._wake:
            self._waiting.extend(batches)
            self._wake.notify()

    def set_lease(self, lease_ms: int) -> None:
        """Store.set_lease, in the writer's thread."""
        with self._wake:
            self._lease_ms = lease_ms
            self._wake.notify()

    async def close(self) -> None:
        """Commit what waits, then end the thread."""
        with self._wake:
            self._stop = True
            self._wake.notify()
        await self._loop.run_in_executor(None, self._thread.join)

    def _run(self) -> None:
        while True:
            with self._wake:
                if not (self._waiting or self._stop or self._lease_ms is not None):
                    self._wake.wait(CHECK_S)
                batches, self._waiting = self._waiting, []
                lease_ms, self._lease_ms = self._lease_ms, None
                if self._stop and not batches and lease_ms is None:
                    return
            try:
                if lease_ms is not None:
                    self._store.set_lease(lease_ms)
                elif not batches:
                    self._store.check()
                begun = time.perf_counter()
                self._store.commit(batches)
                seconds = time.perf_counter() - begun
            except Exception as error:
                self._call(self._failed, error)
                return
            if batches:
                self._call(self._committed, batches[-1].batch, len(batches), seconds)

    def _call(self, function: Callable[..., None], *arguments: object) -> None:
        try:
            self._loop.call_soon_threadsafe(function, *arguments)
        except RuntimeError:
            return  # the loop has ended: nobody is left to be told
