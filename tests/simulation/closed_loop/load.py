"""Traffic of mobile nodes that rises and falls, and how an HA-PP measures what goes through it."""

from __future__ import annotations

from typing import Final

from closedloop_nf.ha_pp import events
from closedloop_nf.ha_pp.node_meter import rates
from closedloop_nf.kernel.node_traffic import Traffic
from closedloop_nf.ves.measurement import Host as Machine
from closedloop_nf.ves.measurement import Reading

from tests.simulation.mobile_node import Node
from tests.simulation.packet_processor import Host
from tests.simulation.world import World

MEASURE_S: Final = 1.0
PACKET_OCTETS: Final = 1000
IDLE_MBPS, MODERATE_MBPS, HEAVY_MBPS = 5, 150, 400
"""Of one mobile node. Any number of HA-PPs carries four of the second kind, and none is idle then; one HA-PP cannot carry three of the
third."""


class Load:
    """What each mobile node gets, in Mbit/s; at first, and once the faults are over, all the same."""

    def __init__(self, world: World, nodes: list[Node]) -> None:
        self._world = world
        self.mbps = {node.home_address: MODERATE_MBPS for node in nodes}

    def plan(self, *, begin: float, end: float) -> None:
        """Changes at random times."""
        for _ in range(self._world.rng.randint(1, 3)):
            self._world.at(self._world.rng.uniform(begin, end), self._change)

    def end(self) -> None:
        self.mbps = dict.fromkeys(self.mbps, MODERATE_MBPS)

    def _change(self) -> None:
        rng = self._world.rng
        match rng.choice(["heavy", "heavy", "idle", "idle", "uneven", "moderate"]):
            case "heavy":
                self.mbps = dict.fromkeys(self.mbps, HEAVY_MBPS)
            case "idle":
                self.mbps = dict.fromkeys(self.mbps, IDLE_MBPS)
            case "moderate":
                self.end()
            case _:
                self.mbps = {home: rng.choice([IDLE_MBPS, MODERATE_MBPS, HEAVY_MBPS]) for home in self.mbps}
        self._world.note(f"mobile nodes get {list(self.mbps.values())} Mbit/s")


class Meter:
    """Of one process of an HA-PP, as ha_pp/node_meter.py: what the kernel has counted since its start."""

    def __init__(self, load: Load, host: Host) -> None:
        self._load, self._host = load, host
        self._counted: dict[bytes, int] = {}
        self._at = host.world.time
        self._before: tuple[float, dict[bytes, Traffic]] | None = None

    def read(self) -> Reading:
        """Also tells the core, which tells HA-B."""
        host, now = self._host, self._host.clock.now()
        assert host.process is not None
        self._count()
        traffic = {home: Traffic(0, 0, octets, octets // PACKET_OCTETS) for home, octets in self._counted.items()}
        if self._before is not None and now.mono > self._before[0]:
            host.process.feed(events.TrafficMeasured(rates(self._before[1], traffic, now.mono - self._before[0])))
        self._before = now.mono, traffic
        state = host.process.core.state
        return Reading(
            at=now,
            bindings=len(state.served),
            requests=state.counters["binding_updates_received"],
            process_s=0.0,
            resident_kib=30_000,
            host=Machine(0.0, 0.0, now.mono, 1_000_000),
            interfaces={},
            nodes=traffic,
            serving=state.role == "active",
        )

    def _count(self) -> None:
        """A counter goes with its binding."""
        time, kernel = self._host.world.time, self._host.kernel
        seconds, self._at = time - self._at, time
        served = [home for home in kernel.installed if kernel.serves(home, time)]
        self._counted = {home: self._counted.get(home, 0) + round(self._load.mbps[home] * 125_000 * seconds) for home in served}
