"""How fast each mobile node sends and gets: the kernel's counters, read by one reader for all who want to know."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Mapping
from typing import Final

from closedloop_nf.kernel.node_traffic import Traffic, read_node_traffic
from closedloop_nf.link.messages import NodeRate
from closedloop_nf.runtime.clock import now

log = logging.getLogger("closedloop_nf.ha_pp")

INTERVAL_S: Final = 1.0
"""The counters are read at least this often."""
SHORTEST_S: Final = 0.2
"""Readings that come closer give no rate; the next one gives that of the whole time."""


class NodeMeter:
    """`read` may be called from any thread by who needs the counters; `run` reads where nobody else does.

    measured: called in the event loop's thread with the rates of the mobile nodes that had traffic.
    """

    def __init__(self, measured: Callable[[list[NodeRate]], None]) -> None:
        self._measured = measured
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._before: tuple[float, Mapping[bytes, Traffic]] | None = None

    def read(self) -> Mapping[bytes, Traffic]:
        """Home address -> counters. Raises OSError: the kernel refuses, or the process may open nothing more."""
        with self._lock:
            nodes, at = read_node_traffic(), now().mono
            if self._before is None:
                self._before = at, nodes
            elif at - self._before[0] >= SHORTEST_S:
                found = rates(self._before[1], nodes, at - self._before[0])
                self._before = at, nodes
                self._loop.call_soon_threadsafe(self._measured, found)
            return nodes

    async def run(self) -> None:
        while True:
            due = 0.0 if self._before is None else self._before[0] + INTERVAL_S - now().mono
            if due > 0:
                await asyncio.sleep(due)
                continue
            try:
                await asyncio.to_thread(self.read)
            except OSError as error:
                log.warning("traffic of mobile nodes cannot be read", extra={"problem": str(error)})
                await asyncio.sleep(INTERVAL_S)


def rates(before: Mapping[bytes, Traffic], after: Mapping[bytes, Traffic], seconds: float) -> list[NodeRate]:
    """Rates of those that had traffic between two readings, without what the tunnel adds."""
    found = []
    for home_address, traffic in after.items():
        change = traffic.since(before.get(home_address))
        if any(change):
            sent, got = change.from_node_inner_octets, change.to_node_octets
            found.append(NodeRate(home_address, _bit_per_s(sent, seconds), _bit_per_s(got, seconds)))
    return found


def _bit_per_s(octets: int, seconds: float) -> int:
    return round(octets * 8 / seconds)
