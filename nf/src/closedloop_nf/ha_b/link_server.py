"""The listening end of the link: TLS connections to inputs of the core, messages back, many to a write."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable
from typing import Final

from closedloop_nf.ha_b.inputs import Input, LinkClosed, LinkMessage, LinkOpened, LinkWritable
from closedloop_nf.link.framing import Encoder, FramingError, backend_decoder
from closedloop_nf.link.messages import ToPacketProcessor
from closedloop_nf.runtime.tls import peer_common_name

log = logging.getLogger("closedloop_nf.link")

MAX_UNSENT: Final = 64 * 1024 * 1024
"""Octets that may wait for a peer that does not read; its connection is cut above that."""
CLOSE_S: Final = 1.0
"""A connection that does not end by then after it was asked to is cut."""


class LinkServer:
    """Connections by number. `feed` takes the inputs."""

    def __init__(self, feed: Callable[[Input], None]) -> None:
        self.feed = feed
        self.encoder = Encoder()
        self.messages_received = 0
        self.messages_sent = 0
        self._links: dict[int, _Link] = {}
        self._count = 0
        self._server: asyncio.Server | None = None

    async def start(self, sock: socket.socket, tls: ssl.SSLContext) -> None:
        self._server = await asyncio.get_running_loop().create_server(
            lambda: _Link(self), sock=sock, ssl=tls, ssl_handshake_timeout=5.0, ssl_shutdown_timeout=CLOSE_S
        )

    def add(self, link: _Link) -> int:
        """Number a connection."""
        self._count += 1
        self._links[self._count] = link
        return self._count

    def remove(self, conn: int) -> None:
        self._links.pop(conn, None)

    def send(self, conn: int, message: ToPacketProcessor) -> None:
        link = self._links.get(conn)
        if link is not None:
            link.send(message)

    def hang_up(self, conn: int) -> None:
        """Close after what was sent has left."""
        link = self._links.get(conn)
        if link is not None:
            link.hang_up()

    async def close(self) -> None:
        """Stop listening, end all connections."""
        if self._server is not None:
            self._server.close()
        for conn in list(self._links):
            self.hang_up(conn)
        for _ in range(100):
            if not self._links:
                return
            await asyncio.sleep(0.01)
        for link in list(self._links.values()):
            link.abort()


class _Link(asyncio.Protocol):
    """One connection. Counted as opened when its TLS handshake is done."""

    def __init__(self, server: LinkServer) -> None:
        self._server = server
        self._decoder = backend_decoder()
        self._outgoing: list[ToPacketProcessor] = []
        self._conn = 0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.set_write_buffer_limits(high=1024 * 1024)
        self._conn = self._server.add(self)
        peer = transport.get_extra_info("peername")
        self._server.feed(LinkOpened(self._conn, str(peer[0]) if peer else "", peer_common_name(transport.get_extra_info("ssl_object"))))

    def data_received(self, data: bytes) -> None:
        try:
            messages = self._decoder.feed(data)
        except FramingError as error:
            log.warning("a peer sent no valid frame", extra={"conn": self._conn, "problem": str(error)})
            self.abort()
            return
        self._server.messages_received += len(messages)
        for message in messages:
            self._server.feed(LinkMessage(self._conn, message))

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._outgoing.clear()
        self._server.remove(self._conn)
        self._server.feed(LinkClosed(self._conn, reset=exc is not None))

    def pause_writing(self) -> None:
        self._server.feed(LinkWritable(self._conn, False))

    def resume_writing(self) -> None:
        self._server.feed(LinkWritable(self._conn, True))

    def send(self, message: ToPacketProcessor) -> None:
        """Queue; all that is queued in one turn of the loop leaves in one write."""
        if not self._outgoing:
            asyncio.get_running_loop().call_soon(self._flush)
        self._outgoing.append(message)

    def _flush(self) -> None:
        if self._transport is None or not self._outgoing:
            return
        self._server.messages_sent += len(self._outgoing)
        data = self._server.encoder.encode(self._outgoing)
        self._outgoing.clear()
        self._transport.write(data)
        if self._transport.get_write_buffer_size() > MAX_UNSENT:
            log.warning("a peer does not read", extra={"conn": self._conn})
            self.abort()

    def hang_up(self) -> None:
        self._flush()
        if self._transport is not None:
            self._transport.close()
            asyncio.get_running_loop().call_later(CLOSE_S, self.abort)

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()
