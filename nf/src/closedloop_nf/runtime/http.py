"""HTTP of a function: /healthz, /readyz, /metrics, and routes of its own.

aiohttp costs 150 ms to import, which is too long on the way to a function's first packet. So the listening socket is opened first by
`listen()` - from then on a connection is accepted by the kernel - and aiohttp is imported when `serve_http` is awaited.
"""

from __future__ import annotations

import hmac
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from closedloop_nf.runtime.addresses import to_text
from closedloop_nf.runtime.config import ConfigError, HttpConfig, read_secret

if TYPE_CHECKING:
    from aiohttp import web
    from aiohttp.typedefs import Handler

OPEN_PATHS = frozenset({"/healthz", "/readyz"})
METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Condition(Protocol):
    """State of a function: whether it is well, and facts for the JSON body."""

    def __call__(self) -> tuple[bool, Mapping[str, Any]]: ...


@dataclass(frozen=True)
class Probes:
    """What the common paths answer. healthz, readyz: (well, facts); metrics: Prometheus text."""

    healthz: Condition
    readyz: Condition
    metrics: Callable[[], bytes]


@dataclass
class HttpServer:
    """A running server; `close()` ends it."""

    port: int
    _cleanup: Callable[[], Awaitable[None]] = field(repr=False)

    async def close(self) -> None:
        await self._cleanup()


def listen(address: bytes, port: int, field_name: str = "http") -> socket.socket:
    """A listening IPv6 TCP socket, not blocking. Raises ConfigError when the address cannot be had."""
    # The protocol by its number: asyncio turns Nagle's algorithm off only where the socket names TCP, and accepted ones inherit the name.
    sock = socket.socket(socket.AF_INET6, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.setblocking(False)
        sock.bind((to_text(address), port))
        sock.listen(256)
    except OSError as error:
        sock.close()
        raise ConfigError(
            f"[{to_text(address)}]:{port}", field_name, f"cannot listen ({error.strerror}); give an address of this host and a free port"
        ) from None
    return sock


def bearer_token(config: HttpConfig, field_name: str = "http") -> bytes | None:
    """The token of the configuration, None where none is set. Raises ConfigError."""
    return read_secret(config.token_file, f"{field_name}.token_file") if config.token_file is not None else None


async def serve_http(
    sock: socket.socket,
    probes: Probes,
    *,
    token: bytes | None = None,
    tls: ssl.SSLContext | None = None,
    extend: Callable[[web.Application], None] | None = None,
) -> HttpServer:
    """Serve on a listening socket. With `token` every path but /healthz and /readyz needs it; mTLS (`tls` demands a certificate)
    TLS has refused strangers before. `extend` adds routes and middlewares before the server starts.
    """
    from aiohttp import web

    async def healthz(_request: web.Request) -> web.Response:
        return _condition(probes.healthz)

    async def readyz(_request: web.Request) -> web.Response:
        return _condition(probes.readyz)

    async def metrics(_request: web.Request) -> web.Response:
        return web.Response(body=probes.metrics(), headers={"Content-Type": METRICS_TYPE})

    def _condition(ask: Condition) -> web.Response:
        well, facts = ask()
        return web.json_response({"status": "ok" if well else "unavailable", **facts}, status=200 if well else 503)

    app = web.Application(client_max_size=256 * 1024)
    if token is not None:
        app.middlewares.append(_require(token))
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/metrics", metrics)
    if extend is not None:
        extend(app)
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)
    await runner.setup()
    await web.SockSite(runner, sock, ssl_context=tls).start()
    return HttpServer(port=sock.getsockname()[1], _cleanup=runner.cleanup)


def _require(token: bytes) -> Any:
    from aiohttp import web

    @web.middleware
    async def authenticate(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path not in OPEN_PATHS:
            scheme, _space, given = request.headers.get("Authorization", "").partition(" ")
            if not hmac.compare_digest(given.strip().encode("utf-8", "replace"), token) or scheme.lower() != "bearer":
                return web.json_response(
                    {"error": {"code": "unauthorized", "field": "Authorization", "message": "send 'Authorization: Bearer <token>'"}},
                    status=401,
                    headers={"WWW-Authenticate": "Bearer"},
                )
        return await handler(request)

    return authenticate
