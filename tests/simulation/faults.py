"""The schedule of faults of one history, drawn from its seed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

from tests.simulation.backend import QUICK_S

if TYPE_CHECKING:
    from tests.simulation.history import History


class Faults:
    """Plans faults at random times; `end` undoes every one that lasts."""

    def __init__(self, history: History) -> None:
        self._history = history
        self.seen: Counter[str] = Counter()

    def plan(self, *, begin: float, end: float) -> None:
        world = self._history.world
        kinds = [
            self._kill_packet_processor,
            self._kill_packet_processor,
            self._kill_backend,
            self._pause_packet_processor,
            self._pause_backend,
            self._cut,
            self._reset_link,
            self._move,
            self._move,
            self._kill_mobile_node,
            self._step_clock,
            self._promote,
            self._drain,
        ]
        for _ in range(world.rng.randint(1, 9)):
            world.at(world.rng.uniform(begin, end), self._strike, world.rng.choice(kinds))

    def end(self) -> None:
        """Peace: everything runs, everything reaches everything, nobody moves."""
        history = self._history
        history.world.note("--- peace ---")
        history.conditions.calm()
        history.backend.commit_s = QUICK_S
        history.backend.resume()
        history.backend.start()
        for host in history.hosts:
            if host.process is not None and host.process.paused:
                host.process.resume()
            host.start()
        for node in history.nodes:
            if node.process is None or not node.process.alive:
                node.start()

    def _strike(self, fault: Callable[[], None]) -> None:
        self.seen[fault.__name__.lstrip("_")] += 1
        fault()

    def _lasting(self) -> float:
        return self._history.world.rng.choice([0.05, 0.4, 1.0, 3.0, 6.0]) * self._history.world.rng.uniform(0.5, 1.5)

    def _kill_packet_processor(self) -> None:
        host = self._history.world.rng.choice(self._history.hosts)
        host.kill()
        self._history.world.after(self._lasting(), host.start)

    def _kill_backend(self) -> None:
        self._history.backend.kill()
        self._history.world.after(self._lasting(), self._history.backend.start)

    def _pause_packet_processor(self) -> None:
        process = self._history.world.rng.choice(self._history.hosts).process
        if process is not None and process.alive and not process.paused:
            self._history.world.note("an HA-PP is paused")
            process.pause()
            self._history.world.after(self._lasting(), lambda: process.resume() if process.paused else None)

    def _pause_backend(self) -> None:
        self._history.backend.pause()
        self._history.world.after(self._lasting(), self._history.backend.resume)

    def _cut(self) -> None:
        name = self._history.world.rng.choice(self._history.hosts).name
        self._history.world.note(f"{name} cut off from HA-B")
        self._history.conditions.cut.add(name)
        self._history.world.after(self._lasting(), self._history.conditions.cut.discard, name)

    def _reset_link(self) -> None:
        stream = self._history.world.rng.choice(self._history.hosts).stream
        if stream is not None:
            self._history.world.note("a link is reset")
            stream.break_both()

    def _move(self) -> None:
        rng = self._history.world.rng
        rng.choice(self._history.nodes).plug(rng.choice([0, 1, 1, 2, 2]))

    def _kill_mobile_node(self) -> None:
        node = self._history.world.rng.choice(self._history.nodes)
        node.kill()
        self._history.world.after(self._lasting(), lambda: None if node.process is not None and node.process.alive else node.start())

    def _step_clock(self) -> None:
        history = self._history
        rng = history.world.rng
        clock = rng.choice([history.backend.clock, *(host.clock for host in history.hosts), *(node.clock for node in history.nodes)])
        clock.offset += rng.choice([-5.0, -0.5, 0.5, 5.0])
        history.world.note("a wall clock steps")

    def _promote(self) -> None:
        self._history.backend.promote(self._history.world.rng.choice(self._history.hosts).name)

    def _drain(self) -> None:
        self._history.backend.drain(self._history.world.rng.choice(self._history.hosts).name)
