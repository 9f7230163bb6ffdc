"""What the parts of the core share: tables, sessions, timers, and the way from a change to its durable effect."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum

import msgspec

from closedloop_nf.ha_b.actions import Action, Close, Notify, Persist, Send
from closedloop_nf.ha_b.bindings import BindingTable
from closedloop_nf.ha_b.records import Change, HomeAgentRecord, MoveBindings, PutBinding, PutHomeAgent, State
from closedloop_nf.ha_b.settings import CHUNK_ROWS, RATES_VALID_S, Settings
from closedloop_nf.ha_b.timers import Timers
from closedloop_nf.link.messages import Binding, Bindings, HomeAgent, NodeRate, Registered, ToPacketProcessor
from closedloop_nf.runtime.clock import Instant


class Phase(IntEnum):
    """How far a session has come."""

    OPEN = 0
    """Connected; no Hello yet."""
    ACCEPTED = 1
    """Hello is good; its epoch is being made durable."""
    SNAPSHOT = 2
    """Welcome is sent; from here on changes are pushed."""
    SENT = 3
    """SnapshotDone is sent."""
    SYNCED = 4


@dataclass(slots=True)
class Session:
    """One connection."""

    conn: int
    peer: str
    identity: str | None
    phase: Phase = Phase.OPEN
    name: str = ""
    epoch: int = 0
    heard: float = 0.0
    """Monotonic second of its last heartbeat."""
    beaten: bool = False
    """A heartbeat has come."""
    socket_open: bool = False
    ready: bool = False
    judged: bool = False
    """It was said whether it is ready: also of one that comes without its socket."""
    writable: bool = True
    snapshot: deque[bytes] = field(default_factory=deque)
    """Home addresses still to be sent."""
    lingering: int = 0
    """Home addresses that are another's already and still forwarded, as its last heartbeat said."""
    measuring: dict[bytes, NodeRate] = field(default_factory=dict)
    """Rates that have come so far of a report that is not complete."""
    rates: dict[bytes, NodeRate] = field(default_factory=dict)
    """The last complete report: rates of the mobile nodes that had traffic."""
    measured_at: float = float("-inf")
    """Monotonic second of that report."""

    def measured(self, mono: float) -> dict[bytes, NodeRate]:
        """The rates, as long as they are recent."""
        return self.rates if mono - self.measured_at <= RATES_VALID_S else {}


@dataclass(slots=True)
class HomeAgentState:
    """An HA-PP by name: its durable record and what is known of it now."""

    record: HomeAgentRecord
    conn: int | None = None
    """Its session in force."""
    lease_until: float = 0.0
    """Monotonic second at which no process of this name can be serving any more, unless it beats again."""
    proof: str = ""
    """Why it is certain that it serves nothing: bye, relinquished, lease_ended, process_gone, replaced, fenced. Empty: it may serve."""
    proven_at: float = 0.0
    adopting: int = 0
    """Takeovers that are not durable yet: an HA-B that is killed before knows nothing of them."""
    lost_at: float = 0.0
    refusals: int = 0
    probes: int = 0
    old_instances: deque[str] = field(default_factory=lambda: deque(maxlen=8))
    """Processes replaced or fenced: they must not come back."""


@dataclass(slots=True)
class _Batch:
    number: int
    rows: list[Binding]
    origin: int | None
    """Connection that knows the rows already."""
    effects: list[Send | Callable[[], None]]


