"""HA-B as one deterministic state machine: inputs of `inputs.py` in, actions of `actions.py` out.

sessions    who is connected, from Hello to the last heartbeat
registrar   registrations, one at a time per home address
ownership   leases, proofs of death, adoption
operator    commands of the API
world       the tables they share, and the way from a change to its durable effect
"""

from __future__ import annotations

from typing import assert_never

from closedloop_nf.ha_b.actions import Action
from closedloop_nf.ha_b.inputs import Input, LinkClosed, LinkMessage, LinkOpened, LinkWritable, Persisted, ProbeResult, Request
from closedloop_nf.ha_b.operator import Operator
from closedloop_nf.ha_b.ownership import Ownership
from closedloop_nf.ha_b.records import State
from closedloop_nf.ha_b.registrar import EXPIRY, Registrar
from closedloop_nf.ha_b.sessions import Sessions
from closedloop_nf.ha_b.settings import Settings
from closedloop_nf.ha_b.timers import Key
from closedloop_nf.ha_b.world import Phase, Session, World
from closedloop_nf.link import messages
from closedloop_nf.runtime.clock import Instant


class StateConflict(ValueError):
    """What the store holds does not fit the configuration."""


class Backend:
    """One HA-B process from start to end, beginning with what the store held."""

    def __init__(self, settings: Settings, state: State, now: Instant) -> None:
        self.world = World(settings, state, now)
        self.registrar = Registrar(self.world)
        self.ownership = Ownership(self.world, self.registrar)
        self.sessions = Sessions(self.world, self.registrar, self.ownership)
        self.operator = Operator(self.world, self.registrar, self.ownership, self.sessions)
        serving = [agent.record.name for agent in self.world.serving()]
        if settings.shared and len(serving) > 1:
            raise StateConflict(
                f"address_mode is shared but {', '.join(serving)} serve at their own addresses; run with per_instance and drain all but one"
            )
        self.ownership.begin(state.lease_ms)

    def deadline(self) -> float | None:
        """Monotonic second of the next tick wanted; None: none."""
        if self.world.out:  # probes of the start
            return self.world.now.mono
        return self.world.timers.next()

    def tick(self, now: Instant) -> list[Action]:
        world = self.world
        world.now = now
        due = world.timers.next()
        late = due is not None and now.mono - due > world.settings.beat_ms / 1000
        for key in world.timers.due(now.mono):
            self._fire(key, late=late)
        return self._take()

    def handle(self, event: Input, now: Instant) -> list[Action]:
        world = self.world
        world.now = now
        match event:
            case LinkMessage():
                session = world.sessions.get(event.conn)
                if session is not None:
                    self._message(session, event.message)
            case Persisted():
                world.persisted(event.batch)
            case LinkOpened():
                self.sessions.opened(event.conn, event.peer, event.identity)
            case LinkClosed():
                session = world.sessions.get(event.conn)
                if session is not None:
                    self.sessions.closed(session, "reset" if event.reset else "closed")
            case LinkWritable():
                session = world.sessions.get(event.conn)
                if session is not None:
                    self.sessions.writable(session, event.writable)
            case ProbeResult():
                self.ownership.probed(event.name, event.instance, refused=event.refused)
            case Request():
                self.operator.request(event.request, event.command)
            case _:
                assert_never(event)
        return self._take()

    def _take(self) -> list[Action]:
        actions, self.world.out = self.world.out, []
        return actions

    def _message(self, session: Session, message: messages.ToBackend) -> None:
        if isinstance(message, messages.Hello) != (session.phase is Phase.OPEN) or session.phase is Phase.ACCEPTED:
            self.sessions.end(session, "out_of_turn")
            return
        match message:
            case messages.Register():
                self.registrar.register(session, message)
            case messages.Beat():
                self.sessions.beat(session, message)
            case messages.Traffic():
                self.sessions.traffic(session, message)
            case messages.Revoked():
                self.registrar.revoked(session, message.home_address)
            case messages.Hello():
                self.sessions.hello(session, message)
            case messages.Synced():
                self.sessions.synced(session, message)
            case messages.Relinquished():
                self.ownership.relinquished(session)
            case messages.Bye():
                self.sessions.bye(session, message.reason)
            case _:
                assert_never(message)

    def _fire(self, key: Key, *, late: bool) -> None:
        """A timer is due. late: this process was held up; a heartbeat may be waiting unread, so silence is not yet held against anybody."""
        world = self.world
        of = key.of
        if key == EXPIRY:
            self.registrar.expire()
        elif isinstance(of, int):
            session = world.sessions.get(of)
            if session is None:
                return
            if key.kind == "snapshot":
                self.sessions.snapshot(session)
            elif late:
                world.timers.set(key, world.now.mono + world.settings.beat_ms / 1000)
            else:
                self.sessions.silent(session)
        elif isinstance(of, bytes):
            owner = self.registrar.overdue(of)
            if owner is not None:
                self.sessions.end(owner, "revoke_unanswered")
        elif key.kind == "lease":
            self.ownership.lease_due(of)
        elif key.kind == "probe":
            self.ownership.probe(of)
        elif key.kind == "drain":
            self.operator.drain_due(of)
        elif key.kind == "relinquish":
            session = world.session_of(of)
            if session is not None:
                self.sessions.end(session, "relinquish_unanswered")
        else:
            raise AssertionError(f"timer of unknown kind {key.kind!r}")
