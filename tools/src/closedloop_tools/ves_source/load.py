"""Load on a VES listener: many connections in one thread, every event with an id of its own.

Without a rate each connection sends as soon as it has its answer (closed loop). With one, requests are due at even intervals whether or not
a connection is free, and their latency counts from when they were due (open loop): a listener that stalls cannot hide it.
"""

from __future__ import annotations

import base64
import json
import selectors
import socket
import ssl
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field

DAY_BEGINS_US = 1_795_219_200_000_000
"""Epoch of the first event."""


@dataclass
class Outcome:
    """latencies_s: of answered requests, in the order of the answers; acknowledged: ids whose request was answered 202."""

    seconds: float = 0.0
    latencies_s: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    acknowledged: list[int] = field(default_factory=list)
    broken: int = 0
    """Connections that ended before their answer."""


def measurement(event_id: str, source: str = "ha-pp-a") -> dict[str, object]:
    """A measurement of about 1.8 KB, as an HA-PP with two interfaces and eight processors sends it."""
    interface = {
        "valuesAreSuspect": "false", "receivedTotalPacketsDelta": 10_000, "transmittedTotalPacketsDelta": 9_999,
        "receivedOctetsDelta": 1_234_567, "transmittedOctetsDelta": 7_654_321, "operationalState": "inService",
    }  # fmt: skip
    processor = {"percentUsage": 41.5, "cpuUsageUser": 30.1, "cpuUsageSystem": 9.2, "cpuIdle": 58.5}
    return {
        "event": {
            "commonEventHeader": {
                "version": "4.1", "vesEventListenerVersion": "7.2.1", "domain": "measurement", "eventId": event_id,
                "eventName": "Measurement_HAPP_load", "sequence": 0, "priority": "Normal", "sourceName": source,
                "reportingEntityName": "ha-b", "nfNamingCode": "HAPP", "startEpochMicrosec": 1_795_230_000_000_000,
                "lastEpochMicrosec": 1_795_230_015_000_000, "timeZoneOffset": "UTC+00:00",
            },
            "measurementFields": {
                "measurementFieldsVersion": "4.0", "measurementInterval": 15, "concurrentSessions": 120, "requestRate": 933,
                "cpuUsageArray": [{"cpuIdentifier": f"cpu{number}", **processor} for number in range(8)],
                "memoryUsageArray": [{"vmIdentifier": "ha-pp-a", "memoryFree": 1_048_576, "memoryUsed": 3_145_728}],
                "nicPerformanceArray": [{"nicIdentifier": name, **interface} for name in ("home", "region")],
                "additionalFields": {"cloud-region.cloud-region-id": "region-a"},
            },
        }
    }  # fmt: skip


class Requests:
    """Makes requests of `size` events. Event `number` has the id `prefix` and number, is from one of `sources` sources, ends `step_us`
    later than the one before, and the sessions of its source are few and many in turn, forty events each."""

    def __init__(self, size: int, user: str, password: str, *, prefix: str = "m-", sources: int = 1, step_us: int = 0) -> None:
        self.size = size
        self._sources, self._step_us = sources, step_us
        document = measurement(f"{prefix}@id@", "ha-pp-@source@")
        text = json.dumps(document if size == 1 else document["event"], separators=(",", ":"))
        for old, new in (
            ("@id@", "%(id)012d"),
            ("@source@", "%(source)04d"),
            ('"startEpochMicrosec":1795230000000000', '"startEpochMicrosec":%(start)d'),
            ('"lastEpochMicrosec":1795230015000000', '"lastEpochMicrosec":%(last)d'),
            ('"concurrentSessions":120', '"concurrentSessions":%(sessions)d'),
        ):
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        self._event = text.encode()
        token = base64.b64encode(f"{user}:{password}".encode()).decode()
        path = "/eventListener/v7" + ("" if size == 1 else "/eventBatch")
        self._head = (
            f"POST {path} HTTP/1.1\r\nHost: listener\r\nAuthorization: Basic {token}\r\nContent-Type: application/json\r\nContent-Length: "
        ).encode()

    def make(self, first: int) -> bytes:
        """The request with the events first ... first + size - 1."""
        events = b",".join([self._event % self._fields(number) for number in range(first, first + self.size)])
        body = events if self.size == 1 else b'{"eventList":[' + events + b"]}"
        return b"%b%d\r\n\r\n%b" % (self._head, len(body), body)

    def _fields(self, number: int) -> dict[bytes, int]:
        last = DAY_BEGINS_US + number * self._step_us
        high = number // self._sources // 40 % 2
        return {
            b"id": number,
            b"source": number % self._sources,
            b"start": last - 15_000_000,
            b"last": last,
            b"sessions": 900 if high else 100,
        }


