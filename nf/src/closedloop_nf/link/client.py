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


class LinkClient(asyncio.Protocol):
    """Dials when told. Calls `connected`, `message` and, exactly once per dial, `closed`."""

    def __init__(
        self,
        host: str,
        port: int,
        tls: ssl.SSLContext,
        server_name: str,
        *,
        connected: Callable[[], None],
        message: Callable[[ToPacketProcessor], None],
        closed: Callable[[], None],
    ) -> None:
        self._host, self._port, self._tls, self._server_name = host, port, tls, server_name
        self._connected, self._message, self._closed = connected, message, closed
        self._transport: asyncio.Transport | None = None
        self._dialling: asyncio.Task[None] | None = None
        self._decoder = packet_processor_decoder()
        self._encoder = Encoder()
        self._outgoing: list[ToBackend] = []

    def dial(self) -> None:
        """Begin to connect."""
        self._dialling = asyncio.get_running_loop().create_task(self._dial())

    def send(self, message: ToBackend) -> None:
        """Queue a message; all that is queued in one turn of the loop leaves in one write. Lost where there is no connection."""
        if self._transport is None:
            return
        if not self._outgoing:
            asyncio.get_running_loop().call_soon(self.flush)
        self._outgoing.append(message)

    def flush(self) -> None:
        """Write what is queued."""
        if self._outgoing and self._transport is not None:
            self._transport.write(self._encoder.encode(self._outgoing))
        self._outgoing.clear()

    def hang_up(self) -> None:
        """Close after what is queued has left."""
        self.flush()
        if self._transport is not None:
            self._transport.close()

    async def close(self) -> None:
        """Hang up and give the last octets a moment to leave."""
        if self._dialling is not None:
            self._dialling.cancel()
        self.hang_up()
        for _attempt in range(50):
            if self._transport is None:
                return
            await asyncio.sleep(0.01)

    async def _dial(self) -> None:
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await asyncio.get_running_loop().create_connection(
                    lambda: self, self._host, self._port, ssl=self._tls, server_hostname=self._server_name
                )
        except (OSError, TimeoutError) as error:
            log.debug("HA-B cannot be reached", extra={"host": self._host, "port": self._port, "problem": type(error).__name__})
            self._transport = None
            self._closed()

    # --- asyncio.Protocol ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._decoder = packet_processor_decoder()
        self._outgoing.clear()
        self._connected()

    def data_received(self, data: bytes) -> None:
        try:
            for message in self._decoder.feed(data):
                self._message(message)
        except FramingError as error:
            log.warning("HA-B sent no valid frame", extra={"problem": str(error)})
            if self._transport is not None:
                self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._outgoing.clear()
        self._closed()
