"""A VES collector of the test: real TLS, keeps what it accepts with the time, and fails as it is told."""

from __future__ import annotations

import asyncio
import base64
import json
import socket
import ssl
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from aiohttp import web
from closedloop_nf.ves import records

PASSWORD = "collector-secret"
USER = "ha-b"


class Arrival(NamedTuple):
    """wall: when it came, UNIX seconds. batch: how many came with it."""

    wall: float
    event: dict[str, Any]
    batch: int

    @property
    def header(self) -> dict[str, Any]:
        return dict(self.event["commonEventHeader"])

    @property
    def key(self) -> tuple[str, int, str]:
        return self.header["eventId"], self.header["sequence"], self.header["sourceName"]


class Collector:
    """`tls`: of the server; where it asks for certificates no password is needed. `make`: opens a socket bound to a port of its own."""

    def __init__(self, tls: ssl.SSLContext, make: Callable[[int], socket.socket]) -> None:
        self._tls, self._make = tls, make
        self.port = 0
        self.arrivals: list[Arrival] = []
        self.attempts = 0
        self.fail: Callable[[web.Request], web.Response | None] = lambda _: None
        """Called after the body was read; what it returns is the answer, and nothing is kept."""
        self._runner: web.AppRunner | None = None

    async def start(self) -> Collector:
        app = web.Application(client_max_size=2_000_000)
        app.router.add_post("/eventListener/v7", self._single)
        app.router.add_post("/eventListener/v7/eventBatch", self._batch)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        sock = self._make(self.port)
        self.port = sock.getsockname()[1]
        await web.SockSite(self._runner, sock, ssl_context=self._tls).start()
        return self

    async def stop(self) -> None:
        """Connections are refused from here on."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _single(self, request: web.Request) -> web.Response:
        return await self._take(request, lambda body: [body["event"]])

    async def _batch(self, request: web.Request) -> web.Response:
        return await self._take(request, lambda body: body["eventList"])

    async def _take(self, request: web.Request, events_of: Callable[[Any], list[dict[str, Any]]]) -> web.Response:
        self.attempts += 1
        wall = time.time()
        assert request.transport is not None
        wanted = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        if request.headers.get("Authorization") != wanted and not request.transport.get_extra_info("peercert"):
            return web.Response(status=401)
        events = events_of(json.loads(await request.read()))
        failure = self.fail(request)
        if failure is not None:
            return failure
        if len({event["commonEventHeader"]["domain"] for event in events}) != 1:
            return web.Response(status=400)
        for event in events:
            records.decode(json.dumps(event).encode())
            self.arrivals.append(Arrival(wall, event, len(events)))
        return web.Response(status=202)

    def of(self, reporter: str) -> list[Arrival]:
        """What a function said, in the order of arrival; what came twice after a kill counts once."""
        found: dict[tuple[str, int, str], Arrival] = {}
        for arrival in self.arrivals:
            if arrival.header["reportingEntityName"] == reporter:
                found.setdefault(arrival.key, arrival)
        return list(found.values())

    def faults(self, reporter: str, source: str) -> list[Arrival]:
        return [one for one in self.of(reporter) if one.header["domain"] == "fault" and one.header["sourceName"] == source]

    async def until(self, what: str, condition: Callable[[], Any], seconds: float = 60.0) -> Any:
        """Poll until the condition gives something."""
        end = time.monotonic() + seconds
        while not (found := condition()):
            assert time.monotonic() < end, f"not within {seconds} s: {what}; {len(self.arrivals)} events, {self.attempts} attempts"
            await asyncio.sleep(0.005)
        return found


def hang_up(request: web.Request) -> web.Response:
    """The connection breaks before an answer, as when the collector is killed."""
    assert request.transport is not None
    request.transport.abort()
    return web.Response(status=500)


def number(arrival: Arrival) -> int:
    """The number in its eventId."""
    return int(arrival.header["eventId"].rsplit("-", 1)[1])


def assert_complete_and_in_order(arrivals: list[Arrival], starts: int = 1) -> None:
    """Every number that the reporter used is there, once, in order. A clearing event used one without showing it.

    Only the starts of the reporter make the number jump.
    """
    last, jumps = number(arrivals[0]), []
    for arrival in arrivals[1:]:
        last += 1
        if arrival.header["sequence"] == 0:
            if number(arrival) != last:
                jumps.append((last, arrival.header))
                assert number(arrival) > last, jumps
            last = number(arrival)
    assert len(jumps) == starts - 1, jumps
    times = [arrival.header["lastEpochMicrosec"] for arrival in arrivals if arrival.header["domain"] != "measurement"]
    assert times == sorted(times)
