"""The dispatcher's core with the operations journal and the rulebook, as dispatch/shell.py joins them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from closedloop_loop.clock import Instant
from closedloop_loop.dispatch.core import Action, Arrived, Consult, Dispatcher, Failed, Handed, HandOn, Seen, Settled
from closedloop_loop.onset import Onset
from closedloop_loop.operations.journal import Journal
from closedloop_loop.operations.model import Operation
from closedloop_loop.operations.store.interface import StoreError
from closedloop_loop.policy.inventory import Inventory
from closedloop_loop.policy.model import Policy

from tests.simulation.process import Process
from tests.simulation.world import WALL_AT_START, Clock, World


class LoopClock(Clock):
    """A node's clocks as the loop's cores want them."""

    def now(self) -> Instant:  # type: ignore[override] # the same two readings, with the loop's units
        time = self._world.time
        return Instant(time, WALL_AT_START + time + self.offset)


class Dispatching:
    """Dies with the collector. `react(operation)`: the rulebook runs the playbook."""

    def __init__(
        self,
        world: World,
        clock: LoopClock,
        journal: Journal,
        policy: Policy,
        inventory: Callable[[], Inventory],
        react: Callable[[Operation], None],
    ) -> None:
        self._world, self._journal, self._policy = world, journal, policy
        self._inventory, self._react = inventory, react
        self._takers: deque[Callable[[], None]] = deque()
        self._clock = clock
        self._process = Process(world, clock, Dispatcher(), self._apply)
        self._process.arm()

    def kill(self) -> None:
        self._process.kill()

    def take(self, onsets: list[Onset], durable: Callable[[], None]) -> None:
        """`durable` is called when all are in the journal."""
        self._takers.extend([_nothing] * (len(onsets) - 1) + [durable])
        self._process.feed(Arrived(onsets))

    def _apply(self, process: Process, action: Action) -> None:
        match action:
            case Consult():
                self._world.after(0.0005 + self._world.rng.random() * 0.003, self._consult, process, action)
            case HandOn():
                self._world.after(0.001, self._hand_on, process, action.operation)
            case Settled():
                for _ in range(action.onsets):
                    self._takers.popleft()()

    def _consult(self, process: Process, consult: Consult) -> None:
        if not process.alive:
            return
        try:
            if consult.sweep:
                self._journal.sweep(self._clock.now())
            for onset in consult.onsets:
                self._journal.submit(self._policy, onset, self._inventory(), self._clock.now())
            process.feed(Seen(list(self._journal.opened())))
        except StoreError:
            process.feed(Failed())

    def _hand_on(self, process: Process, operation: Operation) -> None:
        if process.alive:
            self._react(operation)
            process.feed(Handed(operation))


def _nothing() -> None:
    """Only the last one counts."""
