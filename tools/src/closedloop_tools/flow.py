"""A stream of small UDP packets between two network namespaces of this machine: what was sent, what arrived, when it was silent.

Both ends run on one clock (CLOCK_MONOTONIC), so one-way times are true. Used as a library (`Flow`) or as
`python -m closedloop_tools.flow --from cl-cn --to cl-mn1 --destination 2001:db8:100::1001 --output flow.csv`, which runs until SIGTERM.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import os
import select
import signal
import socket
import struct
import sys
import threading
import time
from bisect import bisect_left
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from closedloop_tools import namespaces

_PACKET = struct.Struct("!IQ")
_PADDING = bytes(52)


class Packet(NamedTuple):
    """One packet: CLOCK_MONOTONIC nanoseconds; received_ns None where it never arrived."""

    sequence: int
    sent_ns: int
    received_ns: int | None


class Silence(NamedTuple):
    """The longest time without an arrival inside a window."""

    outage_ms: float
    """Length of the gap beyond the interval that is normal."""
    begin_ns: int
    end_ns: int
    """Arrival that ended it; the window's end where none did."""
    ended: bool


class Flow:
    """Sends one packet every `interval_s` from namespace `sender` to `destination` in namespace `receiver`.

    source: text address to send from (None: the kernel's choice). A packet that the kernel refuses to send counts as sent and lost.
    """

    def __init__(
        self, sender: str, receiver: str, destination: str, *, source: str | None = None, port: int = 9000, interval_s: float = 0.001
    ) -> None:
        self._names = (sender, receiver)
        self._source, self._destination, self._port = source, destination, port
        self.interval_s = interval_s
        self.sent_ns: list[int] = []
        self.received_ns: dict[int, int] = {}
        self._stop = threading.Event()
        self._ready = threading.Barrier(3)
        self._failure: BaseException | None = None
        self._threads = [threading.Thread(target=self._run, args=(part,), daemon=True) for part in (self._receive, self._send)]

    def start(self) -> Flow:
        """Begin to send; returns when both ends stand. Raises what kept an end from standing."""
        for thread in self._threads:
            thread.start()
        try:
            self._ready.wait(5.0)
        except threading.BrokenBarrierError:
            raise self._failure or RuntimeError("flow did not start within 5 s") from None
        return self

    def stop(self) -> None:
        """Stop sending and give the last packets 200 ms to arrive."""
        self._stop.set()
        for thread in self._threads:
            thread.join()
        if self._failure is not None:
            raise self._failure

    def __enter__(self) -> Flow:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def packets(self, begin_ns: int = 0, end_ns: int | None = None) -> list[Packet]:
        """The packets sent in [begin, end), all without bounds."""
        first = bisect_left(self.sent_ns, begin_ns)
        last = len(self.sent_ns) if end_ns is None else bisect_left(self.sent_ns, end_ns)
        return [Packet(sequence, self.sent_ns[sequence], self.received_ns.get(sequence)) for sequence in range(first, last)]

    def silence(self, begin_ns: int, end_ns: int) -> Silence:
        """The longest gap between arrivals that ends in [begin, end], or that is still open at the end."""
        return longest_silence(sorted(self.received_ns.values()), begin_ns, end_ns, self.interval_s)

    def arrived_since(self, begin_ns: int) -> int:
        """How many packets sent after `begin_ns` have arrived."""
        first = bisect_left(self.sent_ns, begin_ns)
        return sum(1 for sequence in range(first, len(self.sent_ns)) if sequence in self.received_ns)

    def write_csv(self, path: Path) -> None:
        """sequence, sent_ns, received_ns (empty where lost)."""
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(Packet._fields)
            writer.writerows(self.packets())

    # --- threads -----------------------------------------------------------------------------------------------------

    def _run(self, part: Callable[[], None]) -> None:
        # A measure must not stall because the machine is busy: a packet that was sent late would look like one that came late.
        with contextlib.suppress(PermissionError):
            os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
        try:
            part()
        except BaseException as error:  # carried to the caller by start() or stop()
            self._failure = error
            self._stop.set()
            self._ready.abort()

    def _receive(self) -> None:
        namespaces.enter(self._names[1])
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
            sock.bind(("::", self._port))
            sock.setblocking(False)
            self._ready.wait(5.0)
            last = None
            while last is None or time.monotonic() < last:
                if self._stop.is_set() and last is None:
                    last = time.monotonic() + 0.2
                if not select.select([sock], [], [], 0.05)[0]:
                    continue
                data = sock.recv(2048)
                at = time.monotonic_ns()
                if len(data) >= _PACKET.size:
                    self.received_ns.setdefault(_PACKET.unpack_from(data)[0], at)

    def _send(self) -> None:
        namespaces.enter(self._names[0])
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
            sock.bind((self._source or "::", 0))
            sock.setblocking(False)
            self._ready.wait(5.0)
            due = time.monotonic()
            while not self._stop.is_set():
                sent = time.monotonic_ns()
                self.sent_ns.append(sent)
                with contextlib.suppress(OSError):  # no route or an error from the network: sent and lost, as it is for an application
                    sock.sendto(_PACKET.pack(len(self.sent_ns) - 1, sent) + _PADDING, (self._destination, self._port))
                due = max(due + self.interval_s, time.monotonic() - 0.1)
                time.sleep(max(0.0, due - time.monotonic()))


def longest_silence(arrivals_ns: Sequence[int], begin_ns: int, end_ns: int, interval_s: float) -> Silence:
    """See Flow.silence; `arrivals_ns` is sorted. A silence that began before the window counts from its last arrival."""
    first = bisect_left(arrivals_ns, begin_ns)
    last = bisect_left(arrivals_ns, end_ns)
    before = arrivals_ns[first - 1] if first else begin_ns
    gaps = []
    for at in arrivals_ns[first:last]:
        gaps.append((before, at, True))
        before = at
    gaps.append((before, end_ns, False))
    begin, end, ended = max(gaps, key=lambda gap: gap[1] - gap[0])  # the first of equal ones
    return Silence(max(0.0, (end - begin) / 1e6 - interval_s * 1e3), begin, end, ended)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m closedloop_tools.flow", description="Send a packet stream between two namespaces.")
    parser.add_argument("--from", dest="sender", required=True, help="network namespace that sends")
    parser.add_argument("--to", dest="receiver", required=True, help="network namespace that receives")
    parser.add_argument("--destination", required=True, help="IPv6 address to send to")
    parser.add_argument("--source", help="IPv6 address to send from")
    parser.add_argument("--port", type=int, default=9000, help="UDP port; each flow to one receiver needs its own")
    parser.add_argument("--interval-ms", type=float, default=1.0)
    parser.add_argument("--output", type=Path, required=True, help="CSV file of all packets")
    options = parser.parse_args()
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    flow = Flow(
        options.sender,
        options.receiver,
        options.destination,
        source=options.source,
        port=options.port,
        interval_s=options.interval_ms / 1e3,
    )
    with flow:
        ended.wait()
    flow.write_csv(options.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
