"""A VES listener with its journal, from configuration to closed socket."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Self, TypeVar

from closedloop_loop.files import FileError
from closedloop_loop.intake import credentials, tls
from closedloop_loop.intake.authentication import Authenticator
from closedloop_loop.intake.config import VesConfig
from closedloop_loop.intake.metrics import Metrics
from closedloop_loop.intake.server import Durable, Listener
from closedloop_loop.journal.core import Limits
from closedloop_loop.journal.shell import Journal
from closedloop_loop.journal.store import JournalError, SqliteJournal


def check(config: VesConfig) -> None:
    """Read the files that the configuration names. Raises FileError."""
    if config.credentials is not None:
        credentials.load(config.credentials)
    if config.tls is not None:
        tls.context(config.tls, password_too=config.credentials is not None)


def open_journal(config: VesConfig, place: str, metrics: Metrics) -> Journal:
    """Events are kept here, for a consumer in this process. Raises FileError."""
    limits = Limits(
        pending_octets=config.pending_mib << 20,
        backlog_events=config.backlog_events,
        window_octets=config.window_mib << 20,
        remember_events=config.remember_events,
    )
    try:
        journal = Journal(SqliteJournal(Path(place)), limits)
    except JournalError as error:
        raise FileError(place, "journal", str(error)) from None
    metrics.gauges["backlog_events"] = ("Durable events that the consumer has not finished", lambda: journal.core.backlog)
    metrics.gauges["pending_octets"] = ("Octets of events that are not durable yet", lambda: journal.core.pending_octets)
    metrics.counters["commits"] = ("Transactions of the journal", lambda: journal.commits)
    metrics.counters["journal_failures"] = ("Transactions and reads of the journal that failed", lambda: journal.failures)
    return journal


D = TypeVar("D", bound=Durable)


@dataclass
class Collector(Generic[D]):
    """A running listener; `async with await Collector.open(config, where)` closes it."""

    journal: D
    metrics: Metrics
    port: int
    _listener: Listener
    _authenticator: Authenticator | None

    @classmethod
    async def open(cls, config: VesConfig, durable: Callable[[Metrics], D]) -> Self:
        """durable: opens where events become durable. Everything is checked before the port is opened. Raises FileError, with a line for
        the operator."""
        known = credentials.load(config.credentials) if config.credentials is not None else None
        context = tls.context(config.tls, password_too=known is not None) if config.tls is not None else None
        metrics = Metrics()
        journal = durable(metrics)
        try:
            sock = listen(config.host, config.port)
        except FileError:
            await journal.close()
            raise
        authenticator = Authenticator(known) if known is not None else None
        listener = Listener(journal, metrics, authenticator)
        if authenticator is not None:
            metrics.counters["passwords_verified"] = ("Password hashes computed", lambda: authenticator.verified)
        await listener.start(sock, context)
        return cls(journal, metrics, sock.getsockname()[1], listener, authenticator)

    async def close(self) -> None:
        """No request is taken any more; what was taken is stored and answered."""
        await self._listener.close()
        await self.journal.close()
        if self._authenticator is not None:
            self._authenticator.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exception: object) -> None:
        await self.close()


def listen(host: str, port: int) -> socket.socket:
    """A listening TCP socket, not blocking; `::` takes IPv4 too. Raises FileError."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        # The protocol by its number: asyncio turns Nagle's algorithm off only where the socket names TCP.
        sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    except OSError as error:
        raise FileError(repr(host), "host", f"is no address of this host ({error.strerror}); give one") from None
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        sock.setblocking(False)
        sock.bind(address)
        sock.listen(1024)
    except OSError as error:
        sock.close()
        raise FileError(
            repr(host), "port", f"{port} cannot be listened at ({error.strerror}); give an address of this host and a free port"
        ) from None
    return sock
