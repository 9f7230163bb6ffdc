"""The VES listener over HTTP: path, method, authentication, size, body, answer - in this order."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import zlib
from collections.abc import Callable
from typing import Any, Final, Protocol

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from closedloop_loop.intake import answers, events
from closedloop_loop.intake.answers import Reply
from closedloop_loop.intake.authentication import Access, Authenticator
from closedloop_loop.intake.metrics import Metrics
from closedloop_loop.journal.messages import Answer, Entry, Verdict

log: Final = logging.getLogger("closedloop_loop.intake")

MAX_BODY: Final = 2 << 20
"""Octets of a body, after gzip is undone (VES Event Listener 7.2: 2 MB)."""
BODIES: Final = 64 << 20
"""Octets of all bodies that are being read; past that the answer is 503."""
BODY_TIMEOUT_S: Final = 30.0
ROOT: Final = "/eventListener/v"
METRICS_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

_DECODERS: Final[dict[str, Callable[[bytes], list[Entry]]]] = {
    "/eventListener/v7": events.single,
    "/eventListener/v7/eventBatch": events.batch,
}


def _without_quotation(record: logging.LogRecord) -> bool:
    """What is no HTTP is told by the peer's address alone: aiohttp's trace quotes it, and anybody may send it, password or not."""
    if record.exc_info and isinstance(record.exc_info[1], HttpProcessingError):
        record.exc_info = None
    return True


log.addFilter(_without_quotation)


class Durable(Protocol):
    """Where events become durable: journal.shell.Journal, kafka.producer.Outbox."""

    broken: bool
    """Whether the last attempt failed."""

    @property
    def full(self) -> bool: ...

    async def submit(self, entries: list[Entry]) -> Answer: ...

    async def close(self) -> None: ...


class Listener:
    """Answers requests. Without an authenticator everybody may send, but for whom TLS has refused."""

    def __init__(self, journal: Durable, metrics: Metrics, authenticator: Authenticator | None) -> None:
        self._journal, self._metrics, self._authenticator = journal, metrics, authenticator
        self._bodies = 0
        self._server = web.Server(
            self._handle,
            request_factory=_request,
            access_log=None,
            auto_decompress=False,
            logger=log,
            tcp_keepalive=True,
        )
        self._runner = web.ServerRunner(self._server, handle_signals=False, shutdown_timeout=2.0)

    async def start(self, sock: socket.socket, tls: ssl.SSLContext | None) -> None:
        """Serve on a listening socket."""
        await self._runner.setup()
        await web.SockSite(self._runner, sock, ssl_context=tls).start()

    async def close(self) -> None:
        await self._runner.cleanup()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        reply = await self._reply(request)
        self._metrics.responses[reply.status] += 1
        if reply.reason:
            self._metrics.refused[reply.reason] += 1
        response = web.Response(status=reply.status, body=reply.body or None, headers=answers.HEADERS)
        response.headers.update(reply.headers)
        if reply.body and "Content-Type" not in reply.headers:
            response.headers["Content-Type"] = "application/json"
        if reply.headers.get("Connection") == "close":
            response.force_close()
        return response

    async def _reply(self, request: web.BaseRequest) -> Reply:
        path = request.path
        if path == "/healthcheck":
            return self._health() if request.method in ("GET", "HEAD") else answers.GET_ONLY
        match await self._access(request):
            case Access.DENIED:
                return answers.UNAUTHORIZED
            case Access.BUSY:
                return answers.BUSY
        if path == "/metrics":
            if request.method not in ("GET", "HEAD"):
                return answers.GET_ONLY
            return Reply(200, self._metrics.text(), {"Content-Type": METRICS_TYPE})
        decode = _DECODERS.get(path)
        if decode is None:
            return answers.VERSION if _other_version(path) else answers.NOT_FOUND
        if request.method != "POST":
            return answers.POST_ONLY
        if request.headers.get("X-MinorVersion", "2") not in ("0", "1", "2"):
            return answers.VERSION
        return await self._receive(request, decode)

    def _health(self) -> Reply:
        if self._journal.broken:
            return answers.FAILED
        return answers.BUSY if self._journal.full else Reply(200)

    async def _access(self, request: web.BaseRequest) -> Access:
        if self._authenticator is None:
            return Access.GRANTED
        transport = request.transport
        if transport is not None and transport.get_extra_info("peercert"):
            return Access.GRANTED
        return await self._authenticator.check(request.headers.get("Authorization"))

    async def _receive(self, request: web.BaseRequest, decode: Callable[[bytes], list[Entry]]) -> Reply:
        encoding = request.headers.get("Content-Encoding", "identity").lower()
        if encoding not in ("identity", "gzip"):
            return answers.ENCODING
        length = request.content_length
        if length is not None and length > MAX_BODY:
            return answers.TOO_LARGE
        reserved = length if length is not None and encoding == "identity" else MAX_BODY
        if self._bodies + reserved > BODIES or self._journal.full:
            return answers.BUSY
        self._bodies += reserved
        try:
            body = await _body(request)
            entries = decode(inflate(body) if encoding == "gzip" else body)
        except TimeoutError:
            return answers.TOO_SLOW
        except (web.HTTPRequestEntityTooLarge, TooLarge):
            return answers.TOO_LARGE
        except NotGzip:
            return answers.NOT_GZIP
        except events.Refused as refused:
            return answers.service(refused.message_id, refused.text, refused.reason)
        finally:
            self._bodies -= reserved
        return await self._store(entries)

    async def _store(self, entries: list[Entry]) -> Reply:
        answer = await self._journal.submit(entries)
        if answer.verdict is Verdict.ACCEPTED:
            self._metrics.events += len(entries) - answer.duplicates
            self._metrics.duplicates += answer.duplicates
            return answers.ACCEPTED
        return answers.BUSY if answer.verdict is Verdict.BUSY else answers.FAILED


def _request(message: Any, payload: Any, protocol: Any, writer: Any, task: Any) -> web.BaseRequest:
    return web.BaseRequest(message, payload, protocol, writer, task, asyncio.get_running_loop(), client_max_size=MAX_BODY)


async def _body(request: web.BaseRequest) -> bytes:
    """Raises TimeoutError when it takes too long to arrive, HTTPRequestEntityTooLarge past MAX_BODY."""
    if request.content.is_eof():  # it came with the head, as nearly all do: no need for a timer
        return await request.read()
    async with asyncio.timeout(BODY_TIMEOUT_S):
        return await request.read()


def _other_version(path: str) -> bool:
    """Whether the path would be right in another version of the interface."""
    version, _, rest = path.removeprefix(ROOT).partition("/")
    return path.startswith(ROOT) and version.isascii() and version.isdigit() and version != "7" and rest in ("", "eventBatch")


class TooLarge(Exception):
    """A body that is larger than MAX_BODY once gzip is undone."""


class NotGzip(Exception):
    """A body that says it is gzip and is not."""


def inflate(body: bytes, limit: int = MAX_BODY) -> bytes:
    """Undo gzip (RFC 1952), one member, never more than `limit` octets. Raises TooLarge, NotGzip."""
    stream = zlib.decompressobj(wbits=31)
    try:
        plain = stream.decompress(body, limit + 1)
    except zlib.error:
        raise NotGzip from None
    if len(plain) > limit:
        raise TooLarge
    if not stream.eof or stream.unused_data:
        raise NotGzip
    return plain
