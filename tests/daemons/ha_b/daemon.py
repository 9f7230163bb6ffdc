"""`ha-b` as a process, and clients that speak to it over real sockets."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import yaml
from closedloop_nf.link import messages as m
from closedloop_nf.link.framing import Encoder, packet_processor_decoder
from closedloop_nf.runtime.addresses import from_text
from closedloop_nf.runtime.tls import client_context

from tests.daemons.ha_b.certificates import Authority

A = TypeVar("A")
PATIENCE_S = 60.0
TOKEN, API_TOKEN = "link-token", "api-token"
PREFIX = from_text("2001:db8:1::")


def home(number: int) -> bytes:
    return PREFIX[:8] + number.to_bytes(8, "big")


def care_of(number: int) -> bytes:
    return from_text("2001:db8:2::")[:8] + number.to_bytes(8, "big")


def secret(path: Path, text: str) -> Path:
    path.touch(mode=0o600)
    path.write_text(text)
    return path


class Answer(NamedTuple):
    status: int
    body: Any
    headers: dict[str, str]


class Daemon:
    """One HA-B process; `start` after `kill` begins another on the same database."""

    def __init__(self, directory: Path, authority: Authority, **changes: Any) -> None:
        self.directory, self.authority = directory, authority
        server = authority.server("ha-b")
        self.config: dict[str, Any] = {
            "name": "ha-b",
            "link": {
                "address": "::1",
                "port": 0,
                "tls": {"certificate": str(server.certificate), "key": str(server.key)},
                "token_file": str(secret(directory / "link-token", TOKEN)),
            },
            "database": {"path": str(directory / "ha-b.sqlite")},
            "http": {"address": "::1", "port": 0, "token_file": str(secret(directory / "api-token", API_TOKEN))},
            "home_prefixes": ["2001:db8:1::/64"],
            **changes,
        }
        self.log = directory / "ha-b.log"
        self.environment: dict[str, str] | None = None
        self.process: subprocess.Popen[bytes] | None = None
        self.link_port = self.http_port = 0

    def start(self, *, wait: bool = True) -> None:
        file = self.directory / "ha-b.yml"
        file.write_text(yaml.safe_dump(self.config))
        begin = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "closedloop_nf.ha_b.main", "--config", str(file)],
                stdout=log,
                stderr=log,
                cwd="/",
                env=self.environment,
            )
        if wait:
            line = self.until(lambda: self.find("serving", begin))
            self.link_port = int(line["link"].rsplit(":", 1)[1])
            self.http_port = int(line["http"].rsplit(":", 1)[1])

    def find(self, message: str, begin: int = 0) -> dict[str, Any] | None:
        """The first log line with this message."""
        for line in self.log.read_bytes()[begin:].splitlines():
            if line.startswith(b"{") and json.loads(line)["message"] == message:
                return dict(json.loads(line))
        return None

    def until(self, condition: Callable[[], A | None], patience_s: float = PATIENCE_S) -> A:
        """Poll until the condition gives something."""
        end = time.monotonic() + patience_s
        while True:
            found = condition()
            if found:
                return found
            dead = self.process is None or self.process.poll() is not None
            assert not dead, f"ha-b ended: {self.log.read_text()[-2000:]}"
            assert time.monotonic() < end, f"not within {patience_s} s: {self.log.read_text()[-2000:]}"
            time.sleep(0.01)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait(PATIENCE_S)

    def stop(self) -> int:
        """SIGTERM; its exit status."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE_S)

    def end(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(PATIENCE_S)

    def rss_mb(self) -> float:
        assert self.process is not None
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    def cpu_s(self) -> float:
        assert self.process is not None
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def ask(self, method: str, path: str, body: Any = None, token: str | None = API_TOKEN, raw: bytes | None = None) -> Answer:
        """One HTTP request; blocking."""
        data = raw if raw is not None else None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://[::1]:{self.http_port}{path}", data=data, method=method)
        if token is not None:
            request.add_header("Authorization", f"Bearer {token}")
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE_S) as response:
                return _answer(response.status, response.read(), dict(response.headers))
        except urllib.error.HTTPError as error:
            return _answer(error.code, error.read(), dict(error.headers))

    async def api(self, method: str, path: str, body: Any = None, **more: Any) -> Answer:
        """`ask` beside running clients."""
        return await asyncio.to_thread(self.ask, method, path, body, **more)


