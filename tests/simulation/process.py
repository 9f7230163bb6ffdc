"""A process that runs one core: it can be paused, killed and started anew; its timer is the core's deadline."""

from __future__ import annotations

from collections import deque
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
        self._deadline: float | None = None
        """The core's, as of its last step."""
        self._armed: float | None = None
        """When the world calls; any other call that is on its way is void."""
        self._busy = False
        self._queue: deque[Any] = deque()

    def feed(self, event: Any) -> None:
        """Hand an input to the core; a paused process gets it when it goes on, a dead one never."""
        if not self.alive:
            return
        if self.paused:
            self._held.append(event)
            return
        if self._busy:
            self._queue.append(event)
            return
        self._run(self.core.handle, event)

    def kill(self) -> None:
        self.alive = False

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        self.paused = False
        self._armed = None
        held, self._held = self._held, []
        for event in held:
            self.feed(event)
        if self.alive and self.core.deadline() is not None:
            self._run(self.core.tick)

    def arm(self) -> None:
        """Ask the world to call at the core's deadline."""
        deadline = self._deadline = self.core.deadline()
        if deadline is not None and (self._armed is None or deadline < self._armed):
            self._armed = deadline
            self.world.at(deadline, self._due, deadline)

    def _due(self, armed: float) -> None:
        if armed != self._armed or not self.alive or self.paused:
            return
        self._armed = None
        deadline = self._deadline
        if deadline is None:
            return
        if deadline <= self.world.time:
            self._run(self.core.tick)
        else:
            self._armed = deadline
            self.world.at(deadline, self._due, deadline)

    def _run(self, step: Callable[..., Any], *event: Any) -> None:
        """One step of the core, and those that its actions lead to at once."""
        self._busy = True
        now = self.clock.now()
        for action in step(*event, now):
            self._apply(self, action)
            if not self.alive:
                return
        while self._queue:
            for action in self.core.handle(self._queue.popleft(), now):
                self._apply(self, action)
                if not self.alive:
                    return
        self._busy = False
        self.arm()
