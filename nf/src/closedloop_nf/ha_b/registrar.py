"""Registrations: judged, serialised per home address, durable before they are answered.

An address owned by another HA-PP changes hands only when that one has stopped serving it: it answers Revoke, or there is a proof of its
end. Requests wait for that in a `Transfer`.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Final

import msgspec

from closedloop_nf.ha_b import admission
from closedloop_nf.ha_b.actions import Send
from closedloop_nf.ha_b.records import PurgeBindings
from closedloop_nf.ha_b.settings import CHUNK_ROWS, TOMBSTONE_S
from closedloop_nf.ha_b.timers import Key
from closedloop_nf.ha_b.world import Phase, Session, World
from closedloop_nf.link.messages import Binding, Bindings, Register, Registered, Revoke

MAX_WAITING: Final = 8
"""Requests that may wait for one address."""
EXPIRY: Final = Key("expiry")


@dataclass(slots=True)
class Transfer:
    """An address on its way from `owner` to whoever asked first."""

    owner: str
    waiting: deque[tuple[int, Register]] = field(default_factory=deque)


class Registrar:
    def __init__(self, world: World) -> None:
        self._world = world
        self._transfers: dict[bytes, Transfer] = {}
        self.arm_expiry()

    # --- requests ----------------------------------------------------------------------------------------------------

    def register(self, session: Session, request: Register) -> None:
        world = self._world
        agent = world.agents[session.name]
        if not agent.record.serving or agent.proof:
            self._answer(session, request, admission.NOT_HOME_AGENT)
        elif session.phase is not Phase.SYNCED:
            self._answer(session, request, admission.INSUFFICIENT_RESOURCES)
        elif not world.settings.in_home_prefix(request.home_address):
            self._answer(session, request, admission.NOT_HOME_SUBNET)
        elif (transfer := self._transfers.get(request.home_address)) is not None:
            self._wait(transfer, session, request)
        else:
            self._consider(session, request, released="")

    def _consider(self, session: Session, request: Register, released: str) -> None:
        """Judge and, if good, make durable. released: HA-PP that has just stopped serving this address."""
        world = self._world
        known = world.bindings.known(request.home_address)
        verdict = admission.judge(
            known, request, owner=session.name, epoch=session.epoch, wall=world.now.wall, limit_s=world.settings.max_lifetime_s
        )
        if verdict.row is None:
            revision = known.revision if known is not None else world.revision
            self._answer(session, request, verdict.status, verdict.lifetime_s, verdict.sequence, revision, verdict.timestamp)
            return
        if verdict.lifetime_s and (known is None or known.owner != session.name):
            if world.agents[session.name].record.draining:
                self._answer(session, request, admission.INSUFFICIENT_RESOURCES)
                return
            if known is not None and known.owner != released and not self._has_stopped(known.owner):
                self._begin_transfer(known.owner, session, request)
                return
        revision = world.next_revision()
        if verdict.lifetime_s:
            row = msgspec.structs.replace(verdict.row, revision=revision)
        else:
            row = admission.tombstone(verdict.row, revision, world.now.wall + TOMBSTONE_S)
        answer = Registered(request.transaction, verdict.status, verdict.lifetime_s, verdict.sequence, revision)
        world.registrations[verdict.status] += 1
        own = known is None or known.owner == session.name or verdict.lifetime_s > 0
        world.put_bindings([row], Send(session.conn, answer), origin=session.conn if own else None)
        self.arm_expiry()

    def _answer(
        self,
        session: Session,
        request: Register,
        status: int,
        lifetime_s: int = 0,
        sequence: int | None = None,
        revision: int = 0,
        timestamp: int = 0,
    ) -> None:
        """Answer without a change, after what the answer relies on is durable."""
        self._world.registrations[status] += 1
        answer = Registered(
            request.transaction, status, lifetime_s, request.sequence if sequence is None else sequence, revision, timestamp
        )
        self._world.after_commit(Send(session.conn, answer))

    # --- transfers ---------------------------------------------------------------------------------------------------

    def _has_stopped(self, owner: str) -> bool:
        agent = self._world.agents.get(owner)
        return agent is None or bool(agent.proof)

    def _wait(self, transfer: Transfer, session: Session, request: Register) -> None:
        if len(transfer.waiting) >= MAX_WAITING:
            self._answer(session, request, admission.INSUFFICIENT_RESOURCES)
        else:
            transfer.waiting.append((session.conn, request))

    def _begin_transfer(self, owner: str, session: Session, request: Register) -> None:
        self._transfers[request.home_address] = Transfer(owner, deque([(session.conn, request)]))
        self._revoke(request.home_address, owner)

    def _revoke(self, home_address: bytes, owner: str) -> None:
        """Ask the owner to stop, after it has heard of what it owns; an owner without session is waited for."""
        session = self._world.session_of(owner)
        if session is not None and session.phase is Phase.SYNCED:
            self._world.after_commit(Send(session.conn, Revoke(home_address, self._world.revision)))
            self._world.timers.set(Key("revoke", home_address), self._world.now.mono + self._world.settings.lease_ms / 1000)

    def overdue(self, home_address: bytes) -> Session | None:
        """The session that has not answered Revoke in a lease's time: it is to be ended, then its lease proves it stopped."""
        transfer = self._transfers.get(home_address)
        return self._world.session_of(transfer.owner) if transfer is not None else None

    def revoked(self, session: Session, home_address: bytes) -> None:
        transfer = self._transfers.get(home_address)
        if transfer is not None and transfer.owner == session.name:
            self._resolve(home_address)

    def owner_stopped(self, owner: str) -> None:
        """There is a proof: every address that waited for this owner is free."""
        for home_address in [h for h, transfer in self._transfers.items() if transfer.owner == owner]:
            self._resolve(home_address)

    def owner_synced(self, owner: str) -> None:
        """The owner came back: what was asked of it on its former connection is asked again."""
        for home_address in [h for h, transfer in self._transfers.items() if transfer.owner == owner]:
            self._revoke(home_address, owner)

    def _resolve(self, home_address: bytes) -> None:
        world = self._world
        transfer = self._transfers.pop(home_address)
        released = transfer.owner
        world.timers.cancel(Key("revoke", home_address))
        while transfer.waiting:
            conn, request = transfer.waiting.popleft()
            session = world.sessions.get(conn)
            if session is None:
                continue
            if not world.agents[session.name].record.serving or world.agents[session.name].proof:
                self._answer(session, request, admission.NOT_HOME_AGENT)
                continue
            self._consider(session, request, released)
            if session.name == released:  # its own request waited as well: it serves the address again
                released = ""
            following = self._transfers.get(home_address)
            if following is not None:
                following.waiting.extend(transfer.waiting)
                return
        self._give_back(home_address, transfer.owner)

    def _give_back(self, home_address: bytes, owner: str) -> None:
        """Nobody took the address after all: its owner serves it again."""
        row = self._world.bindings.known(home_address)
        session = self._world.session_of(owner)
        if row is not None and row.lifetime_s and row.owner == owner and session is not None and not self._has_stopped(owner):
            self._world.after_commit(Send(session.conn, Bindings([row])))

    # --- ends of bindings --------------------------------------------------------------------------------------------

    def remove(self, home_address: bytes) -> bool:
        """Remove a binding by order of the operator; every HA-PP is told. Whether there was one."""
        row = self._world.bindings.known(home_address)
        if row is None or not row.lifetime_s:
            return False
        self._bury([row])
        return True

    def expire(self) -> None:
        """Remove the bindings whose lifetime has ended, forget old tombstones; the rest at the next timer."""
        world = self._world
        rows = world.bindings.expired(world.now.wall, CHUNK_ROWS)
        ended = [row for row in rows if row.lifetime_s]
        addresses = [row.home_address for row in rows if not row.lifetime_s]
        if ended:
            self._bury(ended)
        if addresses:
            world.bindings.forget(addresses)
            world.persist([PurgeBindings(addresses)], [])
        self.arm_expiry()

    def _bury(self, rows: list[Binding]) -> None:
        world = self._world
        until = world.now.wall + TOMBSTONE_S
        revision = world.next_revision()
        world.put_bindings([admission.tombstone(row, revision, until) for row in rows])

    def arm_expiry(self) -> None:
        when = self._world.bindings.next_expiry()
        if when is not None:
            now = self._world.now
            self._world.timers.set(EXPIRY, now.mono + max(0.0, when - now.wall))
