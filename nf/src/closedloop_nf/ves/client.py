"""HTTPS to the collector: VES 7.2 listener, one event or a batch of them per POST."""

from __future__ import annotations

import asyncio
import ssl
from typing import Final, NamedTuple

import aiohttp

from closedloop_nf.ves.delivery import Post, Verdict

PATIENCE_S: Final = 5.0
"""For one request from dialling to the answer."""
CONNECT_PATIENCE_S: Final = 2.0
_REFUSED: Final = (400, 413, 422)
_PATH: Final = "/eventListener/v7"


class Answer(NamedTuple):
    """status: of HTTP, 0 where there was none."""

    verdict: Verdict
    status: int
    retry_after_s: float = 0.0
    problem: str = ""
    """Type of the error where there was no answer."""


class Client:
    """One kept connection. Made inside the running loop."""

    def __init__(self, url: str, tls: ssl.SSLContext, server_name: str | None, authorization: str | None) -> None:
        self._url = url.rstrip("/") + _PATH
        self._server_name = server_name
        headers = {"Content-Type": "application/json", "X-MinorVersion": "2"}
        if authorization is not None:
            headers["Authorization"] = authorization
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=tls, limit=1, keepalive_timeout=75),
            timeout=aiohttp.ClientTimeout(total=PATIENCE_S, sock_connect=CONNECT_PATIENCE_S),
            headers=headers,
        )

    async def post(self, post: Post) -> Answer:
        """Never raises for what the network or the collector does."""
        bodies = [event.body for event in post.events]
        if len(bodies) == 1:
            url, body = self._url, b'{"event":' + bodies[0] + b"}"
        else:
            url, body = self._url + "/eventBatch", b'{"eventList":[' + b",".join(bodies) + b"]}"
        try:
            async with self._session.post(url, data=body, server_hostname=self._server_name, allow_redirects=False) as response:
                return verdict(response.status, response.headers.get("Retry-After", ""))
        except (aiohttp.ClientError, TimeoutError, OSError, asyncio.IncompleteReadError) as error:
            return Answer(Verdict.UNAVAILABLE, 0, problem=type(error).__name__)

    async def close(self) -> None:
        await self._session.close()


def verdict(status: int, retry_after: str) -> Answer:
    """2xx: taken. 400, 413, 422: not this body. All else (401, 404, 429, 5xx, redirects) says nothing about the events: later."""
    if 200 <= status < 300:
        return Answer(Verdict.ACCEPTED, status)
    if status in _REFUSED:
        return Answer(Verdict.REFUSED, status)
    seconds = float(retry_after) if retry_after.isascii() and retry_after.isdigit() and len(retry_after) < 7 else 0.0
    return Answer(Verdict.UNAVAILABLE, status, seconds)