def _answer(status: int, data: bytes, headers: dict[str, str]) -> Answer:
    return Answer(status, json.loads(data) if "json" in headers.get("Content-Type", "") else data.decode(), headers)


class PacketProcessor:
    """A client that speaks the link's protocol: joins, beats, keeps what it is told."""

    def __init__(self, daemon: Daemon, name: str, *, role: str = "active", instance: str = "1", certificate: bool = False) -> None:
        self.daemon, self.name, self.role, self.instance = daemon, name, role, instance
        self.tls: ssl.SSLContext = client_context(daemon.authority.client(name if certificate else None))
        self.token = "" if certificate else TOKEN
        self.health = socket.socket(socket.AF_INET6)
        self.health.bind(("::1", 0))
        self.health.listen()
        self.health_port = self.health.getsockname()[1]
        self.messages: list[m.ToPacketProcessor] = []
        self.rows: dict[bytes, m.Binding] = {}
        self.keys: dict[tuple[bytes, int], bytes] = {}
        self.lingering = 3
        self.closed = asyncio.Event()
        self._arrived = asyncio.Event()
        self._encoder = Encoder()
        self._tasks: list[asyncio.Task[None]] = []

    async def connect(self) -> None:
        self._reader, self._writer = await asyncio.open_connection("::1", self.daemon.link_port, ssl=self.tls, server_hostname="ha-b")
        self._tasks.append(asyncio.create_task(self._read()))

    async def join(self) -> None:
        """From Hello to ready, then beat."""
        await self.connect()
        self.say(
            m.Hello(
                name=self.name,
                instance=self.instance,
                host_id="host-" + self.name,
                region="here",
                address=care_of(sum(self.name.encode())),
                home_link_address=home(1 << 40),
                health_port=self.health_port,
                role=self.role,
                token=self.token,
            )
        )
        done = await self.wait(m.SnapshotDone)
        self.say(m.Synced(done.revision))
        self._tasks.append(asyncio.create_task(self._beat()))
        await self.wait(m.BeatAck)

    async def _read(self) -> None:
        decoder = packet_processor_decoder()
        try:
            while data := await self._reader.read(1 << 16):
                for message in decoder.feed(data):
                    self._take(message)
                self._arrived.set()
                self._arrived = asyncio.Event()
        except OSError:
            pass  # reset is an end like any other here
        self.closed.set()
        self._arrived.set()

    def _take(self, message: m.ToPacketProcessor) -> None:
        self.messages.append(message)
        match message:
            case m.Bindings():
                for row in message.rows:
                    if row.lifetime_s:
                        self.rows[row.home_address] = row
                    else:
                        self.rows.pop(row.home_address, None)
            case m.SecurityAssociations():
                for association in message.rows:
                    self.keys.pop((association.home_address, association.spi), None)
                    if not association.removed:
                        self.keys[association.home_address, association.spi] = association.key

    async def _beat(self) -> None:
        sequence = 0
        while not self.closed.is_set():
            sequence += 1
            self.say(m.Beat(sequence, True, lingering=self.lingering))
            await asyncio.sleep(0.1)

    def say(self, *messages: m.ToBackend) -> None:
        if not self._writer.is_closing():
            self._writer.write(self._encoder.encode(messages))

    def register(self, number: int, sequence: int, *, transaction: int | None = None, lifetime_s: int = 3600) -> None:
        self.say(
            m.Register(sequence if transaction is None else transaction, home(number), care_of(number), sequence, lifetime_s, 0xC000, 0)
        )

    async def wait(self, type_: type[A], count: int = 1) -> A:
        """The `count`th message of a type."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                arrived = self._arrived
                found = [message for message in self.messages if isinstance(message, type_)]
                if len(found) >= count:
                    return found[count - 1]
                assert not self.closed.is_set(), f"link closed, no {type_.__name__}; got {[type(x).__name__ for x in self.messages][-5:]}"
                await arrived.wait()

    async def end(self, *, abort: bool = False) -> None:
        """The process is gone: the kernel closes its sockets."""
        self.health.close()
        await self.break_link(abort=abort)

    async def break_link(self, *, abort: bool = True) -> None:
        for task in self._tasks:
            task.cancel()
        if abort:
            self._writer.transport.abort()
        else:
            self._writer.close()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
