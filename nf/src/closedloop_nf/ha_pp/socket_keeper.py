"""Keeps the raw socket of the Mobility Header open, and says when it is not.

open --receiving fails, shut down, descriptor closed--> closed --opened again--> open
                                                          +-- not within PATIENCE_S: raises, and the process ends

While it is closed the HA-PP is neither ready nor alive (/readyz, /healthz), HA-B knows by a heartbeat that is sent at once, and tunnels
that exist go on. Binding Updates are lost as on a bad link: a mobile node repeats them with increasing pauses (RFC 6275 section 11.8). One
that cannot be opened again is for whoever supervises the process: its end is also HA-B's proof that another may take over.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from closedloop_nf.kernel.sockets import MobilitySocket, ReceivedMobility

log = logging.getLogger("closedloop_nf.ha_pp")

CHECK_S: Final = 1.0
"""How often a socket that says nothing is looked at; a failure that the kernel reports is known at once."""
FIRST_RETRY_S: Final = 0.05
LAST_RETRY_S: Final = 0.5
PATIENCE_S: Final = 5.0


class SocketKeeper:
    """`run` for as long as the process serves."""

    def __init__(self, socket: MobilitySocket, received: Callable[[list[ReceivedMobility]], None], changed: Callable[[bool], None]) -> None:
        """received: gets what comes. changed: told True when the socket is open and False when it is not."""
        self._socket, self._received, self._changed = socket, received, changed
        self._watched: list[int] = []
        self._failure: OSError | None = None
        self._failed = asyncio.Event()

    async def run(self) -> None:
        """Raises OSError when the socket stays closed."""
        self._opened()
        while True:
            try:
                async with asyncio.timeout(CHECK_S):
                    await self._failed.wait()
            except TimeoutError:
                self._check()
            if self._failure is not None:
                await self._recover(self._failure)

    def _opened(self) -> None:
        self._failure = None
        self._failed.clear()
        self._watched = self._socket.filenos()
        for descriptor in self._watched:
            asyncio.get_running_loop().add_reader(descriptor, self._on_readable)
        self._changed(True)

    def _on_readable(self) -> None:
        try:
            batch = self._socket.recv_batch()
        except OSError as error:
            self._fail(error)
        else:
            self._received(batch)

    def _check(self) -> None:
        try:
            self._socket.check()
        except OSError as error:
            self._fail(error)

    def _fail(self, error: OSError) -> None:
        for descriptor in self._watched:
            asyncio.get_running_loop().remove_reader(descriptor)
        self._watched = []
        self._failure = error
        self._failed.set()

    async def _recover(self, failure: OSError) -> None:
        log.error("mobility socket failed", extra={"problem": failure.strerror})
        self._changed(False)
        loop = asyncio.get_running_loop()
        give_up, pause_s = loop.time() + PATIENCE_S, FIRST_RETRY_S
        while True:
            try:
                self._socket.reopen()
                break
            except OSError:
                if loop.time() >= give_up:
                    raise
            await asyncio.sleep(pause_s)
            pause_s = min(LAST_RETRY_S, pause_s * 2)
        log.warning("mobility socket open again")
        self._opened()
