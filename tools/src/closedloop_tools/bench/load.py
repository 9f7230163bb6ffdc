"""Load generator: thousands of mobile nodes that register, in one process inside the namespace `mn`.

    python -m closedloop_tools.bench.load --interface eth0 --nodes 10000 --window 128 --rounds 3 --round-s 5 --rate 200 --paced-s 10

Reads the master key of the nodes (hexadecimal) from standard input and prints one JSON object: `first` (every node once), `full` (as fast
as acknowledgements come, `window` Binding Updates under way, a list of rounds) and `paced` (a fixed rate, whatever comes back). Each is
sent, accepted (acknowledged with status 0), refused, lost (no acknowledgement within a second), seconds, and latencies_ms in `paced`.
`acknowledged` is the last acknowledged sequence number of each node.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import select
import socket
import sys
import time
from dataclasses import asdict, dataclass, field

from closedloop_nf.kernel.sockets import PacketSender

from closedloop_tools.bench import nodes

_ETH_P_IPV6 = 0x86DD
_LOST_AFTER_S = 1.0


@dataclass
class Tally:
    """What came of one phase."""

    sent: int = 0
    accepted: int = 0
    refused: int = 0
    lost: int = 0
    seconds: float = 0.0
    latencies_ms: list[float] = field(default_factory=list)


class Population:
    """All nodes, their last sequence numbers, and the Binding Updates under way."""

    def __init__(self, interface: str, count: int, master: bytes) -> None:
        self._count, self._master = count, master
        self._sequences = [0] * count
        self.acknowledged = [0] * count
        """Last sequence number that was answered with status 0, per node."""
        self._next = 0
        self._under_way: dict[tuple[int, int], float] = {}
        self._sender = PacketSender()
        # Acknowledgements go to care-of addresses that this namespace does not have: they are seen on the link, and the kernel drops them.
        self._link = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK, socket.htons(_ETH_P_IPV6))
        self._link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self._link.bind((interface, _ETH_P_IPV6))

    def every_node_once(self, window: int) -> Tally:
        """Each node registers once."""
        tally = Tally()
        begun = time.monotonic()
        while tally.sent < self._count or self._under_way:
            while len(self._under_way) < window and tally.sent < self._count:
                self._send(tally)
            self._collect(tally, 0.05)
        tally.seconds = time.monotonic() - begun
        return tally

    def flat_out(self, window: int, duration_s: float) -> Tally:
        """As many as the home agent acknowledges; what is under way at the end does not count as accepted."""
        tally = Tally()
        begun = time.monotonic()
        while time.monotonic() < begun + duration_s:
            while len(self._under_way) < window:
                self._send(tally)
            self._collect(tally, 0.05)
        tally.seconds = time.monotonic() - begun
        self._settle()
        return tally

    def paced(self, rate: float, duration_s: float) -> Tally:
        """One every 1/rate seconds; time is taken right before sending and right after the acknowledgement is read."""
        tally = Tally()
        begun = time.monotonic()
        for number in range(int(rate * duration_s)):
            due = begun + number / rate
            while (left := due - time.monotonic()) > 0:
                self._collect(tally, left)
            self._send(tally)
        while self._under_way:
            self._collect(tally, 0.05)
        tally.seconds = time.monotonic() - begun
        return tally

    def _send(self, tally: Tally) -> None:
        node = self._next
        self._next = (node + 1) % self._count
        sequence = self._sequences[node] = (self._sequences[node] + 1) & 0xFFFF
        packet = nodes.binding_update(self._master, node, sequence)
        self._under_way[node, sequence] = time.monotonic()
        tally.sent += 1
        if not self._sender.send(packet):
            raise RuntimeError(f"Binding Update not sent: {dict(self._sender.failures)}")

    def _collect(self, tally: Tally, wait_s: float) -> None:
        """Take what has arrived, waiting at most `wait_s` for the first; give up on what is too old."""
        select.select([self._link], [], [], wait_s)
        with contextlib.suppress(BlockingIOError):
            while True:
                answer = nodes.answer_of(self._link.recv(2048))
                at = time.monotonic()
                sent = self._under_way.pop((answer.node, answer.sequence), None) if answer else None
                if answer is None or sent is None:
                    continue
                if answer.status == 0:
                    tally.accepted += 1
                    self.acknowledged[answer.node] = answer.sequence
                    tally.latencies_ms.append((at - sent) * 1e3)
                else:
                    tally.refused += 1
        horizon = time.monotonic() - _LOST_AFTER_S
        while self._under_way and next(iter(self._under_way.values())) < horizon:
            self._under_way.pop(next(iter(self._under_way)))
            tally.lost += 1

    def _settle(self) -> None:
        rest = Tally()
        while self._under_way:
            self._collect(rest, 0.05)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m closedloop_tools.bench.load", description="Register many mobile nodes.")
    parser.add_argument("--interface", required=True)
    parser.add_argument("--nodes", type=int, required=True)
    parser.add_argument("--window", type=int, required=True, help="Binding Updates under way")
    parser.add_argument("--rounds", type=int, required=True)
    parser.add_argument("--round-s", type=float, required=True)
    parser.add_argument("--rate", type=float, required=True, help="Binding Updates per second of the paced phase")
    parser.add_argument("--paced-s", type=float, required=True)
    options = parser.parse_args()
    population = Population(options.interface, options.nodes, bytes.fromhex(sys.stdin.read()))
    first = population.every_node_once(options.window)
    full = [population.flat_out(options.window, options.round_s) for _ in range(options.rounds)]
    paced = population.paced(options.rate, options.paced_s)
    for tally in (first, *full):
        tally.latencies_ms.clear()
    phases = {"first": asdict(first), "full": [asdict(tally) for tally in full], "paced": asdict(paced)}
    json.dump(phases | {"acknowledged": population.acknowledged}, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
