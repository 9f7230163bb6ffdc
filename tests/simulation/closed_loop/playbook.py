"""An actor: a reaction playbook as a process that may be killed or held up between any two of its tasks.

A keeper watches it and tells the journal when it has died, unless that one is killed too; then the lease ends by itself. The keeper also
kills it when the journal has given the operation to another.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator

from ansible.errors import AnsibleFilterError
from closedloop_loop.clock import Instant
from closedloop_loop.operations.journal import Journal
from closedloop_loop.operations.keeper import RENEW_S, RETRY_S
from closedloop_loop.operations.model import Operation, Refused
from closedloop_loop.operations.store.interface import StoreError

from tests.simulation.backend import Backend
from tests.simulation.closed_loop.dispatching import LoopClock
from tests.simulation.closed_loop.placement import Placement
from tests.simulation.closed_loop.reactions import REACTIONS
from tests.simulation.closed_loop.tasks import Failed, Fenced, Tasks, Watcher
from tests.simulation.world import World

LEASE_S = 3.0
KEEPER_S = 0.01


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
        tasks = Tasks(self.world, self.clock, self.journal, self._backend, self._placement, self._watcher, claimed, self.name)
        try:
            yield from REACTIONS[claimed.action](tasks)
        except (Failed, AnsibleFilterError) as failure:
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
