"""Time and chance of one simulated history."""

from __future__ import annotations

import random
from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any

from closedloop_nf.runtime.clock import Instant

WALL_AT_START = 1_800_000_000.0
STEPS_AT_MOST = 200_000
"""More events than this in one history means that two nodes talk in circles."""


class Livelock(AssertionError):
    """The history does not end."""


class World:
    """An event queue. Everything random comes from `rng`, everything timed from `time` (true monotonic seconds)."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.rng = random.Random(seed)
        self.time = 1000.0
        self.steps = 0
        self.check: Callable[[], None] = lambda: None
        """The invariants of every moment; called after each step that set `changed`."""
        self.changed = False
        """Something has begun that an invariant forbids, or may have."""
        self.trace: list[str] | None = None
        self._queue: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._order = 0

    def at(self, time: float, call: Callable[..., None], *args: Any) -> None:
        """Call at a true time; ties keep the order in which they were asked for."""
        self._order += 1
        heappush(self._queue, (time if time > self.time else self.time, self._order, call, args))

    def after(self, delay: float, call: Callable[..., None], *args: Any) -> None:
        """Call in so many seconds, none of them negative."""
        self._order += 1
        heappush(self._queue, (self.time + delay, self._order, call, args))

    def run(self, until: float) -> None:
        """Run events up to a true time, checking the invariants after each that could break one."""
        queue, pop = self._queue, heappop
        steps = self.steps
        while queue and queue[0][0] <= until:
            self.time, _, call, args = pop(queue)
            call(*args)
            steps += 1
            if self.changed:
                self.changed = False
                self.check()
            if steps > STEPS_AT_MOST:
                raise Livelock(f"more than {STEPS_AT_MOST} steps")
        self.steps = steps
        self.time = until

    def note(self, *words: object) -> None:
        """One line of the history, kept only when it is replayed for reading; what is costly to write out is given as it is."""
        if self.trace is not None:
            self.trace.append(f"{self.time - 1000:9.4f} {' '.join(map(str, words))}")


class Clock:
    """A node's two clocks: monotonic is the world's, wall may be stepped."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.offset = 0.0

    def now(self) -> Instant:
        time = self._world.time
        return Instant(time, WALL_AT_START + time + self.offset)
