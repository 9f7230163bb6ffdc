"""Sends attacks to the event source as a sender with credentials does: batches, single events, broken bodies, hostile requests."""

from __future__ import annotations

import base64
import http.client
import json
import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from tests.hostile.events import BATCH, DOMAINS, Generator

SINGLE: Final = "/eventListener/v7"
MANY: Final = "/eventListener/v7/eventBatch"
HONEST: Final = "ha-pp-a"
"""An honest name, for measurements whose every other text is an attack."""


class Client:
    """One connection that is opened again when it ends. `connect` gives a TCP connection to the source."""

    def __init__(self, connect: Callable[[], socket.socket], tls: ssl.SSLContext, user: str, password: str) -> None:
        self._connect, self._tls = connect, tls
        self._credentials = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
        self._connection: http.client.HTTPSConnection | None = None

    def post(self, path: str, body: bytes, headers: dict[str, str] | None = None) -> int:
        """The status; 0 where the connection ended without an answer. A source that is busy is asked again."""
        while True:
            status, again_s = self._post(path, body, {"Authorization": self._credentials, **(headers or {})})
            if status != 503:
                return status
            time.sleep(again_s)

    def _post(self, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, float]:
        if self._connection is None:
            self._connection = http.client.HTTPSConnection("source", timeout=60)
            self._connection.sock = self._tls.wrap_socket(self._connect())
        try:
            self._connection.request("POST", path, body, headers)
            answer = self._connection.getresponse()
            answer.read()
        except (http.client.HTTPException, OSError):
            self.close()
            return 0, 0.0
        if answer.headers.get("Connection") == "close":
            self.close()
        return answer.status, float(answer.headers.get("Retry-After", 0))

    def raw(self, request: bytes) -> None:
        """Octets that are no well-formed request, on a connection of their own."""
        with self._tls.wrap_socket(self._connect()) as connection:
            connection.settimeout(5)
            try:
                connection.sendall(request)
                connection.recv(65536)
            except OSError:
                pass

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class Sender(threading.Thread):
    """Sends until `events` whose every text is an attack are accepted.

    statuses: how often each kind of request got which answer; error: what ended it early.
    """

    def __init__(self, client: Client, generator: Generator, events: int) -> None:
        super().__init__(daemon=True)
        self._client, self._generator, self._events = client, generator, events
        self.sent = self.accepted = 0
        self.statuses: Counter[tuple[str, int]] = Counter()
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            while self.accepted < self._events:
                self._some()
        except BaseException as error:  # for the thread that waits
            self.error = error
        finally:
            self._client.close()

    def _some(self) -> None:
        generator, dice = self._generator, self._generator.chance.random()
        if dice < 0.55:
            domain = generator.chance.choice(DOMAINS)
            self._valid("batch", MANY, {"eventList": [generator.event(domain) for _ in range(BATCH)]}, BATCH)
        elif dice < 0.65:
            self._valid("batch", MANY, {"eventList": [generator.tricky() for _ in range(BATCH)]}, BATCH)
        elif dice < 0.8:
            self._valid("single", SINGLE, {"event": generator.event()}, 1)
        elif dice < 0.85:
            self._valid("honest name", SINGLE, {"event": generator.measurement(HONEST)}, 1)
        elif dice < 0.995:
            self._count("broken", self._client.post(generator.chance.choice((SINGLE, MANY)), generator.broken()), 1)
        else:
            self._request()

    def _valid(self, kind: str, path: str, document: Any, events: int) -> None:
        body = json.dumps(document, ensure_ascii=self._generator.chance.random() < 0.5).encode()
        status = self._client.post(path, body)
        self.accepted += events * (status == 202 and kind != "honest name")
        self._count(kind, status, events)

    def _request(self) -> None:
        """Attacks in the path, in headers, in a name and a password, and in the request line itself."""
        text = self._generator.text()
        word = "".join(letter if letter.isascii() and letter.isprintable() and letter != " " else "%0a" for letter in text)[:2000]
        body = json.dumps({"event": self._generator.event()}).encode()
        match self._generator.chance.randrange(5):
            case 0:
                self._count("path", self._client.post(f"/eventListener/v7/{word}", body), 1)
            case 1:
                self._count(
                    "header", self._client.post(SINGLE, body, {"X-MinorVersion": word, "User-Agent": word, "X-Forwarded-For": word}), 1
                )
            case 2:
                token = base64.b64encode(text.encode("utf-8", "replace")).decode()
                self._count("credentials", self._client.post(SINGLE, body, {"Authorization": f"Basic {token}"}), 1)
            case 3:
                self._count("encoding", self._client.post(SINGLE, body, {"Content-Encoding": word, "Content-Type": word}), 1)
            case _:
                self._client.raw(text.encode("utf-8", "replace") + b"\r\n\r\n")
                self._count("raw", 0, 1)

    def _count(self, kind: str, status: int, events: int) -> None:
        self.statuses[kind, status] += 1
        self.sent += events
