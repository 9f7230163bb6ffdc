"""One seed, one history of the closed loop: functions that report, the collector, playbooks; faults, then peace, and all is as it was."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable
from typing import Final

from closedloop_loop.onset import Onset
from closedloop_loop.operations.journal import Journal
from closedloop_loop.operations.model import Operation
from closedloop_nf.ha_b.actions import Notify
from closedloop_nf.runtime.addresses import from_text
from closedloop_nf.ves.home_agent_backend import Changed, HomeAgentBackend
from closedloop_nf.ves.packet_processor import Observed, PacketProcessor

from tests.simulation.backend import Backend
from tests.simulation.closed_loop.collector import Collector
from tests.simulation.closed_loop.disks import JournalDisk, OperationsDisk
from tests.simulation.closed_loop.dispatching import Dispatching, LoopClock
from tests.simulation.closed_loop.faults import LoopFaults
from tests.simulation.closed_loop.invariants import LoopWatch
from tests.simulation.closed_loop.load import MEASURE_S, Load, Meter
from tests.simulation.closed_loop.placement import Placement
from tests.simulation.closed_loop.playbook import LEASE_S, Playbook
from tests.simulation.closed_loop.policies import HEALING, SCALING
from tests.simulation.closed_loop.reporter import Reporter, Spool
from tests.simulation.closed_loop.wire import Wire
from tests.simulation.history import HOME, KEY, SHARED_ADDRESS, VISITED, HomeLink, Outcome
from tests.simulation.invariants import Broken
from tests.simulation.mobile_node import Node
from tests.simulation.network import Conditions, Network
from tests.simulation.packet_processor import Host
from tests.simulation.world import World

FAULTS_S: Final = 15.0
PEACE_S: Final = 150.0
"""Longest way to the end: an actor that waits in vain, a second attempt, a lease, heartbeats that are missed."""
CHECK_S: Final = 0.73
"""No multiple of what recurs, as there is a moment after each heartbeat when it is not finished."""
OBSERVE_S: Final = 0.5
HEARTBEAT_S: Final = 4
NEVER_S: Final = 1e9


class LoopHistory(HomeLink):
    """Everything that takes part. `run` raises Broken (or whatever a core raised) with the step at which it happened."""

    def __init__(self, seed: int, *, trace: bool = False) -> None:
        world = self.world = World(seed)
        if trace:
            world.trace = []
        rng = world.rng
        self.seen: Counter[str] = Counter()
        self.conditions = Conditions(world)
        self.network = Network(world, self.conditions)
        self.network.route = self._route
        self.shared = rng.random() < 0.5
        self.backend = Backend(world, self.conditions, home=HOME, shared_address=SHARED_ADDRESS if self.shared else None, keys={})
        self.backend.began = self._backend_began
        self.backend.ended = self._backend_ended
        self.backend.notified = self._backend_notified
        self.placement = Placement(world, rng.choice(["cold", "standby"]), self._host)
        self.backend.hosts = self.placement.hosts
        scaled = not self.shared and rng.random() < 0.6  # the load of the one holder of a shared address cannot be spread
        self.nodes = [self._node(index) for index in range(rng.choice([3, 4] if scaled else [1, 1, 2]))]
        self.load = Load(world, self.nodes) if scaled else None
        self.backend.keys.update({node.home_address: (256 + index, KEY) for index, node in enumerate(self.nodes)})
        self._announced: dict[bytes, Host] = {}
        self.control_clock = LoopClock(world)
        self.intake, self.operations = JournalDisk(), OperationsDisk()
        self.journal = Journal(self.operations, LEASE_S)
        self.policy = SCALING[self.placement.wanted] if scaled else HEALING
        self.collector = Collector(world, self.control_clock, self.intake, self.policy, self._tell, self.placement.placed)
        self.wire = Wire(world, self.conditions, self.collector)
        self.spools: dict[str, Spool] = {}
        self.reporters: dict[str, Reporter] = {}
        self.dispatcher: Dispatching | None = None
        self.playbooks: list[Playbook] = []
        self.peace_at = world.time + FAULTS_S
        self.watch = LoopWatch(self)
        self.faults = LoopFaults(self)
        world.check = self.watch.owners

    @property
    def hosts(self) -> list[Host]:
        return list(self.placement.hosts.values())

    def run(self) -> Outcome:
        world, rng = self.world, self.world.rng
        self.start_loop()
        self.backend.start()
        for module in self.placement.declared[: self.placement.wanted]:
            self.placement.place(module)
        for node in self.nodes:
            node.link = rng.choice([1, 2])
            world.after(rng.random() * 0.3, node.start)
        self.faults.plan(begin=world.time + 0.5, end=world.time + FAULTS_S)
        if self.load is not None:
            self.load.plan(begin=world.time + 1.0, end=world.time + FAULTS_S - 5.0)
        world.run(world.time + FAULTS_S)
        self.faults.end()
        if self.load is not None:
            self.load.end()
        deadline = world.time + PEACE_S
        while (missing := self.watch.converged()) is not None:
            if world.time >= deadline:
                raise Broken(f"not converged {PEACE_S:.0f} s after the faults: {missing}")
            world.run(world.time + CHECK_S)
        self.watch.nothing_lost()
        return Outcome(world.steps, self.watch.acknowledged, self.seen)

    # --- the control loop's host -------------------------------------------------------------------------------------

    def start_loop(self) -> None:
        if not self.collector.listening:
            self.dispatcher = Dispatching(self.world, self.control_clock, self.journal, self.policy, self.placement.inventory, self._react)
            self.collector.start()

    def kill_loop(self) -> None:
        self.collector.kill()
        if self.dispatcher is not None:
            self.dispatcher.kill()

    def _tell(self, onsets: list[Onset], told: Callable[[], None]) -> None:
        assert self.dispatcher is not None
        for onset in onsets:
            self.world.note(f"{onset.status} {onset.name} {onset.target} {onset.request_id[:8]}")
            self.seen[f"{onset.name} {onset.status}"] += 1
        self.dispatcher.take(onsets, told)

    def _react(self, operation: Operation) -> None:
        """The rulebook runs the playbook."""
        self.playbooks = [playbook for playbook in self.playbooks if playbook.alive]
        name = f"playbook-{self.seen['playbooks']}"
        self.seen["playbooks"] += 1
        playbook = Playbook(self.world, self.control_clock, self.journal, self.backend, self.placement, self.watch, operation, name)
        self.playbooks.append(playbook)

    # --- functions and their reports ---------------------------------------------------------------------------------

    def spool(self, name: str) -> Spool:
        return self.spools.setdefault(name, Spool())

    def _backend_began(self) -> None:
        self.reporters["ha-b"] = Reporter(
            self.world,
            self.backend.clock,
            self.spool("ha-b"),
            self.wire,
            name="ha-b",
            function="ha-b",
            core=lambda author: HomeAgentBackend(author, NEVER_S, HEARTBEAT_S),
        )

    def _backend_ended(self) -> None:
        self.reporters["ha-b"].kill()

    def _backend_notified(self, notify: Notify) -> None:
        """As backend_shell.py tells it."""
        assert self.backend.process is not None
        world = self.backend.process.core.world
        agent = world.agents.get(notify.name)
        if agent is None:
            self.reporters["ha-b"].feed(Changed(notify))
            return
        record = agent.record
        standbys = sum(session.ready and not world.agents[session.name].record.serving for session in world.sessions.values())
        changed = Changed(notify, record.region, record.role, record.serving, world.bindings.count(notify.name), standbys)
        self.reporters["ha-b"].feed(changed)

    def _host_began(self, host: Host) -> None:
        reporter = self.reporters[host.name] = Reporter(
            self.world,
            host.clock,
            self.spool(host.name),
            self.wire,
            name=host.name,
            function="ha-pp",
            core=lambda author: PacketProcessor(author, f"region-{host.name}", MEASURE_S if self.load else NEVER_S, HEARTBEAT_S),
            measure=Meter(self.load, host).read if self.load else None,
        )
        self._observe(host, reporter, None)

    def _observe(self, host: Host, reporter: Reporter, seen: Observed | None) -> None:
        """As packet_processor_shell.py looks at the core now and then."""
        process = host.process
        if not reporter.alive or process is None:
            return
        core = process.core
        state = core.state
        found = Observed(core.ready(host.clock.now()), core.session.socket_open, state.role, state.epoch, len(state.served))
        if not process.paused and (seen is None or found[:4] != seen[:4]):
            reporter.feed(found)
            seen = found
        self.world.after(OBSERVE_S, self._observe, host, reporter, seen)

    def _host_ended(self, host: Host) -> None:
        """Killed; in a stop in order the core has ended before, and its last word is still sent."""
        process = host.process
        reporter = self.reporters[host.name]
        if process is not None and process.alive:
            reporter.stop()
        else:
            reporter.kill()

    def _host(self, name: str, region: str, role: str) -> Host:
        number = len(self.placement.hosts)
        host = Host(
            self.world,
            self.network,
            self.backend,
            self,
            name=name,
            address=from_text(f"2001:db8:a{ord(region) - 96}::{number + 1:x}"),
            home_link_address=from_text(f"2001:db8:100::1:{number:x}"),
            role=role,
        )
        host.began = functools.partial(self._host_began, host)
        host.ended = functools.partial(self._host_ended, host)
        return host

    def _node(self, index: int) -> Node:
        return Node(
            self.world,
            self.network,
            self,
            name=f"mn{index + 1}",
            home_address=from_text(f"2001:db8:100::100{index}"),
            links=[HOME, *VISITED],
            home_agents=[SHARED_ADDRESS] if self.shared else [],
            spi=256 + index,
            key=KEY,
        )
