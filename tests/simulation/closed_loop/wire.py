"""HTTPS between functions and the collector: a request or its answer may get lost, a request may come twice or late, a function may be
cut off. Whoever hears nothing gives up after PATIENCE_S."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from closedloop_nf.ves.client import PATIENCE_S
from closedloop_nf.ves.delivery import Verdict

from tests.simulation.network import Conditions
from tests.simulation.world import World


class Listener(Protocol):
    """The collector's port."""

    @property
    def listening(self) -> bool: ...

    def receive(self, bodies: list[bytes], reply: Callable[[Verdict], None]) -> None: ...


class Wire:
    """All functions' way to one collector."""

    def __init__(self, world: World, conditions: Conditions, listener: Listener) -> None:
        self._world, self._conditions, self._listener = world, conditions, listener
        self.cut: set[str] = set()
        """Functions that cannot reach the collector."""
        self.lost = self.doubled = 0

    def post(self, sender: str, bodies: list[bytes], answer: Callable[[Verdict], None]) -> None:
        """`answer` is called once."""
        world, rng, conditions = self._world, self._world.rng, self._conditions
        answered = False

        def once(verdict: Verdict) -> None:
            nonlocal answered
            if not answered:
                answered = True
                answer(verdict)

        def reply(verdict: Verdict) -> None:
            if sender in self.cut or rng.random() < conditions.loss / 2:
                self.lost += 1
            else:
                world.after(self._delay(), once, verdict)

        def arrive() -> None:
            if sender in self.cut:
                return
            if self._listener.listening:
                self._listener.receive(bodies, reply)
            else:
                reply(Verdict.UNAVAILABLE)

        world.after(PATIENCE_S, once, Verdict.UNAVAILABLE)
        copies = 2 if rng.random() < conditions.doubled else 1
        self.doubled += copies - 1
        for _ in range(copies):
            if rng.random() < conditions.loss / 2:
                self.lost += 1
            else:
                world.after(self._delay(), arrive)

    def _delay(self) -> float:
        rng = self._world.rng
        return 0.0005 + rng.random() * 0.002 + (rng.random() * 2.0 if rng.random() < self._conditions.late else 0.0)
