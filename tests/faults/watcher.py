"""Watches, as a process of its own, that no address is served twice while everything around it is killed.

    python -m tests.faults.watcher --lab clf1 --output FILE ADDRESS...

Two ways of looking, both without a word from the functions:

- Every few milliseconds, the kernel of each HA-PP's namespace (kernel_view). The namespaces are read one after another, so an address
  seen in two of them may have moved in between: only what the first one still serves when it is read again was served by two.
- By neighbour solicitations on the home link. Each has a source address of its own, so two answers to the same one from different
  interfaces, a moment apart at most, tell of two owners. One more than that later is from whoever took over: a busy machine hands the
  solicitation itself to one host so much later than to the other.

FILE is there, empty, once it watches. It ends on SIGTERM; FILE then holds what it saw:
`{"samples", "longest_gap_ms", "probes", "answers", "answers_after_takeover", "violations": [...]}`.
"""

from __future__ import annotations

import argparse
import json
import signal
import socket
import struct
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ansible_collections.closedloop.mobility.plugins.module_utils import namespaces
from closedloop_nf.runtime.addresses import from_text, to_text
from closedloop_nf.wire.errors import ParseError
from closedloop_nf.wire.icmpv6 import NeighborAdvertisement, NeighborSolicitation, build_icmpv6, parse_icmpv6
from closedloop_nf.wire.ipv6 import ICMPV6, build_packet, parse_packet, solicited_node
from closedloop_nf.wire.nd_options import SourceLinkLayerAddress

from tests.faults.kernel_view import look

SAMPLE_S = 0.005
PROBE_S = 0.05
SOURCES = 200
"""Link-local addresses that the solicitations come from, in turn: ten seconds until one is used again, and few neighbours to remember."""
PROBE_HOST = "probe"
"""Host on the home link that the solicitations come from; its interface is eth0."""
HANDOVER_S = 0.005
"""HA-B takes an HA-PP for gone when its host has refused a connection twice, so long one after the other: a takeover takes longer."""
_SO_TIMESTAMPNS = 35
_ETHERTYPE = b"\x86\xdd"


def double_service(names: list[str], wanted: frozenset[bytes]) -> dict[bytes, tuple[str, str]]:
    """Addresses of `wanted` that two of the namespaces serve at one moment."""
    found = {}
    first: dict[bytes, str] = {}
    for name in names:
        for address in look(name).serves(wanted):
            other = first.setdefault(address, name)
            if other != name and address in look(other).serves(wanted):
                found[address] = (other, name)
    return found


class Probe:
    """Neighbour solicitations from the probe host, and who answered."""

    def __init__(self, namespace: str, targets: frozenset[bytes]) -> None:
        with namespaces.entered(namespace):
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x86DD))
            self._socket.bind(("eth0", 0x86DD))
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        self._address = self._socket.getsockname()[4]
        self._targets = targets
        self._answers: dict[tuple[bytes, bytes], tuple[bytes, float]] = {}
        self.sent = self.answered = self.after_takeover = 0

    def solicit(self) -> None:
        source = from_text(f"fe80::bad:{self.sent % SOURCES:x}")
        for target in self._targets:
            self._answers.pop((source, target), None)
            group = solicited_node(target)
            message = NeighborSolicitation(target, options=(SourceLinkLayerAddress(self._address),))
            packet = build_packet(source, group, ICMPV6, build_icmpv6(message, source, group), hop_limit=255)
            self._socket.send(b"\x33\x33" + group[-4:] + self._address + _ETHERTYPE + packet)
        self.sent += 1

    def doubled(self) -> list[tuple[bytes, bytes, bytes]]:
        """(address, one interface, the other) of solicitations that two interfaces answered, among what has arrived by now."""
        found = []
        while (received := self._receive()) is not None:
            frame, at = received
            try:
                packet = parse_packet(frame[14:])
                message = parse_icmpv6(packet.payload) if packet.next_header == ICMPV6 else None
            except ParseError:
                continue
            if not isinstance(message, NeighborAdvertisement) or not message.solicited:
                continue
            self.answered += 1
            interface, first_at = self._answers.setdefault((packet.header.destination, message.target), (frame[6:12], at))
            if interface == frame[6:12]:
                continue
            if at - first_at > HANDOVER_S:
                self.after_takeover += 1
            else:
                found.append((message.target, interface, frame[6:12]))
        return found

    def _receive(self) -> tuple[bytes, float] | None:
        """A frame, and when the kernel took it."""
        try:
            frame, ancillary, _, _ = self._socket.recvmsg(2048, socket.CMSG_SPACE(16))
        except BlockingIOError:
            return None
        seconds, nanoseconds = struct.unpack("=qq", ancillary[0][2])
        return frame, seconds + nanoseconds / 1e9


class Watcher:
    """Both ways of looking, by turns."""

    def __init__(self, lab: str, wanted: frozenset[bytes]) -> None:
        self._lab, self._wanted = lab, wanted
        self._probe = Probe(f"{lab}-{PROBE_HOST}", wanted)
        self.samples = 0
        self.longest_gap_s = 0.0
        self.violations: list[dict[str, Any]] = []

    def run(self, stopping: Callable[[], bool]) -> None:
        before = due = time.monotonic()
        while not stopping():
            names = sorted(path.name for path in namespaces.RUN_DIRECTORY.glob(f"{self._lab}-ha-pp-*"))
            for address, owners in double_service(names, self._wanted).items():
                self._note("two namespaces serve it", address, *owners)
            self.samples += 1
            if time.monotonic() >= due:
                self._probe.solicit()
                due = time.monotonic() + PROBE_S
            for address, *interfaces in self._probe.doubled():
                self._note("two interfaces answered one neighbour solicitation", address, *(octets.hex(":") for octets in interfaces))
            now = time.monotonic()
            self.longest_gap_s = max(self.longest_gap_s, now - before)
            before = now
            time.sleep(SAMPLE_S)

    def report(self) -> dict[str, Any]:
        return {
            "samples": self.samples,
            "longest_gap_ms": round(self.longest_gap_s * 1000, 1),
            "probes": self._probe.sent,
            "answers": self._probe.answered,
            "answers_after_takeover": self._probe.after_takeover,
            "violations": self.violations,
        }

    def _note(self, what: str, address: bytes, *who: str) -> None:
        self.violations.append({"wall": time.time(), "mono": time.monotonic(), "what": what, "address": to_text(address), "who": list(who)})


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.watcher")
    parser.add_argument("--lab", required=True)
    parser.add_argument("--output", required=True, type=Path)
    parser.add_argument("addresses", nargs="+", type=from_text, metavar="ADDRESS")
    options = parser.parse_args()
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    watcher = Watcher(options.lab, frozenset(options.addresses))
    options.output.touch()
    # A playbook that removes a host ends every process there, and a process counts as being where its first thread is: another one looks.
    looking = threading.Thread(target=watcher.run, args=(ended.is_set,))
    looking.start()
    while looking.is_alive():
        looking.join(0.1)
    if not ended.is_set():
        raise SystemExit("the watching thread has failed")
    options.output.write_text(json.dumps(watcher.report()), encoding="utf-8")


if __name__ == "__main__":
    main()
