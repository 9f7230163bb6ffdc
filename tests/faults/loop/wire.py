"""The network between the functions and the event source, which loses, doubles, delays, holds back and reorders what functions send.

Connections to the listener are redirected to a server in the same namespace that has the listener's own certificate. So it sees each
request and each answer, and knows what was acknowledged without asking anybody.
"""

from __future__ import annotations

import asyncio
import json
import random
import ssl
import subprocess
import threading
import time
from collections import Counter, deque
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Final, NamedTuple

import aiohttp
from aiohttp import web
from ansible_collections.closedloop.mobility.plugins.module_utils import namespaces
from closedloop_loop.records import AnyRecord, Rejected, from_event

PORT: Final = 8444
TABLE: Final = "ip6 closedloop_faults_wire"
FAULTS: Final = ("lose_request", "lose_answer", "double", "delay", "hold_back", "refuse", "black_hole")
REMEMBERED: Final = 400
"""The latest requests, which may be sent again."""
LONGEST_HELD_S: Final = 12.0
AGAIN_S: Final = 0.2
_KEPT_HEADERS: Final = ("Authorization", "Content-Type", "X-MinorVersion")


class Request(NamedTuple):
    """What a function sent."""

    path: str
    headers: dict[str, str]
    body: bytes


class Acknowledged(NamedTuple):
    """A record that was answered 202. Monotonic seconds: when it was first sent on, when the answer came."""

    record: AnyRecord
    sent: float
    answered: float


