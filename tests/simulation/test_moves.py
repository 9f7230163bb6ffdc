"""Mobile nodes are moved from one HA-PP to another again and again; no packet to or from them is lost, also when control messages are."""

from __future__ import annotations

import pytest
from closedloop_nf.ha_b import commands

from tests.simulation.history import History
from tests.simulation.mobile_node import Node

MOVES = 15
INTERVAL_S, ON_THE_WAY_S = 0.005, 0.004


class Packets:
    """A packet each way every INTERVAL_S; ON_THE_WAY_S to the HA-PP that draws the traffic, and so long again from there."""

    def __init__(self, history: History, node: Node) -> None:
        self.history, self.world, self.node = history, history.world, node
        self.arrived = 0
        self.lost: list[str] = []

    def send(self) -> None:
        history, node = self.history, self.node
        drawn_by = history._announced[node.home_address]
        self.world.after(ON_THE_WAY_S, self._down, drawn_by.name)
        assert node.tunnel is not None
        self.world.after(ON_THE_WAY_S, self._up, node.tunnel)
        self.world.after(INTERVAL_S, self.send)

    def _down(self, name: str) -> None:
        host, node = next(host for host in self.history.hosts if host.name == name), self.node
        assert node.care_of_address is not None
        if host.kernel.forwards(node.home_address, node.care_of_address, self.world.time):
            self.world.after(ON_THE_WAY_S, self._at_node, host.address)
        else:
            self._lose(f"{name} does not forward to {node.name}")

    def _at_node(self, home_agent: bytes) -> None:
        if self.node.accepts.get(home_agent, 0.0) > self.world.time:
            self.arrived += 1
        else:
            self._lose(f"{self.node.name} does not accept from {home_agent.hex()}")

    def _up(self, tunnel: tuple[bytes, bytes]) -> None:
        care_of_address, home_agent = tunnel
        host = next(host for host in self.history.hosts if host.address == home_agent)
        if host.kernel.forwards(self.node.home_address, care_of_address, self.world.time):
            self.arrived += 1
        else:
            self._lose(f"{host.name} does not take from {self.node.name}")

    def _lose(self, why: str) -> None:
        self.lost.append(f"{self.world.time - 1000:.4f} {why}")


@pytest.mark.parametrize("loss", [0.0, 0.1])
def test_no_packet_of_a_node_that_moves_is_lost(loss: float) -> None:
    moved = 0
    for seed in range(40):
        history = History(seed)
        if history.shared:
            continue
        moved += moves_of(history, loss)
    assert moved > MOVES


def moves_of(history: History, loss: float) -> int:
    """Moves that HA-B carried out in this history."""
    world = history.world
    history.conditions.calm()
    history.backend.commit_s = min(history.backend.commit_s, 0.1)  # nobody waits for a disk that takes longer than mobile nodes do
    for host in history.hosts:
        host.role = "active"
        host.start()
    history.backend.start()
    for node in history.nodes:
        node.link = 1
        node.start()
    while history.watch.converged() is not None:
        world.run(world.time + 1)
        assert world.time < 1060, history.watch.converged()
    history.conditions.loss = loss
    packets = [Packets(history, node) for node in history.nodes]
    for packet in packets:
        packet.send()
    done = 0
    for _move in range(MOVES):
        node = world.rng.choice(history.nodes)
        row = history.backend.durable_binding(node.home_address)
        assert row is not None
        to = world.rng.choice([host.name for host in history.hosts if host.name != row.owner])
        history.backend._command(commands.Switch(row.owner, to, home_addresses=[node.home_address]))
        world.run(world.time + world.rng.choice([0.05, 0.5, 3.0]))
        after = history.backend.durable_binding(node.home_address)
        done += after is not None and after.owner == to
    history.conditions.loss = 0.0
    world.run(world.time + 10)
    assert [lost for packet in packets for lost in packet.lost] == []
    assert all(packet.arrived > 1000 for packet in packets)
    return done
