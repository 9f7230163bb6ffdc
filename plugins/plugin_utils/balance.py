# Copyright (c) 2026, The closedloop.mobility contributors
# SPDX-License-Identifier: Apache-2.0
"""Which mobile nodes move from which HA-PP to which, so that the load is balanced with the fewest moves.

The load of an HA-PP is what its mobile nodes send and get, as HA-PPs measured it. It is balanced when none has more than the mean and a
tolerance, or where mobile nodes are too few and too large for that, when the largest load cannot be made smaller.
To find the fewest moves is hard in general (it contains the subset sum problem). A greedy plan is always made, in a time that a sort takes.
A search for one with fewer moves or a smaller largest load goes on as long as SEARCH_STEPS allow: for a few mobile nodes it is complete.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from ansible.errors import AnsibleFilterError

TOLERANCE = 0.1
SEARCH_STEPS = 20_000
ROUNDS = 10
"""How often the greedy plan is improved by another one that begins where it ends."""

Moves = dict[str, str]
"""Home address -> HA-PP that it moves to."""


@dataclass(frozen=True)
class Node:
    """A mobile node: its HA-PP, and its traffic in both directions in bit/s."""

    home_address: str
    owner: str
    rate: int


def balance_plan(bindings: list[dict[str, Any]], home_agents: list[dict[str, Any]], tolerance: float = TOLERANCE) -> list[dict[str, Any]]:
    """Orders that balance the load of the HA-PPs that are ready and active; none where it is balanced."""
    usable = _usable(home_agents)
    if len(usable) < 2:
        return []
    nodes = [node for node in _nodes(bindings) if node.owner in usable]
    return _orders(nodes, balanced(nodes, usable, tolerance))


def drain_plan(bindings: list[dict[str, Any]], home_agents: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    """Orders that move every mobile node of the HA-PP `name` to the others that are ready and active, so that their load is balanced."""
    usable = [one for one in _usable(home_agents) if one != name]
    nodes = _nodes(bindings)
    leaving = [node for node in nodes if node.owner == name]
    if leaving and not usable:
        raise AnsibleFilterError(f"no other home agent than {name!r} is active and ready; deploy one first")
    load = {one: sum(node.rate for node in nodes if node.owner == one) for one in usable}
    count = {one: sum(node.owner == one for node in nodes) for one in usable}
    moves: Moves = {}
    for node in sorted(leaving, key=lambda node: (-node.rate, node.home_address)):
        to = min(usable, key=lambda one: (load[one], count[one], one))
        moves[node.home_address] = to
        load[to] += node.rate
        count[to] += 1
    return _orders(leaving, moves)


def balanced(nodes: list[Node], agents: list[str], tolerance: float) -> Moves:
    """The moves. Nodes without traffic stay."""
    nodes = sorted((node for node in nodes if node.rate > 0), key=lambda node: (-node.rate, node.home_address))
    if not nodes:
        return {}
    load = {agent: 0 for agent in sorted(agents)}
    for node in nodes:
        load[node.owner] += node.rate
    limit = max((1 + tolerance) * sum(load.values()) / len(load), nodes[0].rate)
    if max(load.values()) <= limit:
        return {}
    greedy = _greedy_rounds(nodes, load, limit)
    return _Search(nodes, load, limit).better_than(greedy)


def peak(nodes: Iterable[Node], load: dict[str, int], moves: Moves) -> int:
    """The largest load after the moves."""
    after = dict(load)
    for node in nodes:
        if node.home_address in moves:
            after[node.owner] -= node.rate
            after[moves[node.home_address]] += node.rate
    return max(after.values())


# --- greedy ----------------------------------------------------------------------------------------------------------


def _greedy_rounds(nodes: list[Node], load: dict[str, int], limit: float) -> Moves:
    moves: Moves = {}
    for _round in range(ROUNDS):
        placed = [Node(node.home_address, moves.get(node.home_address, node.owner), node.rate) for node in nodes]
        now = {agent: 0 for agent in load}
        for node in placed:
            now[node.owner] += node.rate
        more = _greedy(placed, now, limit)
        if not more:
            break
        moves.update(more)
    owners = {node.home_address: node.owner for node in nodes}
    return {home: to for home, to in moves.items() if owners[home] != to}


def _greedy(nodes: list[Node], load: dict[str, int], limit: float) -> Moves:
    """From the most loaded to the least loaded, as long as that makes the most loaded less so. Each node moves once."""
    load = dict(load)
    there: dict[str, list[Node]] = {agent: [] for agent in load}
    for node in reversed(nodes):
        there[node.owner].append(node)  # ascending by rate
    moves: Moves = {}
    while True:
        source = max(load, key=lambda agent: (load[agent], agent))
        target = min(load, key=lambda agent: (load[agent], agent))
        if load[source] <= limit:
            return moves
        index = _choice(there[source], load[source], load[target], limit)
        if index is None:
            return moves
        node = there[source].pop(index)
        moves[node.home_address] = target
        load[source] -= node.rate
        load[target] += node.rate


def _choice(nodes: list[Node], high: int, low: int, limit: float) -> int | None:
    """Index of the node to move; nodes ascending by rate. None: whichever goes, the larger of the two loads does not shrink."""

    def at(rate: float) -> int:
        return bisect_left(nodes, rate, key=lambda node: node.rate)

    fitting = bisect_right(nodes, limit - low, key=lambda node: node.rate)  # below this index the target stays below the limit
    enough = at(high - limit)
    if enough < fitting:
        return enough  # the smallest one that suffices
    if fitting:
        return fitting - 1
    even = at((high - low) / 2)
    near = [index for index in (even - 1, even) if 0 <= index < len(nodes)]
    best = min(near, key=lambda index: max(high - nodes[index].rate, low + nodes[index].rate), default=None)
    return best if best is not None and low + nodes[best].rate < high else None


# --- search ----------------------------------------------------------------------------------------------------------


class _Search:
    """Goes through all plans of one move, then of two, and so on."""

    def __init__(self, nodes: list[Node], load: dict[str, int], limit: float) -> None:
        self._nodes, self._load, self._limit = nodes, load, limit
        self._steps = SEARCH_STEPS

    def better_than(self, plan: Moves) -> Moves:
        """The plan with the fewest moves that keeps within the limit; where none does, the one with the smallest largest load."""
        candidates: list[tuple[Moves, int]] = [({}, max(self._load.values())), (plan, peak(self._nodes, self._load, plan))]
        best, rank = min(((moves, self._rank(moves, found)) for moves, found in candidates), key=lambda one: one[1])
        for count in range(1, len(self._nodes) + 1):
            if (rank[0] == 0 and count > len(best)) or self._steps <= 0:
                break
            for moves, found in self._plans(count, 0, dict(self._load), {}):
                if self._rank(moves, found) < rank:
                    best, rank = dict(moves), self._rank(moves, found)
        return best

    def _rank(self, moves: Moves, largest: int) -> tuple[int, int, int]:
        """Smaller is better."""
        return (0, len(moves), largest) if largest <= self._limit else (1, largest, len(moves))

    def _plans(self, count: int, first: int, load: dict[str, int], moves: Moves) -> Iterator[tuple[Moves, int]]:
        """Every way to move `count` more nodes of those from index `first` on, with the largest load that results."""
        if not count:
            self._steps -= 1
            yield moves, max(load.values())
            return
        for index in range(first, len(self._nodes) - count + 1):
            node = self._nodes[index]
            load[node.owner] -= node.rate
            for agent in load:
                if agent == node.owner:
                    continue
                if self._steps <= 0:
                    break
                load[agent] += node.rate
                moves[node.home_address] = agent
                yield from self._plans(count - 1, index + 1, load, moves)
                del moves[node.home_address]
                load[agent] -= node.rate
            load[node.owner] += node.rate
            if self._steps <= 0:
                return


# --- to and from what HA-B tells -------------------------------------------------------------------------------------


def _usable(home_agents: list[dict[str, Any]]) -> list[str]:
    return sorted(
        agent["name"] for agent in home_agents if agent["state"] == "ready" and agent["role"] == "active" and not agent["draining"]
    )


def _nodes(bindings: list[dict[str, Any]]) -> list[Node]:
    return [Node(row["home_address"], row["owner"], row["from_node_bit_per_s"] + row["to_node_bit_per_s"]) for row in bindings]


def _orders(nodes: list[Node], moves: Moves) -> list[dict[str, Any]]:
    """One order for each pair of HA-PPs, in the order of their names."""
    pairs: dict[tuple[str, str], list[Node]] = {}
    for node in nodes:
        if node.home_address in moves:
            pairs.setdefault((node.owner, moves[node.home_address]), []).append(node)
    return [
        {
            "name": name,
            "to": to,
            "home_addresses": sorted(node.home_address for node in chosen),
            "bit_per_s": sum(node.rate for node in chosen),
        }
        for (name, to), chosen in sorted(pairs.items())
    ]