class Wire:
    """`start`, then `level` says which share of the requests suffers; `stop` at the end."""

    def __init__(self, namespace: str, address: str, port: int, tls: Path, rng: random.Random) -> None:
        self._namespace, self._address, self._port, self._tls, self._rng = namespace, address, port, tls, rng
        self.level = 0.0
        self.replays_per_s = 0.0
        self.counts: Counter[str] = Counter()
        self.acknowledged: dict[tuple[str, str, int], Acknowledged] = {}
        """By source, event id and sequence: what the listener knows an event by."""
        self.sent: dict[tuple[str, str, int], float] = {}
        """When each was sent on to the listener for the first time."""
        self.problem: str | None = None
        self._requests: deque[Request] = deque(maxlen=REMEMBERED)
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = asyncio.Event()
        self._serving = threading.Event()
        self._thread = threading.Thread(target=self._run, name="wire")

    def start(self) -> None:
        """Returns when connections come this way."""
        self._thread.start()
        assert self._serving.wait(10), self.problem or "the wire does not serve"
        with namespaces.entered(self._namespace):
            rules = f"""
                add table {TABLE}
                add chain {TABLE} arriving {{ type nat hook prerouting priority -100; }}
                add rule {TABLE} arriving iifname != "lo" tcp dport {self._port} redirect to :{PORT}
            """
            subprocess.run(["nft", "-f", "-"], input=rules, text=True, check=True, capture_output=True)

    def stop(self) -> None:
        if self._loop is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join(20)

    def send(self, events: list[dict[str, Any]]) -> None:
        """Events of the suite's own, one after another, each until it is acknowledged, by the credentials of HA-B."""
        assert self._loop is not None
        self._loop.call_soon_threadsafe(lambda: self._spawn(self._send(events)))

    @property
    def pending(self) -> int:
        """Requests that are held back or sent again."""
        return len(self._tasks)

    # --- in the thread -----------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            with namespaces.entered(self._namespace):
                asyncio.run(self._main())
        except Exception as error:
            self.problem = f"{type(error).__name__}: {error}"
            raise

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        ours = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        ours.load_cert_chain(self._tls / "server.pem", self._tls / "server.key")
        theirs = ssl.create_default_context(cafile=self._tls / "ca.pem")
        connector = aiohttp.TCPConnector(ssl=theirs, limit=0)
        async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=30)) as self._session:
            listening = await self._loop.create_server(web.Server(self._handle), self._address, PORT, ssl=ours)
            self._serving.set()
            replaying = asyncio.create_task(self._replaying())
            await self._stopping.wait()
            listening.close()
            for task in (replaying, *self._tasks):
                task.cancel()
            await asyncio.gather(replaying, *self._tasks, return_exceptions=True)

    async def _handle(self, incoming: web.BaseRequest) -> web.StreamResponse:
        headers = {name: incoming.headers[name] for name in _KEPT_HEADERS if name in incoming.headers}
        request = Request(incoming.path, headers, await incoming.read())
        self._requests.append(request)
        fault = self._rng.choice(FAULTS) if self._rng.random() < self.level else None
        if fault is not None:
            self.counts[f"event_{fault}"] += 1
        match fault:
            case "lose_request":
                return _cut(incoming)
            case "black_hole":
                await asyncio.sleep(self._rng.uniform(1.0, 7.0))
                return _cut(incoming)
            case "hold_back":  # the function sends it again, and later what it sent first arrives as well
                self._spawn(self._later(self._rng.uniform(0.1, LONGEST_HELD_S), request))
                return _cut(incoming)
            case "refuse":
                return web.Response(status=503)
            case "delay":
                await asyncio.sleep(self._rng.uniform(0.05, 3.0))
            case "double":
                self._spawn(self._later(0.0, request))
        try:
            status = await self._forward(request)
        except (aiohttp.ClientError, TimeoutError, OSError):
            return _cut(incoming)
        return _cut(incoming) if fault == "lose_answer" else web.Response(status=status)

    async def _forward(self, request: Request) -> int:
        """The listener's answer."""
        records = _records(request.body)
        begun = time.monotonic()
        for record in records:
            self.sent.setdefault(_key(record), begun)
        url = f"https://[{self._address}]:{self._port}{request.path}"
        async with self._session.post(url, data=request.body, headers=request.headers) as answer:
            await answer.read()
        if answer.status == 202:
            for record in records:
                self.acknowledged.setdefault(_key(record), Acknowledged(record, begun, time.monotonic()))
        return answer.status

    async def _later(self, wait_s: float, request: Request) -> None:
        await asyncio.sleep(wait_s)
        await self._taken(request)

    async def _taken(self, request: Request) -> int:
        """The listener's answer, 0 where there is none."""
        try:
            return await self._forward(request)
        except (aiohttp.ClientError, TimeoutError, OSError):
            return 0

    async def _send(self, events: list[dict[str, Any]]) -> None:
        example = next(request for request in self._requests if b"ha-b" in request.body)
        for event in events:
            request = Request("/eventListener/v7", example.headers, json.dumps({"event": event}).encode())
            while await self._taken(request) != 202:  # noqa: ASYNC110 - nothing tells when the listener is there again
                await asyncio.sleep(AGAIN_S)

    async def _replaying(self) -> None:
        """Old requests again: doubled, late, or the last few in another order."""
        while True:
            await asyncio.sleep(0.1)
            if not self._requests or self._rng.random() >= self.replays_per_s / 10 / 2:
                continue
            how = self._rng.choice(("again", "late", "reordered"))
            latest = list(self._requests)[-4:]
            chosen = {
                "again": [latest[-1]] * 2,
                "late": [self._rng.choice(self._requests)],
                "reordered": self._rng.sample(latest, len(latest)),
            }[how]
            for request in chosen:
                self.counts[f"event_sent_{how}"] += 1
                self._spawn(self._later(0.0, request))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _cut(incoming: web.BaseRequest) -> web.Response:
    if incoming.transport is not None:
        incoming.transport.abort()
    return web.Response(status=500)  # to nobody


def _records(body: bytes) -> list[AnyRecord]:
    content = json.loads(body)
    events = content["eventList"] if "eventList" in content else [content["event"]]
    return [record for record in map(from_event, events) if not isinstance(record, Rejected)]


def _key(record: AnyRecord) -> tuple[str, str, int]:
    return record.source, record.event_id, record.sequence
