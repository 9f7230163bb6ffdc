"""A core on a bench: fake HA-PPs, a clock that is set by hand, a store that commits when told."""

from __future__ import annotations

from typing import Any, TypeVar

from closedloop_nf.ha_b.actions import Action, Close, Notify, Persist, Probe, Reply, Send
from closedloop_nf.ha_b.commands import Command
from closedloop_nf.ha_b.core import Backend
from closedloop_nf.ha_b.inputs import Input, LinkClosed, LinkMessage, LinkOpened, Persisted, ProbeResult, Request
from closedloop_nf.ha_b.records import State
from closedloop_nf.ha_b.settings import Settings
from closedloop_nf.link import messages as m
from closedloop_nf.runtime.addresses import from_text
from closedloop_nf.runtime.clock import Instant

A = TypeVar("A")
PREFIX = from_text("2001:db8:1::")
TOKEN = b"let-me-in"
SHARED = from_text("2001:db8:1::1")
WALL = 1_800_000_000.0


def home(number: int) -> bytes:
    """A home address."""
    return PREFIX[:8] + number.to_bytes(8, "big")


def care_of(number: int) -> bytes:
    return from_text("2001:db8:2::")[:8] + number.to_bytes(8, "big")


def settings(**changes: Any) -> Settings:
    return Settings(**{"home_prefixes": ((PREFIX, 64),), "token": TOKEN, **changes})


class Bench:
    """`auto`: every Persist is committed at once; otherwise by `commit()`."""

    def __init__(self, state: State | None = None, *, auto: bool = True, **changes: Any) -> None:
        self.time = 0.0
        self.auto = auto
        self.actions: list[Action] = []
        self.persists: list[Persist] = []
        self.core = Backend(settings(**changes), state or State(), self.now)
        self._conn = 0
        self._request = 0
        self.run_due()

    @property
    def now(self) -> Instant:
        return Instant(1000.0 + self.time, WALL + self.time)

    # --- driving ---

    def feed(self, event: Input) -> list[Action]:
        return self._collect(self.core.handle(event, self.now))

    def run_due(self) -> None:
        """Fire every timer that is due."""
        for _ in range(1000):
            due = self.core.deadline()
            if due is None or due > self.now.mono:
                return
            self._collect(self.core.tick(self.now))
        raise AssertionError("the core's deadline does not move on")

    def advance(self, seconds: float) -> None:
        """Let time pass, firing timers when they are due."""
        end = self.time + seconds
        while True:
            due = self.core.deadline()
            if due is None or due - 1000.0 > end:
                break
            self.time = max(self.time, due - 1000.0)
            self._collect(self.core.tick(self.now))
        self.time = end

    def _collect(self, actions: list[Action]) -> list[Action]:
        self.actions += actions
        self.persists += [action for action in actions if isinstance(action, Persist)]
        if self.auto and self.persists:
            return actions + self.commit()
        return actions

    def commit(self, count: int | None = None) -> list[Action]:
        """Make the first `count` waiting batches (all) durable."""
        done = self.persists[: len(self.persists) if count is None else count]
        del self.persists[: len(done)]
        return self.feed(Persisted(done[-1].batch)) if done else []

    def command(self, command: Command) -> Reply:
        self._request += 1
        self.feed(Request(self._request, command))
        return next(action for action in self.of(Reply) if action.request == self._request)

    # --- what came out ---

    def of(self, type_: type[A]) -> list[A]:
        return [action for action in self.actions if isinstance(action, type_)]

    def sent(self, conn: int, type_: type[A]) -> list[A]:
        """Messages of a type to a connection, since the last `clear`."""
        return [action.message for action in self.of(Send) if action.conn == conn and isinstance(action.message, type_)]

    def events(self, kind: str) -> list[Notify]:
        return [event for event in self.of(Notify) if event.kind == kind]

    def clear(self) -> None:
        self.actions.clear()

    def closed(self, conn: int) -> bool:
        return any(action.conn == conn for action in self.of(Close))

    # --- HA-PPs ---

    def open(self, identity: str | None = None) -> int:
        self._conn += 1
        self.feed(LinkOpened(self._conn, "2001:db8:9::1", identity))
        return self._conn

    def say(self, conn: int, message: m.ToBackend) -> None:
        self.feed(LinkMessage(conn, message))

    def hello(self, conn: int, name: str, **changes: Any) -> None:
        values: dict[str, Any] = {
            "name": name,
            "instance": name + "-1",
            "host_id": "host-" + name,
            "region": "region",
            "address": care_of(sum(name.encode())),
            "home_link_address": home(sum(name.encode()) << 32),
            "health_port": 8000,
            "role": "active",
            "token": TOKEN.decode(),
        }
        self.say(conn, m.Hello(**{**values, **changes}))

    def join(self, name: str, **changes: Any) -> int:
        """A session from Hello to ready."""
        conn = self.open()
        self.hello(conn, name, **changes)
        self.run_due()
        self.say(conn, m.Synced(0))
        self.beat(conn)
        return conn

    def beat(self, *conns: int, open: bool = True) -> None:
        for conn in conns:
            self.say(conn, m.Beat(1, open))

    def live(self, seconds: float, *conns: int) -> None:
        """Time passes while these HA-PPs beat."""
        steps = max(1, round(seconds / 0.1))
        for _ in range(steps):
            self.advance(seconds / steps)
            self.beat(*conns)

    def lose(self, conn: int, *, reset: bool = True) -> None:
        self.feed(LinkClosed(conn, reset))

    def answer_probes(self, *, refused: bool) -> None:
        """Answer the probes asked for since the last `clear`, and those that follow within 10 ms."""
        for _ in range(3):
            probes = self.of(Probe)
            self.actions = [action for action in self.actions if not isinstance(action, Probe)]
            for probe in probes:
                self.feed(ProbeResult(probe.name, probe.instance, refused))
            self.advance(0.005)

    def ask(self, conn: int, number: int, sequence: int, **changes: Any) -> None:
        """Register home(number); the answer may come later."""
        values: dict[str, Any] = {
            "transaction": sequence,
            "home_address": home(number),
            "care_of_address": care_of(1),
            "sequence": sequence & 0xFFFF,
            "lifetime_s": 400,
            "flags": 0xC000,
            "timestamp": 0,
        }
        self.say(conn, m.Register(**{**values, **changes}))

    def register(self, conn: int, number: int, sequence: int, **changes: Any) -> m.Registered:
        """Register home(number), which is answered at once."""
        before = len(self.sent(conn, m.Registered))
        self.ask(conn, number, sequence, **changes)
        (answer,) = self.sent(conn, m.Registered)[before:]
        return answer

    def owner(self, number: int) -> str | None:
        """Owner of the committed binding."""
        row = self.core.world.bindings.committed.get(home(number))
        return row.owner if row is not None and row.lifetime_s else None
