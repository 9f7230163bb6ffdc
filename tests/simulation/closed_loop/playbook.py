"""An actor: the reaction playbook `failover` as a process that may be killed or held up between any two of its tasks.

Its plan is the collection's own (plugin_utils/failover.py). A keeper watches it and tells the journal when it has died, unless that one is
killed too; then the lease ends by itself. The keeper also kills it when the journal has given the operation to another.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Generator, Iterator
from typing import Any, NamedTuple, Protocol

from ansible.errors import AnsibleFilterError
from closedloop_loop.clock import Instant
from closedloop_loop.operations.journal import Journal
from closedloop_loop.operations.keeper import RENEW_S, RETRY_S
from closedloop_loop.operations.model import Operation, Refused
from closedloop_loop.operations.store.interface import StoreError
from closedloop_nf.ha_b import commands

from tests.simulation.backend import Backend
from tests.simulation.closed_loop.dispatching import LoopClock
from tests.simulation.closed_loop.placement import REGIONS, Placement, plan
from tests.simulation.world import World

LEASE_S = 3.0
KEEPER_S = 0.01
POLL_S = 0.2
PATIENCE_S = 12.0
"""For what has to come true at HA-B."""


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

    def finished(self, operation: Operation) -> None: ...


class Playbook:
    """Runs from the moment it is made; `alive` until its end."""

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
        self.world, self.clock, self.journal, self.name = world, clock, journal, name
        self._backend, self._placement, self._watcher = backend, placement, watcher
        self._operation = operation
        self._held = 0.0
        self._kept = True
        """Whether its keeper lives."""
        self.token: int | None = None
        self.alive = True
        self._play = self._tasks()
        world.note(f"{name} begins for operation {operation.number}")
        self._next(self._play)

    # --- what the faults do ------------------------------------------------------------------------------------------

    def kill(self, *, keeper: bool) -> None:
        """kill -9. keeper: of that one too."""
        if not self.alive:
            return
        self.world.note(f"{self.name} killed{', and its keeper' if keeper else ''}")
        self.alive = False
        self._kept = self._kept and not keeper
        if self.token is not None and self._kept:
            self.world.after(KEEPER_S, self._lost)

    def hold(self, seconds: float) -> None:
        """It and its keeper get no processor for so long. The keeper, whose time has come meanwhile, asks at once when it gets it back."""
        self._held = max(self._held, self.world.time + seconds)
        self.world.at(self._held, self._keep_once)

    # --- the process -------------------------------------------------------------------------------------------------

    @property
    def now(self) -> Instant:
        return self.clock.now()

    def _next(self, play: Iterator[float]) -> None:
        if not self.alive:
            return
        if self._held > self.world.time:
            self.world.at(self._held, self._next, play)
            return
        try:
            pause = next(play)
        except StopIteration:
            self._end("")
        except (Fenced, StoreError) as error:
            self._end(f": {error}")
        else:
            self.world.after(pause, self._next, play)

    def _end(self, why: str) -> None:
        """The process ends, finished or not; the keeper sees to the lease."""
        self.world.note(f"{self.name} ends{why}")
        self.alive = False
        if self.token is not None:
            self.world.after(KEEPER_S, self._lost)

    def _keep(self) -> None:
        if self.alive:
            self.world.after(RENEW_S if self._renew() else RETRY_S, self._keep)

    def _keep_once(self) -> None:
        self._renew()

    def _renew(self) -> bool:
        """False where the journal cannot be asked."""
        if not self.alive or self.token is None or self._held > self.world.time:
            return True
        try:
            answer = self.journal.renew(self._operation.request_id, self.token, self.now)
        except StoreError:
            return False
        if isinstance(answer, Refused) and answer.operation is not None and answer.operation.taken_from(self.token):
            self.world.note(f"{self.name} is killed by its keeper: {answer.reason}")
            self.alive = False
        return True

    def _lost(self) -> None:
        assert self.token is not None
        try:
            self.journal.lost(self._operation.request_id, self.token, self.now)
        except StoreError:
            self.world.after(0.5, self._lost)

    def _tasks(self) -> Generator[float]:
        yield 0.05 + self.world.rng.random() * 0.3
        claimed = self.journal.claim(self._operation.request_id, self.name, self.now)
        if isinstance(claimed, Refused):
            self.world.note(f"{self.name} is not to begin: {claimed.reason}")
            return
        self.token = claimed.token
        self.world.after(RENEW_S, self._keep)
        try:
            yield from self._failover(claimed)
        except Failed as failure:
            self._finish(False, str(failure))
            return
        self._finish(True, "")

    def _finish(self, succeeded: bool, message: str) -> None:
        assert self.token is not None
        answer = self.journal.finish(self._operation.request_id, self.token, succeeded, message, self.now)
        if isinstance(answer, Refused):
            raise Fenced(answer.reason)
        self.world.note(f"{self.name}: {'succeeded' if succeeded else 'failed'} {message}")
        self._watcher.finished(answer)

    # --- failover.yml ------------------------------------------------------------------------------------------------

    def _failover(self, operation: Operation) -> Generator[float]:
        failed, placement = operation.target, self._placement
        yield self._task()
        seen = self._seen()
        try:
            planned = plan(
                placement.declared, placement.files, list(seen.values()), REGIONS, placement.redundancy, failed, operation.region or ""
            )
        except AnsibleFilterError as error:
            raise Failed(str(error)) from None
        if not planned:
            if failed not in placement.present:
                yield from self._order("forget", commands.Forget(failed))
            return
        self.world.note(f"{self.name} plans {planned}")
        successor, standby = planned["successor"], planned["standby"]
        yield self._task()
        if planned["deploy"]:
            self._act("deploy", lambda: placement.place(successor, replaces=failed))
            yield self._task()
        if planned["ordered"]:
            yield from self._until(
                f"{successor['name']} is not ready", lambda seen: seen.get(successor["name"], {}).get("state") == "ready"
            )
            yield from self._order("hand over", commands.Promote(successor["name"], planned["owner"]))
        if planned["awaited"]:
            yield from self._until(f"{successor['name']} does not serve", lambda seen: _serves(seen.get(successor["name"], {})))
        self._reach("function_ready")
        yield self._task()
        yield from self._until(f"{failed} has bindings", lambda seen: not seen.get(failed, {}).get("bindings"))
        self._act("remove", lambda: placement.remove(failed))
        yield self._task()
        yield from self._order("forget", commands.Forget(failed))
        if standby:
            self._act("standby", lambda: placement.place(standby))
            yield self._task()
            yield from self._until(f"{standby['name']} is not ready", lambda seen: seen.get(standby["name"], {}).get("state") == "ready")
        if planned["abandoned"]:
            self._act("abandon", lambda: placement.remove(planned["abandoned"]))
            yield self._task()
            yield from self._order("forget", commands.Forget(planned["abandoned"]))
        if planned["deploy"]:
            self._act("placed", lambda: placement.place(successor))

    def _task(self) -> float:
        return 0.01 + self.world.rng.random() * 0.1

    def _act(self, what: str, effect: Callable[[], None]) -> None:
        """Change the world. A task asks nobody whether it may: it is the keeper that ends a late actor."""
        assert self.token is not None
        self.world.note(f"{self.name}: {what}")
        self._watcher.acted(Effect(self._operation.request_id, self.token, what))
        effect()

    def _reach(self, stage: str) -> None:
        """What comes next cannot be taken back; a late actor is refused."""
        assert self.token is not None
        answer = self.journal.stage(self._operation.request_id, self.token, stage, self.now)
        if isinstance(answer, Refused):
            raise Fenced(answer.reason)

    def _seen(self) -> dict[str, dict[str, Any]]:
        listed = self._backend.home_agents()
        if listed is None:
            raise Failed("HA-B does not answer")
        return {
            view.name: {
                "name": view.name,
                "state": view.state,
                "serving": view.serving,
                "role": view.role,
                "bindings": view.bindings,
                "proof": view.proof,
            }
            for view in listed
        }

    def _until(self, problem: str, true: Callable[[dict[str, dict[str, Any]]], bool]) -> Generator[float]:
        """Poll HA-B, which may be away for a while."""
        until = self.world.time + PATIENCE_S
        while True:
            listed = self._backend.home_agents()
            if listed is not None and true(self._seen()):
                return
            if self.world.time >= until:
                raise Failed(problem)
            yield POLL_S

    def _order(self, what: str, command: commands.Command) -> Generator[float]:
        """A command of HA-B's API, again until it is done: it may be too early, and HA-B may be away."""
        until = self.world.time + PATIENCE_S
        while True:
            answers: list[Any] = []
            self._act(what, functools.partial(self._backend.ask, command, answers.append))
            began = self.world.time
            while not answers and self.world.time < began + 2:
                yield POLL_S / 4
            answer = answers[0] if answers else None
            if answer is not None and answer.problem in ("", "not_found"):
                return
            if self.world.time >= until:
                raise Failed(f"{what}: {answer.message if answer is not None else 'HA-B does not answer'}")
            yield POLL_S


def _serves(agent: dict[str, Any]) -> bool:
    return agent.get("state") == "ready" and agent.get("role") == "active"
