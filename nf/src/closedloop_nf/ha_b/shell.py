"""HA-B's shell: sockets, store, timer and API around the core."""

from __future__ import annotations

import asyncio
import gc
import importlib
import logging
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, assert_never

from closedloop_nf.ha_b import config as configuration
from closedloop_nf.ha_b.actions import Action, Close, Notify, Persist, Probe, Reply, Send
from closedloop_nf.ha_b.commands import Command
from closedloop_nf.ha_b.core import Backend, StateConflict
from closedloop_nf.ha_b.event_log import EventLog
from closedloop_nf.ha_b.inputs import Input, Persisted, ProbeResult, Request
from closedloop_nf.ha_b.link_server import LinkServer
from closedloop_nf.ha_b.metrics import Metrics
from closedloop_nf.ha_b.probe import is_refused
from closedloop_nf.ha_b.store.interface import StoreError
from closedloop_nf.ha_b.store.open import import_engine, open_store
from closedloop_nf.ha_b.store.writer import Writer
from closedloop_nf.runtime.addresses import to_text
from closedloop_nf.runtime.clock import SteadyClock, now
from closedloop_nf.runtime.config import ConfigError
from closedloop_nf.runtime.http import Probes, bearer_token, listen, serve_http
from closedloop_nf.runtime.privileges import become
from closedloop_nf.runtime.serve import Driver
from closedloop_nf.runtime.tls import server_context
from closedloop_nf.ves.config import Access
from closedloop_nf.ves.config import access as read_access

if TYPE_CHECKING:
    from closedloop_nf.ves.backend_shell import BackendReports

log = logging.getLogger("closedloop_nf.ha_b")

SWITCH_INTERVAL_S: Final = 0.0005
"""How long one thread may keep the other waiting for the interpreter: the writer must get its turn while the loop is busy."""


