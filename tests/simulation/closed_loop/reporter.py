"""Reporting of one function: the cores of closedloop_nf.ves joined as reporter.py does, with a simulated disk and client."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from typing import Protocol

import msgspec
from closedloop_nf.ves.author import Author, Memory, Written
from closedloop_nf.ves.delivery import Delivery, Verdict
from closedloop_nf.ves.measurement import Reading
from closedloop_nf.ves.schedule import Action, Begin, Emit, End, Measure, Reporting
from closedloop_nf.ves.spool import Left

from tests.simulation.process import Process
from tests.simulation.world import Clock, World


class Spool:
    """The queue's file. It survives the process, and may be full."""

    def __init__(self) -> None:
        self.events: dict[int, Written] = {}
        self.memory: bytes | None = None
        self.number = 0
        self.full = False

    def load(self) -> Left:
        memory = Memory() if self.memory is None else msgspec.json.decode(self.memory, type=Memory)
        return Left(sorted(self.events.values()), memory, self.number)

    def write(self, events: Iterable[Written], gone: Iterable[int], number: int | None, memory: bytes | None) -> bool:
        """One transaction; False where the disk refuses it."""
        if self.full:
            return False
        self.events.update((event.number, event) for event in events)
        for finished in gone:
            self.events.pop(finished, None)
        self.number = number or self.number
        self.memory = memory or self.memory
        return True


class Wire(Protocol):
    """The way to the collector."""

    def post(self, sender: str, bodies: list[bytes], answer: Callable[[Verdict], None]) -> None: ...


class Reporter:
    """Lives as long as its function's process."""

    def __init__(
        self,
        world: World,
        clock: Clock,
        spool: Spool,
        wire: Wire,
        *,
        name: str,
        function: str,
        core: Callable[[Author], Reporting],
        measure: Callable[[], Reading] | None = None,
    ) -> None:
        """measure: where it does."""
        self._measure = measure
        self._world, self._clock, self._spool, self._wire, self._name = world, clock, spool, wire, name
        left = spool.load()
        self._author = Author(name, function, left.memory, max(left.number, int(clock.now().wall * 1_000_000)))
        self._delivery = Delivery(10_000, random.Random(world.rng.random()), left.events)
        self._process = Process(world, clock, core(self._author), self._apply)
        self._staged: list[Written] = []
        self._written_at = 0.0
        self._sending = False
        self._wake_at: float | None = None
        self.feed(Begin())
        self._send()

    @property
    def alive(self) -> bool:
        return self._process.alive

    @property
    def waiting(self) -> int:
        """Events that the collector has not taken yet."""
        return len(self._delivery)

    def feed(self, event: object) -> None:
        self._process.feed(event)

    def kill(self) -> None:
        self._process.kill()

    def stop(self) -> None:
        """The function ends in order: its last word is written down, and sent where the collector answers at once."""
        self.feed(End())
        self._flush()
        self._world.after(0.5, self.kill)

    def _apply(self, process: Process, action: Action) -> None:
        if isinstance(action, Emit):
            if not self._staged:
                self._world.after(0, self._flush)
            self._staged += action.events
        elif isinstance(action, Measure) and self._measure is not None:
            self._world.after(0.002, lambda: self.feed(self._measure()) if self.alive else None)

    # --- disk --------------------------------------------------------------------------------------------------------

    def _flush(self) -> None:
        events, self._staged = self._staged, []
        if not events or not self.alive:
            return
        dropped = self._delivery.add(events, self._world.time)
        memory = msgspec.json.encode(self._author.memory) if self._author.changed else None
        self._author.changed = False
        kept = [event for event in events if event.number not in dropped]
        self._later(self._store, kept, dropped, events[-1].number, memory)

    def _later(self, call: Callable[..., None], *args: object) -> None:
        """The disk's thread does one thing after another."""
        self._written_at = max(self._written_at, self._world.time) + 0.0005 + self._world.rng.random() * 0.003
        self._world.at(self._written_at, call, *args)

    def _store(self, events: list[Written], gone: list[int], number: int, memory: bytes | None) -> None:
        if not self.alive:
            return
        if not self._spool.write(events, gone, number, memory) and memory is not None:
            self._author.changed = True
        self._delivery.stored(number)
        self._send()

    def _forget(self, finished: list[int]) -> None:
        if self.alive:
            self._spool.write((), finished, None, None)

    # --- collector ---------------------------------------------------------------------------------------------------

    def _send(self) -> None:
        if not self.alive or self._sending:
            return
        post = self._delivery.begin(self._world.time)
        if post is not None:
            self._sending = True
            self._wire.post(self._name, [event.body for event in post.events], self._answered)
            return
        due = self._delivery.deadline()
        if due is not None and due != self._wake_at:
            self._wake_at = due
            self._world.at(due, self._send)

    def _answered(self, verdict: Verdict) -> None:
        if not self.alive:
            return
        self._sending = False
        finished = self._delivery.answered(verdict, self._world.time)
        if finished:
            self._later(self._forget, finished)
        self._send()