class _Connection:
    def __init__(self, address: tuple[str, int], tls: ssl.SSLContext | None) -> None:
        plain = socket.create_connection(address, timeout=20)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock: socket.socket = plain if tls is None else tls.wrap_socket(plain, server_hostname="localhost")
        self.sock.setblocking(False)
        self.first = 0
        self.due = 0.0
        self.unsent = b""
        self.received = b""


def run(
    address: tuple[str, int],
    tls: ssl.SSLContext | None,
    requests: Requests,
    *,
    connections: int,
    seconds: float,
    per_second: float | None = None,
    first: int = 0,
    watch: Callable[[Outcome], None] = lambda _: None,
) -> Outcome:
    """per_second: requests; first: of the first event; watch: called between requests. Connections that break are not opened again."""
    outcome = Outcome()
    selector = selectors.DefaultSelector()
    idle = deque(_Connection(address, tls) for _ in range(connections))
    for connection in idle:
        selector.register(connection.sock, selectors.EVENT_READ, connection)
    begun = time.perf_counter()
    end = begun + seconds
    due = begun
    busy = 0
    try:
        while True:
            now = time.perf_counter()
            sending = now < end
            watch(outcome)
            if (not sending and not busy) or (not busy and not idle) or now > end + 30:
                break
            while sending and idle and (per_second is None or due <= now):
                connection = idle.popleft()
                connection.first, connection.due = first, now if per_second is None else due
                connection.unsent = requests.make(first)
                first += requests.size
                due += 1 / per_second if per_second else 0
                busy += 1
                _send(selector, connection)
            wait = min(end, due) - now if per_second is not None and sending and idle else 0.1
            for key, events in selector.select(max(0.0, wait)):
                connection = key.data
                if events & selectors.EVENT_WRITE:
                    _send(selector, connection)
                status = _receive(connection)
                if status is None:
                    continue
                busy -= 1
                if status == 0:
                    selector.unregister(connection.sock)
                    connection.sock.close()
                    outcome.broken += 1
                    continue
                outcome.latencies_s.append(time.perf_counter() - connection.due)
                outcome.statuses[status] += 1
                if status == 202:
                    outcome.acknowledged.extend(range(connection.first, connection.first + requests.size))
                idle.append(connection)
    finally:
        outcome.seconds = time.perf_counter() - begun
        for key in list(selector.get_map().values()):
            key.data.sock.close()
        selector.close()
    return outcome


def _send(selector: selectors.BaseSelector, connection: _Connection) -> None:
    try:
        while connection.unsent:
            connection.unsent = connection.unsent[connection.sock.send(connection.unsent) :]
    except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
        selector.modify(connection.sock, selectors.EVENT_READ | selectors.EVENT_WRITE, connection)
        return
    except OSError:
        return  # the next read says so
    if selector.get_key(connection.sock).events != selectors.EVENT_READ:
        selector.modify(connection.sock, selectors.EVENT_READ, connection)


def _receive(connection: _Connection) -> int | None:
    """Status of a complete answer; None: not yet; 0: the connection has ended."""
    try:
        data = connection.sock.recv(65536)
    except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
        return None
    except OSError:
        return 0
    if not data:
        return 0
    connection.received += data
    head, blank, body = connection.received.partition(b"\r\n\r\n")
    if not blank or len(body) < _length(head):
        return None
    status = int(connection.received[9:12])
    connection.received = b""
    return status


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n")[1:]:
        if line[:15].lower() == b"content-length:":
            return int(line[15:])
    return 0