class Shell:
    """One HA-B process. `run` returns when asked to stop, raises when it cannot go on."""

    def __init__(self, config: configuration.Config) -> None:
        self._config = config
        self._persists: list[Persist] = []
        self._replies: dict[int, asyncio.Future[Reply]] = {}
        self._requests = 0
        self._probing: set[asyncio.Task[None]] = set()
        self._failure: asyncio.Future[Any]
        self._reports: BackendReports | None = None

    async def run(self, stop: asyncio.Event) -> None:
        from closedloop_nf.ha_b.api.routes import Api  # aiohttp, after --check and --schema

        config = self._config
        sys.setswitchinterval(SWITCH_INTERVAL_S)
        self._loop = asyncio.get_running_loop()
        self._failure = self._loop.create_future()
        link_socket = listen(config.link.address, config.link.port, "link")
        http_socket = listen(config.http.address, config.http.port, "http")
        settings = configuration.settings(config)
        password = configuration.database_password(config.database)
        link_tls = server_context(config.link.tls, "link.tls")
        http_tls = server_context(config.http.tls, "http.tls") if config.http.tls is not None else None
        http_token = bearer_token(config.http)
        access = self._import_reports()
        try:
            import_engine(config.database.url)
            become(config.user, ())  # all that is left to open, the store among it, is the user's
            store = open_store(config.database.path, config.database.url, password, config.database.synchronous)
            state = store.load()
            earlier_ms = state.lease_ms
            state.lease_ms = max(earlier_ms, config.lease_ms) + round(store.patience_s * 1000)
            clock = SteadyClock(state.boot, state.boot_began_us)
            if state.boot != clock.boot:
                store.set_clock(clock.boot, clock.began_us)
            self.core = Backend(settings, state, clock.now())
        except (StoreError, StateConflict) as error:
            raise ConfigError("database", "database", str(error)) from None
        self.events = EventLog(now().wall)
        self._writer = Writer(store, self._committed, self._failed)
        self._keep_lease(earlier_ms)
        self._driver: Driver[Input, Action] = Driver(self.core, self._apply, clock.now)
        self._server = LinkServer(self._driver.feed)
        self.metrics = Metrics(self.core.world, self._server, lambda: self.events.last)
        if config.ves is not None and access is not None:
            reports = importlib.import_module("closedloop_nf.ves.backend_shell").BackendReports(
                config.ves, access, config.name, self.core.world
            )
            await reports.start()
            self._reports = reports
        gc.collect()
        gc.freeze()  # what was loaded stays; no collection walks it again
        self._driver.rearm()
        await self._server.start(link_socket, link_tls)
        http = await serve_http(
            http_socket,
            Probes(self._health, self._health, self.metrics.text),
            token=http_token,
            tls=http_tls,
            extend=Api(self.core.world, self.events, self.request).extend,
        )
        log.info(
            "serving",
            extra={
                "link": f"[{to_text(config.link.address)}]:{link_socket.getsockname()[1]}",
                "http": f"[{to_text(config.http.address)}]:{http.port}",
                "bindings": sum(1 for _ in self.core.world.bindings.live()),
                "revision": state.revision,
                "epoch": state.epoch,
            },
        )
        stopping: asyncio.Future[Any] = self._loop.create_task(stop.wait())
        try:
            await asyncio.wait({stopping, self._failure}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
            self._driver.close()
            await self._server.close()
            await http.close()
            self._flush()
            await self._writer.close()
            store.close()
            if self._reports is not None:
                await self._reports.close()
        if self._failure.done():
            self._failure.result()

    def _import_reports(self) -> Access | None:
        """Load what reporting needs, and read its secrets."""
        if self._config.ves is None:
            return None
        for module in ("backend_shell", "client"):
            importlib.import_module(f"closedloop_nf.ves.{module}")
        return read_access(self._config.ves)

    # --- actions -----------------------------------------------------------------------------------------------------

    def _apply(self, action: Action) -> None:
        match action:
            case Send():
                self._server.send(action.conn, action.message)
            case Persist():
                if not self._persists:
                    self._loop.call_soon(self._flush)
                self._persists.append(action)
            case Notify():
                self.events.add(action)
                if self._reports is not None:
                    self._reports.notify(action)
                log.info("event", extra={"kind": action.kind, "home_agent": action.name, **_safe(action.details)})
            case Close():
                self._server.hang_up(action.conn)
            case Probe():
                task = self._loop.create_task(self._probe(action))
                self._probing.add(task)
                task.add_done_callback(self._probing.discard)
            case Reply():
                future = self._replies.pop(action.request, None)
                if future is not None and not future.done():
                    future.set_result(action)
            case _:
                assert_never(action)

    def _flush(self) -> None:
        """Hand everything staged in this turn of the loop to the writer."""
        if self._persists:
            self._writer.submit(self._persists)
            self._persists = []

    async def _probe(self, probe: Probe) -> None:
        refused = await is_refused(probe.host, probe.port)
        self._driver.feed(ProbeResult(probe.name, probe.instance, refused))

    # --- store -------------------------------------------------------------------------------------------------------

    def _committed(self, batch: int, batches: int, seconds: float) -> None:
        self.metrics.committed(batches, seconds)
        self._driver.feed(Persisted(batch))

    def _failed(self, error: Exception) -> None:
        """Without a store nothing can be acknowledged: stop, and let the supervisor start anew."""
        if not self._failure.done():
            self._failure.set_exception(error)

    def _keep_lease(self, earlier_ms: int) -> None:
        """Record the longest lease that may be alive after a crash: for the time of an earlier, longer one still that."""
        lease_ms = self._config.lease_ms
        self._writer.set_lease(max(lease_ms, earlier_ms))
        if earlier_ms > lease_ms:
            self._loop.call_later(earlier_ms / 1000, self._writer.set_lease, lease_ms)

    # --- API ---------------------------------------------------------------------------------------------------------

    async def request(self, command: Command) -> Reply:
        """Have the core carry out a command; its Reply comes when the effect is durable."""
        self._requests += 1
        future: asyncio.Future[Reply] = self._loop.create_future()
        self._replies[self._requests] = future
        self._driver.feed(Request(self._requests, command))
        return await future

    def _health(self) -> tuple[bool, Mapping[str, Any]]:
        world = self.core.world
        return not self._failure.done(), {
            "home_agents_ready": sum(session.ready for session in world.sessions.values()),
            "revision": world.committed_revision,
            "store": "postgresql" if self._config.database.url is not None else "sqlite",
            **({} if self._reports is None else {"ves": self._reports.reporter.facts()}),
        }


def _safe(details: Mapping[str, str | int | float]) -> dict[str, str | int | float]:
    """Details as log fields; a LogRecord refuses some names of its own."""
    return {("detail_" + key if key in ("name", "message", "args", "module") else key): value for key, value in details.items()}
