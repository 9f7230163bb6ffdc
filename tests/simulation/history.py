"""One seed, one history: a network of functions, a schedule of faults, then peace, and everything must work."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from closedloop_nf.ha_pp import events
from closedloop_nf.link.messages import Binding
from closedloop_nf.mobile_node import actions
from closedloop_nf.runtime.addresses import Prefix, from_text
from closedloop_nf.wire import icmpv6

from tests.simulation.backend import Backend
from tests.simulation.faults import Faults
from tests.simulation.invariants import Broken, Watch
from tests.simulation.mobile_node import Node
from tests.simulation.network import Conditions, Network
from tests.simulation.packet_processor import Host
from tests.simulation.world import World

HOME = Prefix.from_text("2001:db8:100::/64")
VISITED = [Prefix.from_text("2001:db8:c1::/64"), Prefix.from_text("2001:db8:c2::/64")]
SHARED_ADDRESS = from_text("2001:db8:100::a")
ANYCAST = icmpv6.home_agents_anycast(HOME.address, HOME.length)
KEY = b"simulated-key-16"
FAULTS_S = 12.0
"""How long faults may begin, in seconds of the history."""
PEACE_S = 60.0
"""How long convergence may take after the last fault has ended."""


class Outcome(NamedTuple):
    """What a history that held came to."""

    steps: int
    acknowledged: int
    seen: Counter[str]
    """How often each kind of fault and of event came."""


class HomeLink:
    """The home link as hosts and mobile nodes see it, and the way of packets. Whoever has one says who is there."""

    world: World
    network: Network
    watch: Watch
    nodes: list[Node]
    _announced: dict[bytes, Host]

    def announced(self, address: bytes, host: Host) -> None:
        """A neighbour advertisement leaves only through an open gate."""
        if host.kernel.lease_until > self.world.time:
            self._announced[address] = host

    def acknowledged(self, host: Host, action: events.SendMobility) -> None:
        self.watch.acknowledgement(host, action)

    def told(self, host: Host, rows: list[Binding]) -> None:
        self.watch.told(host, rows)

    def in_use(self, address: bytes) -> bool:
        return any(node.home_address == address and node.at_home and node.link == 0 for node in self.nodes)

    # --- packets -----------------------------------------------------------------------------------------------------

    def from_mobile_node(self, node: Node, action: actions.SendMobility | actions.SendIcmpv6) -> None:
        if isinstance(action, actions.SendMobility):
            packet: events.Input = events.MobilityReceived(action.source, action.destination, action.home_address_option, action.payload)
        else:
            packet = events.Icmpv6Received(action.source, action.destination, action.home_address_option, action.payload)
        self.network.send(action.destination, lambda: packet)

    def _route(self, destination: bytes):  # type: ignore[no-untyped-def]
        if destination == SHARED_ADDRESS:
            holder = self._announced.get(destination)
            return holder.receive if holder is not None and holder.kernel.address == destination else None
        if destination == ANYCAST:
            open_hosts = [host for host in self.hosts if destination in host.kernel.anycast and host.listening]
            return self.world.rng.choice(open_hosts).receive if open_hosts else None
        for host in self.hosts:
            if host.address == destination:
                return host.receive
        for node in self.nodes:
            if destination in (node.care_of_address, node.home_address if node.link == 0 else None):
                return node.receive
        return None


class History(HomeLink):
    """Everything that takes part. `run` raises Broken (or whatever a core raised) with the step at which it happened."""

    def __init__(self, seed: int, *, trace: bool = False) -> None:
        world = self.world = World(seed)
        if trace:
            world.trace = []
        rng = world.rng
        self.conditions = Conditions(world)
        self.network = Network(world, self.conditions)
        self.network.route = self._route
        self.shared = rng.random() < 0.5
        self.watch = Watch(self)
        self._announced: dict[bytes, Host] = {}
        self.backend = Backend(world, self.conditions, home=HOME, shared_address=SHARED_ADDRESS if self.shared else None, keys={})
        self.hosts = [
            self._host(index, "active" if index == 0 or (not self.shared and rng.random() < 0.5) else "standby")
            for index in range(rng.choice([2, 2, 3]))
        ]
        agents = [SHARED_ADDRESS] if self.shared else [host.address for host in self.hosts]
        self.nodes = [self._node(index, agents[: rng.randint(1, len(agents))]) for index in range(rng.randint(1, 4))]
        self.backend.keys.update({node.home_address: (256 + index, KEY) for index, node in enumerate(self.nodes)})
        self.backend.hosts = {host.name: host for host in self.hosts}
        self.faults = Faults(self)
        world.check = self.watch.owners

    def run(self) -> Outcome:
        world, rng = self.world, self.world.rng
        starts = [self.backend.start, *(host.start for host in self.hosts), *(node.start for node in self.nodes)]
        for node in self.nodes:
            node.link = rng.choice([1, 1, 2, 0])
        rng.shuffle(starts)
        for start in starts:
            world.after(rng.random() * 0.3, start)
        self.faults.plan(begin=world.time + 1.0, end=world.time + FAULTS_S)
        world.run(world.time + FAULTS_S)
        self.faults.end()
        deadline = world.time + PEACE_S
        while (missing := self.watch.converged()) is not None:
            if world.time >= deadline:
                raise Broken(f"not converged {PEACE_S:.0f} s after the faults: {missing}")
            world.run(world.time + 0.5)
        return Outcome(world.steps, self.watch.acknowledged, self.faults.seen)

    def _host(self, index: int, role: str) -> Host:
        return Host(
            self.world,
            self.network,
            self.backend,
            self,
            name=f"ha-pp-{'abc'[index]}",
            address=from_text(f"2001:db8:a{index + 1}::1"),
            home_link_address=from_text(f"2001:db8:100::1{index}"),
            role=role,
        )

    def _node(self, index: int, home_agents: list[bytes]) -> Node:
        return Node(
            self.world,
            self.network,
            self,
            name=f"mn{index + 1}",
            home_address=from_text(f"2001:db8:100::100{index}"),
            links=[HOME, *VISITED],
            home_agents=home_agents,
            spi=256 + index,
            key=KEY,
        )
