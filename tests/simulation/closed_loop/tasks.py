"""What the tasks of a reaction playbook do: look at HA-B, give it orders, change the world, tell the journal."""

from __future__ import annotations

import functools
from collections.abc import Callable, Generator
from typing import Any, NamedTuple, Protocol

from closedloop_loop.operations.journal import Journal
from closedloop_loop.operations.model import Operation, Refused
from closedloop_nf.ha_b import commands
from closedloop_nf.runtime.addresses import from_text

from tests.simulation.backend import Backend
from tests.simulation.closed_loop.dispatching import LoopClock
from tests.simulation.closed_loop.placement import Placement
from tests.simulation.world import World

POLL_S = 0.2
PATIENCE_S = 12.0
"""For what has to come true at HA-B."""

Agents = dict[str, dict[str, Any]]
"""What HA-B tells of HA-PPs, by name."""


class Failed(Exception):
    """A task of the play has failed."""


class Fenced(Exception):
    """The journal refused: another actor has taken over. The play fails and changes nothing any more."""


class Effect(NamedTuple):
    """Something an actor has done to the world."""

    request_id: str
    token: int
    what: str


class Watcher(Protocol):
    """Who looks at what actors do."""

    def acted(self, effect: Effect) -> None: ...

    def changed(self, effect: Effect) -> None: ...

    def moves(self, bindings: list[dict[str, Any]], orders: list[dict[str, Any]]) -> None: ...

    def finished(self, operation: Operation) -> None: ...


class Tasks:
    """For one operation, from the claim on."""

    def __init__(
        self,
        world: World,
        clock: LoopClock,
        journal: Journal,
        backend: Backend,
        placement: Placement,
        watcher: Watcher,
        operation: Operation,
        name: str,
    ) -> None:
        self.placement, self.operation = placement, operation
        self._world, self._clock, self._journal, self._backend, self._watcher = world, clock, journal, backend, watcher
        self._name = name

    def pause(self) -> float:
        """A task takes so long."""
        return 0.01 + self._world.rng.random() * 0.1

    def plans(self, planned: Any) -> None:
        self._world.note(self._name, "plans", planned)

    def act(self, what: str, effect: Callable[[], None]) -> None:
        """Change the world. A task asks nobody whether it may: it is the keeper that ends a late actor."""
        self._world.note(f"{self._name}: {what}")
        done = Effect(self.operation.request_id, self.operation.token, what)
        self._watcher.acted(done)
        effect()
        self._watcher.changed(done)

    def reach(self, stage: str) -> None:
        """What comes next cannot be taken back; a late actor is refused."""
        answer = self._journal.stage(self.operation.request_id, self.operation.token, stage, self._clock.now())
        if isinstance(answer, Refused):
            raise Fenced(answer.reason)

    def seen(self) -> Agents:
        found = self._agents()
        if found is None:
            raise Failed("HA-B does not answer")
        return found

    def load(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """HA-PPs, and which mobile node has how much traffic: see_load.yml."""
        agents, bindings = self._agents(), self._backend.bound()
        if agents is None or bindings is None:
            raise Failed("HA-B does not answer")
        rows = [
            {
                "home_address": view.home_address,
                "owner": view.owner,
                "from_node_bit_per_s": view.from_node_bit_per_s,
                "to_node_bit_per_s": view.to_node_bit_per_s,
            }
            for view in bindings
        ]
        return list(agents.values()), rows

    def until(self, problem: str, true: Callable[[Agents], bool]) -> Generator[float]:
        """Poll HA-B, which may be away for a while."""
        until = self._world.time + PATIENCE_S
        while True:
            found = self._agents()
            if found is not None and true(found):
                return
            if self._world.time >= until:
                raise Failed(problem)
            yield POLL_S

    def order(self, what: str, command: commands.Command) -> Generator[float]:
        """A command of HA-B's API, again until it is done: it may be too early, and HA-B may be away."""
        until = self._world.time + PATIENCE_S
        while True:
            answers: list[Any] = []
            self.act(what, functools.partial(self._backend.ask, command, answers.append))
            began = self._world.time
            while not answers and self._world.time < began + 2:
                yield POLL_S / 4
            answer = answers[0] if answers else None
            if answer is not None and answer.problem in ("", "not_found"):
                return
            if self._world.time >= until:
                raise Failed(f"{what}: {answer.message if answer is not None else 'HA-B does not answer'}")
            yield POLL_S

    def move(self, bindings: list[dict[str, Any]], orders: list[dict[str, Any]]) -> Generator[float]:
        """move_mobile_nodes.yml"""
        self._watcher.moves(bindings, orders)
        for order in orders:
            moving = self._still(order)
            if moving:
                command = commands.Switch(order["name"], order["to"], home_addresses=[from_text(home) for home in moving])
                yield from self.order("switch", command)
            yield self.pause()
        for order in orders:
            yield from self.until(f"mobile nodes stay at {order['name']}", lambda _seen, order=order: not self._still(order))  # type: ignore[misc] # bound now

    def _still(self, order: dict[str, Any]) -> list[str]:
        """Of the mobile nodes that are to move, those that are bound where they were; all where HA-B does not answer."""
        bindings = self._backend.bound()
        if bindings is None:
            return list(order["home_addresses"])
        return [row.home_address for row in bindings if row.owner == order["name"] and row.home_address in order["home_addresses"]]

    def _agents(self) -> Agents | None:
        listed = self._backend.home_agents()
        if listed is None:
            return None
        return {
            view.name: {
                "name": view.name,
                "state": view.state,
                "serving": view.serving,
                "role": view.role,
                "draining": view.draining,
                "bindings": view.bindings,
                "lingering": view.lingering,
                "proof": view.proof,
            }
            for view in listed
        }


def serves(agent: dict[str, Any]) -> bool:
    return agent.get("state") == "ready" and agent.get("role") == "active"
