"""A process that runs one core: it can be paused, killed and started anew; its timer is the core's deadline."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.simulation.world import Clock, World


class Process:
    """`core` is any object with handle, tick and deadline; `apply(process, action)` carries out one action."""

    def __init__(self, world: World, clock: Clock, core: Any, apply: Callable[[Process, Any], None]) -> None:
        self.world, self.clock, self.core = world, clock, core
        self.alive = True
        self.paused = False
        self._apply = apply
        self._held: list[Any] = []
        self._armed: float | None = None
        self._busy = False
        self._queue: list[Any] = []

    def feed(self, event: Any) -> None:
        """Hand an input to the core; a paused process gets it when it goes on, a dead one never."""
        if not self.alive:
            return
        if self.paused:
            self._held.append(event)
            return
        self._queue.append(event)
        if self._busy:
            return
        self._busy = True
        while self._queue and self.alive:
            self._carry_out(self.core.handle(self._queue.pop(0), self.clock.now()))
        self._busy = False
        self.arm()

    def kill(self) -> None:
        self.alive = False

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        self.paused = False
        held, self._held = self._held, []
        for event in held:
            self.feed(event)
        self._due(force=True)

    def arm(self) -> None:
        """Ask the world to call at the core's deadline."""
        deadline = self.core.deadline()
        if deadline is None or not self.alive:
            self._armed = None
        elif self._armed is None or deadline < self._armed or self._armed < self.world.time:
            self._armed = deadline
            self.world.at(deadline, self._due)

    def _due(self, force: bool = False) -> None:
        if not self.alive or self.paused:
            return
        deadline = self.core.deadline()
        self._armed = None
        if deadline is not None and (force or deadline <= self.world.time):
            self._busy = True
            self._carry_out(self.core.tick(self.clock.now()))
            while self._queue and self.alive:
                self._carry_out(self.core.handle(self._queue.pop(0), self.clock.now()))
            self._busy = False
        self.arm()

    def _carry_out(self, actions: Any) -> None:
        for action in actions:
            if not self.alive:
                return
            self._apply(self, action)
