"""The dialling end of the link: one TLS connection at a time, messages in batches both ways."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable

from closedloop_nf.link.framing import Encoder, FramingError, packet_processor_decoder
from closedloop_nf.link.messages import ToBackend, ToPacketProcessor

log = logging.getLogger("closedloop_nf.link")

CONNECT_TIMEOUT_S = 2.0
"""From the first SYN to the end of the TLS handshake."""
FAREWELL_S = 0.5
"""How long what is queued may take to leave after `hang_up`; a dead peer does not hold up the next dial."""


class LinkClient:
    """Dials when told. After each `dial` comes `closed` exactly once, before it perhaps `connected` and `received` with all messages that
    came in one piece.

    The callbacks run in the event loop's thread; nothing is called any more after `close`.
    """

    def __init__(
        self,
        host: str,
        port: int,
        tls: ssl.SSLContext,
        server_name: str,
        *,
        connected: Callable[[], None],
        received: Callable[[list[ToPacketProcessor]], None],
        closed: Callable[[], None],
    ) -> None:
        self._host, self._port, self._tls, self._server_name = host, port, tls, server_name
        self._connected, self._deliver, self._closed = connected, received, closed
        self._connection: _Connection | None = None
        self._dialling: asyncio.Task[None] | None = None
        self._problem = ""
        self._over = False

    def dial(self) -> None:
        """Begin to connect. Only after `closed`, or for the first time."""
        self._dialling = asyncio.get_running_loop().create_task(self._dial())

    def send(self, message: ToBackend) -> None:
        """Queue a message; all that is queued in one turn of the loop leaves in one write. Lost where there is no connection."""
        if self._connection is not None:
            self._connection.send(message)

    def hang_up(self) -> None:
        """Close after what is queued has left, or after FAREWELL_S."""
        if self._connection is not None:
            self._connection.hang_up()

    async def close(self) -> None:
        """End for good: give up a dial in progress, hang up and wait until the last octets have left, FAREWELL_S at most."""
        self._over = True
        if self._dialling is not None:
            self._dialling.cancel()
        if self._connection is not None:
            self._connection.hang_up()
            await self._connection.lost.wait()

    async def _dial(self) -> None:
        connection = _Connection(self._made, self._received)
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await asyncio.get_running_loop().create_connection(
                    lambda: connection,
                    self._host,
                    self._port,
                    ssl=self._tls,
                    server_hostname=self._server_name,
                    ssl_shutdown_timeout=FAREWELL_S,
                )
        except (OSError, TimeoutError) as error:
            self._unreachable(error)
            connection.abort()
        else:
            self._problem = ""
            await connection.lost.wait()
        self._connection = None
        if not self._over:
            self._closed()

    def _made(self, connection: _Connection) -> None:
        self._connection = connection
        if not self._over:
            self._connected()

    def _received(self, messages: list[ToPacketProcessor]) -> None:
        if messages and not self._over:
            self._deliver(messages)

    def _unreachable(self, error: OSError) -> None:
        """Log once per kind of problem, not once per attempt."""
        problem = getattr(error, "verify_message", None) or error.strerror or type(error).__name__
        level = logging.DEBUG if problem == self._problem else logging.WARNING
        self._problem = problem
        log.log(level, "HA-B cannot be reached", extra={"host": self._host, "port": self._port, "problem": problem})


class _Connection(asyncio.Protocol):
    """One transport from its making to its loss."""

    def __init__(self, made: Callable[[_Connection], None], received: Callable[[list[ToPacketProcessor]], None]) -> None:
        self.lost = asyncio.Event()
        self._made, self._received = made, received
        self._transport: asyncio.Transport | None = None
        self._decoder = packet_processor_decoder()
        self._encoder = Encoder()
        self._outgoing: list[ToBackend] = []
        self._closing = False

    def send(self, message: ToBackend) -> None:
        if self._closing:
            return
        if not self._outgoing:
            asyncio.get_running_loop().call_soon(self._flush)
        self._outgoing.append(message)

    def hang_up(self) -> None:
        if self._closing or self._transport is None:
            return
        self._flush()
        self._closing = True
        self._transport.close()
        asyncio.get_running_loop().call_later(FAREWELL_S, self.abort)

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _flush(self) -> None:
        if self._outgoing and self._transport is not None and not self._closing:
            self._transport.write(self._encoder.encode(self._outgoing))
        self._outgoing.clear()

    # --- asyncio.Protocol ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._made(self)

    def data_received(self, data: bytes) -> None:
        if self._closing:
            return
        try:
            self._received(self._decoder.feed(data))
        except FramingError as error:
            log.warning("HA-B sent no valid frame", extra={"problem": str(error)})
            self._closing = True
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._outgoing.clear()
        self.lost.set()