class World:
    """Shared state. `now` is the instant of the step in progress; `out` collects its actions."""

    def __init__(self, settings: Settings, state: State, now: Instant) -> None:
        self.settings = settings
        self.now = now
        self.out: list[Action] = []
        self.timers = Timers()
        self.revision = state.revision
        self.epoch = state.epoch
        self.bindings = BindingTable(state.bindings)
        self.keys: dict[bytes, dict[int, bytes]] = {}
        for association in state.associations:
            self.keys.setdefault(association.home_address, {})[association.spi] = association.key
        self.agents = {record.name: HomeAgentState(record) for record in sorted(state.home_agents, key=lambda record: record.name)}
        self.sessions: dict[int, Session] = {}
        self.home_agents: list[HomeAgent] = []
        self.registrations: Counter[int] = Counter()
        """Answers by status."""
        self.events: Counter[str] = Counter()
        self.adoption_seconds: list[float] = []
        """Durations from proof to durable adoption, not yet taken by the metrics."""
        self.committed_revision = state.revision
        self.rows_pushed = 0
        self._batch = 0
        self._pending: deque[_Batch] = deque()

    # --- immediate actions -------------------------------------------------------------------------------------------

    def send(self, conn: int, message: ToPacketProcessor) -> None:
        """Send where the session is still there."""
        if conn in self.sessions:
            self.out.append(Send(conn, message))

    def close(self, conn: int, reason: str) -> None:
        self.out.append(Close(conn, reason))

    def notify(self, kind: str, name: str = "", **details: str | int | float) -> None:
        self.events[kind] += 1
        self.out.append(Notify(kind, name, self.now.wall, details))

    # --- durable changes ---------------------------------------------------------------------------------------------

    def next_revision(self) -> int:
        self.revision += 1
        return self.revision

    def persist(self, changes: list[Change], rows: list[Binding], *effects: Send | Callable[[], None], origin: int | None = None) -> None:
        """Stage a batch. When it is durable its rows are pushed to every session but `origin`, then the effects happen."""
        self._batch += 1
        for row in rows:
            self.bindings.stage(row)
        self._pending.append(_Batch(self._batch, rows, origin, list(effects)))
        self.out.append(Persist(self._batch, changes, self.revision, self.epoch))

    def put_bindings(self, rows: list[Binding], *effects: Send | Callable[[], None], origin: int | None = None) -> None:
        """`persist` of rows that are already numbered."""
        self.persist([PutBinding(row) for row in rows], rows, *effects, origin=origin)

    def move_bindings(self, previous: str, owner: str, epoch: int) -> tuple[MoveBindings, list[Binding]]:
        """The change that gives every live row of `previous` to `owner`, and the rows as they will be."""
        revision = self.next_revision()
        rows = []
        for home_address in self.bindings.owned(previous):
            row = self.bindings.known(home_address)
            assert row is not None  # owned() names known rows only
            rows.append(msgspec.structs.replace(row, owner=owner, epoch=epoch, revision=revision))
        return MoveBindings(previous, owner, epoch, revision), rows

    def put_record(self, record: HomeAgentRecord) -> PutHomeAgent:
        """Change an HA-PP's record; the change is yet to be persisted."""
        self.agents[record.name].record = record
        return PutHomeAgent(record)

    def after_commit(self, effect: Send | Callable[[], None]) -> None:
        """Let the effect happen when everything staged so far is durable: now, if nothing waits."""
        if self._pending:
            self._pending[-1].effects.append(effect)
        elif callable(effect):
            effect()
        else:
            self.send(effect.conn, effect.message)

    def persisted(self, batch: int) -> None:
        """Batches up to this number are durable: push their rows, let their effects happen, in order; but answers go out before rows."""
        push: list[tuple[int | None, Binding]] = []
        told: dict[tuple[int, bytes], int] = {}
        """Of which row, by its revision, an answer has told a connection."""
        while self._pending and self._pending[0].number <= batch:
            done = self._pending.popleft()
            self.bindings.commit(done.rows)
            if done.rows:
                self.committed_revision = max(self.committed_revision, done.rows[-1].revision)
                push.extend((done.origin, row) for row in done.rows)
            for effect in done.effects:
                if isinstance(effect, Send):
                    if isinstance(effect.message, Registered):
                        told.update(
                            {(effect.conn, row.home_address): row.revision for row in done.rows if row.revision == effect.message.revision}
                        )
                    else:
                        self._push(push, told)
                    self.send(effect.conn, effect.message)
                else:
                    self._push(push, told)
                    effect()
        self._push(push, told)

    def _push(self, changes: list[tuple[int | None, Binding]], told: dict[tuple[int, bytes], int]) -> None:
        """Send committed rows to every session that follows: what it does not know yet, nothing older than what it was told. Empties it."""
        if not changes:
            return
        for session in self.sessions.values():
            if session.phase >= Phase.SNAPSHOT:
                conn = session.conn
                rows = [row for origin, row in changes if origin != conn and row.revision >= told.get((conn, row.home_address), 0)]
                self.rows_pushed += len(rows)
                for start in range(0, len(rows), CHUNK_ROWS):
                    self.out.append(Send(conn, Bindings(rows[start : start + CHUNK_ROWS])))
        changes.clear()

    # --- home agents -------------------------------------------------------------------------------------------------

    def session_of(self, name: str) -> Session | None:
        """The session in force of an HA-PP."""
        agent = self.agents.get(name)
        return self.sessions.get(agent.conn) if agent is not None and agent.conn is not None else None

    def serving(self) -> list[HomeAgentState]:
        """HA-PPs that serve or whose succession is open, by name."""
        return [agent for _, agent in sorted(self.agents.items()) if agent.record.serving]

    def broadcast(self, message: ToPacketProcessor) -> None:
        """To every session that follows changes."""
        for session in self.sessions.values():
            if session.phase >= Phase.SNAPSHOT:
                self.out.append(Send(session.conn, message))
