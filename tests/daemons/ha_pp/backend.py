"""A scripted HA-B: speaks the link protocol from the test process, keeps bindings in a dict, obeys the test."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import time
from typing import Any, TypeVar

from closedloop_nf.link import messages as link
from closedloop_nf.link.framing import Encoder, backend_decoder

from tests.daemons.ha_pp.lab import AGENT, BACKEND, BACKEND_PORT, HOME, HOME_PREFIX, KEY, SPI, Lab, octets, until

M = TypeVar("M")


class Backend(asyncio.Protocol):
    """One session at a time. Registers are answered yes unless `statuses` says otherwise; beats are acknowledged while `beating`."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.heard: list[link.ToBackend] = []
        self.heard_at: list[float] = []
        self.bindings: dict[bytes, link.Binding] = {}
        self.keys = [link.SecurityAssociation(octets(HOME), SPI, KEY)]
        self.statuses: dict[bytes, int] = {}
        self.beating = True
        self.registering = True
        self.answering = True
        """Whether Hello gets an answer."""
        self.registers = 0
        """Registers heard."""
        self.epoch = 0
        self.revision = 0
        self.welcome: dict[str, Any] = {
            "beat_ms": 100,
            "lease_ms": 30_000,
            "role": "active",
            "address_mode": "per_instance",
            "home_prefixes": [(octets(HOME_PREFIX), 64)],
            "home_agents": [link.HomeAgent(octets(AGENT), 10, 1800)],
        }
        self._decoder = backend_decoder()
        self._encode = Encoder().encode
        self._transport: asyncio.Transport | None = None
        self._server: asyncio.Server | None = None

    async def listen(self) -> Backend:
        def make() -> socket.socket:
            sock = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((BACKEND, BACKEND_PORT))
            return sock

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.lab.folder / "ha-b.pem", self.lab.folder / "ha-b.key")
        sock = self.lab.open_socket("r", make)
        self._server = await asyncio.get_running_loop().create_server(lambda: self, sock=sock, ssl=context)
        return self

    async def close(self) -> None:
        self.cut()
        if self._server is not None:
            self._server.close()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._server.wait_closed(), 1)

    def cut(self) -> None:
        """Reset the connection."""
        if self._transport is not None:
            self._transport.abort()

    def send(self, *messages: link.ToPacketProcessor) -> None:
        assert self._transport is not None, "no session"
        self._transport.write(self._encode(messages))

    def said(self, kind: type[M]) -> list[M]:
        """Messages of that kind heard so far, over all sessions."""
        return [message for message in self.heard if isinstance(message, kind)]

    async def hears(self, kind: type[M], count: int = 1, seconds: float = 60.0) -> M:
        """Wait for the `count`-th message of that kind."""
        await until(f"{count} {kind.__name__}", lambda: len(self.said(kind)) >= count, seconds)
        return self.said(kind)[count - 1]

    def at(self, kind: type[Any]) -> float:
        """When the first message of that kind came, monotonic seconds."""
        return next(at for at, message in zip(self.heard_at, self.heard, strict=True) if isinstance(message, kind))

    # --- asyncio.Protocol ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._decoder = backend_decoder()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None

    def data_received(self, data: bytes) -> None:
        answers: list[link.ToPacketProcessor] = []
        for message in self._decoder.feed(data):
            self.heard.append(message)
            self.registers += isinstance(message, link.Register)
            self.heard_at.append(time.monotonic())
            answers += self._answer(message)
        if answers and self._transport is not None:
            self._transport.write(self._encode(answers))

    def _answer(self, message: link.ToBackend) -> list[link.ToPacketProcessor]:
        if isinstance(message, link.Hello):
            if not self.answering:
                return []
            self.epoch += 1
            rows = list(self.bindings.values())
            chunks = [link.Bindings(rows[at : at + 1000]) for at in range(0, len(rows), 1000)]
            keys = [link.SecurityAssociations(self.keys[at : at + 1000]) for at in range(0, len(self.keys), 1000)]
            return [link.Welcome(epoch=self.epoch, **self.welcome), *chunks, *keys, link.SnapshotDone(self.revision)]
        if isinstance(message, link.Beat):
            return [link.BeatAck(message.sequence)] if self.beating else []
        if isinstance(message, link.Register) and self.registering:
            return [self.register(message)]
        return []

    def register(self, message: link.Register) -> link.Registered:
        """What HA-B would do with it: into the table, or refused."""
        self.revision += 1
        status = self.statuses.get(message.home_address, 0)
        if status == 0 and message.lifetime_s:
            self.bindings[message.home_address] = link.Binding(
                message.home_address,
                message.care_of_address,
                message.sequence,
                message.lifetime_s,
                time.time() + message.lifetime_s,
                message.flags,
                "ha-pp-a",
                self.epoch,
                message.timestamp,
                self.revision,
            )
        elif status == 0:
            self.bindings.pop(message.home_address, None)
        return link.Registered(message.transaction, status, message.lifetime_s, message.sequence, self.revision)
