"""Watches, as a process of its own, that no address is served twice while everything around it is killed.

    python -m tests.faults.watcher --lab clf1 --output FILE ADDRESS...

Two ways of looking, both without a word from the functions:

- Every few milliseconds, the kernel of each HA-PP's namespace (kernel_view). The namespaces are read one after another, so an address
  seen in two of them may have moved in between: only what the first one still serves when it is read again was served by two.
- By neighbour solicitations on the home link. Each has a source address of its own, so two answers to the same one from different
  interfaces tell of two owners. There is one excuse: a busy machine hands the solicitation to one host so much later than to the other that
  the address has moved in between. That takes HANDOVER_S at least, begins after the solicitation and ends before the second answer. So
  whoever answers second must not have served the address when it was sent, and whoever answered first must not serve it any more.

FILE is there, empty, once it watches. It ends on SIGTERM; FILE then holds what it saw:
`{"samples", "longest_gap_ms", "probes", "answers", "answers_after_takeover", "latest_answer_ms", "violations": [...]}`.
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
from typing import Any, NamedTuple

from ansible_collections.closedloop.mobility.plugins.module_utils import namespaces
from closedloop_nf.runtime.addresses import from_text, to_text
from closedloop_nf.wire.errors import ParseError
from closedloop_nf.wire.icmpv6 import NeighborAdvertisement, NeighborSolicitation, build_icmpv6, parse_icmpv6
from closedloop_nf.wire.ipv6 import ICMPV6, build_packet, parse_packet, solicited_node
from closedloop_nf.wire.nd_options import SourceLinkLayerAddress

from tests.faults.kernel_view import link_layer_addresses, look

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


Owners = dict[bytes, frozenset[str]]
"""Which namespaces serve an address."""


def owners(names: list[str], wanted: frozenset[bytes]) -> Owners:
    """Of each address of `wanted`. More than one: at one moment."""
    found: Owners = dict.fromkeys(wanted, frozenset())
    for name in names:
        for address in look(name).serves(wanted):
            found[address] = frozenset(other for other in found[address] if address in look(other).serves(wanted)) | {name}
    return found


class Doubled(NamedTuple):
    """Two interfaces have answered one solicitation of an address. before: who served it when it was sent."""

    address: bytes
    first: bytes
    second: bytes
    apart_s: float
    before: frozenset[str]

    def excused(self, names: list[str]) -> bool:
        """Whether it has moved from the first to the second in between, and nobody owned it beside the other."""
        if self.apart_s <= HANDOVER_S:
            return False
        first, second = (self._namespaces(names, interface) for interface in (self.first, self.second))
        return not second & self.before and not any(self.address in look(name).serves(frozenset({self.address})) for name in first)

    @staticmethod
    def _namespaces(names: list[str], interface: bytes) -> frozenset[str]:
        return frozenset(name for name in names if interface in link_layer_addresses(name))


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
        self._before: dict[bytes, Owners] = {}
        self.sent = self.answered = 0

    def solicit(self, served: Owners) -> None:
        """served: who has each address now."""
        source = from_text(f"fe80::bad:{self.sent % SOURCES:x}")
        self._before[source] = served
        for target in self._targets:
            self._answers.pop((source, target), None)
            group = solicited_node(target)
            message = NeighborSolicitation(target, options=(SourceLinkLayerAddress(self._address),))
            packet = build_packet(source, group, ICMPV6, build_icmpv6(message, source, group), hop_limit=255)
            self._socket.send(b"\x33\x33" + group[-4:] + self._address + _ETHERTYPE + packet)
        self.sent += 1

    def doubled(self) -> list[Doubled]:
        """Solicitations that two interfaces answered, among what has arrived by now."""
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
            source, interface = packet.header.destination, frame[6:12]
            first, first_at = self._answers.setdefault((source, message.target), (interface, at))
            if first != interface:
                before = self._before[source].get(message.target, frozenset())
                found.append(Doubled(message.target, first, interface, at - first_at, before))
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
        self.samples = self.after_takeover = 0
        self.longest_gap_s = self.latest_answer_s = 0.0
        self.violations: list[dict[str, Any]] = []

    def run(self, stopping: Callable[[], bool]) -> None:
        before = due = time.monotonic()
        while not stopping():
            names = sorted(path.name for path in namespaces.RUN_DIRECTORY.glob(f"{self._lab}-ha-pp-*"))
            served = owners(names, self._wanted)
            for address, who in served.items():
                if len(who) > 1:
                    self._note("two namespaces serve it", address, *sorted(who))
            self.samples += 1
            if time.monotonic() >= due:
                self._probe.solicit(served)
                due = time.monotonic() + PROBE_S
            for twice in self._probe.doubled():
                if twice.excused(names):
                    self.after_takeover += 1
                    self.latest_answer_s = max(self.latest_answer_s, twice.apart_s)
                else:
                    who_answered = (octets.hex(":") for octets in (twice.first, twice.second))
                    what = "two interfaces answered one neighbour solicitation"
                    self._note(what, twice.address, *who_answered, f"{twice.apart_s * 1000:.1f} ms apart")
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
            "answers_after_takeover": self.after_takeover,
            "latest_answer_ms": round(self.latest_answer_s * 1000, 1),
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
