"""Datagrams that get lost, doubled, delayed and reordered; streams that keep their order, stall behind a cut and break."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from tests.simulation.world import World


class Conditions:
    """How bad the network is; `calm` makes it good."""

    def __init__(self, world: World) -> None:
        rng = world.rng
        self.loss = rng.choice([0.0, 0.02, 0.2])
        self.doubled = rng.choice([0.0, 0.1])
        self.late = rng.choice([0.0, 0.1])
        self.cut: set[str] = set()
        """Names of HA-PP hosts that HA-B cannot reach, nor they it."""

    def calm(self) -> None:
        self.loss = self.doubled = self.late = 0.0
        self.cut.clear()


class Network:
    """The datagram side. Addresses are 16 octets; `listeners` tells who gets what is sent to one."""

    def __init__(self, world: World, conditions: Conditions) -> None:
        self._world, self._conditions = world, conditions
        self.route: Callable[[bytes], Callable[[Any], None] | None] = lambda address: None

    def send(self, destination: bytes, make: Callable[[], Any]) -> None:
        """Deliver `make()` to whoever has the address when it arrives."""
        rng, conditions = self._world.rng, self._conditions
        copies = 2 if rng.random() < conditions.doubled else 1
        for _ in range(copies):
            if rng.random() < conditions.loss:
                continue
            delay = 0.0005 + rng.random() * 0.002 + (rng.random() * 0.4 if rng.random() < conditions.late else 0.0)
            self._world.after(delay, self._arrive, destination, make)

    def _arrive(self, destination: bytes, make: Callable[[], Any]) -> None:
        receiver = self.route(destination)
        if receiver is not None:
            receiver(make())


class Stream:
    """A TCP connection between an HA-PP's host and HA-B. Each end has `receive(message)` and `closed()`."""

    def __init__(self, world: World, conditions: Conditions, host: str) -> None:
        self._world, self._conditions, self._host = world, conditions, host
        self._last = {"backend": 0.0, "packet_processor": 0.0}
        self._ends: dict[str, tuple[Callable[[Any], None], Callable[[], None]]] = {}
        self._open = {"backend": True, "packet_processor": True}
        self._on_the_way: dict[str, deque[tuple[Callable[..., None], tuple[Any, ...]]]] = {"backend": deque(), "packet_processor": deque()}

    def attach(self, side: str, receive: Callable[[Any], None], closed: Callable[[], None]) -> None:
        self._ends[side] = (receive, closed)

    def send(self, to: str, message: Any) -> None:
        """From the other end to `to`."""
        if self._open[_other(to)]:
            self._later(to, self._deliver, to, message)

    def close(self, by: str, *, drop: bool = False) -> None:
        """One end closes or its process dies. drop: what it had sent and is not there yet is lost (a reset overtakes it)."""
        if not self._open[by]:
            return
        self._open[by] = False
        if drop:
            self._on_the_way[_other(by)] = deque((_nothing, ()) for _ in self._on_the_way[_other(by)])
        self._later(_other(by), self._closed, _other(by))

    def break_both(self) -> None:
        """A middlebox resets the connection towards both ends."""
        for side in ("backend", "packet_processor"):
            self._world.after(0.001 + self._world.rng.random() * 0.01, self._closed, side)

    def _later(self, to: str, call: Callable[..., None], *args: Any) -> None:
        due = max(self._last[to], self._world.time + 0.0003 + self._world.rng.random() * 0.001)
        self._last[to] = due
        self._on_the_way[to].append((call, args))
        self._world.at(due, self._arrive, to)

    def _arrive(self, to: str) -> None:
        if self._host in self._conditions.cut:
            self._world.after(0.05, self._arrive, to)
            return
        call, args = self._on_the_way[to].popleft()
        call(*args)

    def _deliver(self, to: str, message: Any) -> None:
        if self._open[to]:
            self._ends[to][0](message)

    def _closed(self, side: str) -> None:
        if self._open[side]:
            self._open[side] = False
            self._ends[side][1]()


def _nothing() -> None:
    """Something that was lost."""


def _other(side: str) -> str:
    return "packet_processor" if side == "backend" else "backend"
