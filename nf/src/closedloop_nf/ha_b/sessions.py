"""Sessions of HA-PPs: Hello, snapshot, heartbeat, end."""

from __future__ import annotations

import hmac
import re
from collections import deque
from typing import Final

from closedloop_nf.ha_b.ownership import Ownership
from closedloop_nf.ha_b.records import Change, HomeAgentRecord
from closedloop_nf.ha_b.registrar import Registrar
from closedloop_nf.ha_b.settings import CHUNK_ROWS, HELLO_TIMEOUT_S
from closedloop_nf.ha_b.timers import Key
from closedloop_nf.ha_b.world import HomeAgentState, Phase, Session, World
from closedloop_nf.link.messages import (
    PROTOCOL_VERSION,
    Beat,
    BeatAck,
    Binding,
    Bindings,
    Hello,
    Refused,
    SecurityAssociation,
    SecurityAssociations,
    SnapshotDone,
    Synced,
    Traffic,
    Welcome,
)

NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9.]{0,61}[a-z0-9])?\Z")


class Sessions:
    def __init__(self, world: World, registrar: Registrar, ownership: Ownership) -> None:
        self._world, self._registrar, self._ownership = world, registrar, ownership
        self._beat_s = world.settings.beat_ms / 1000

    # --- begin -------------------------------------------------------------------------------------------------------

    def opened(self, conn: int, peer: str, identity: str | None) -> None:
        self._world.sessions[conn] = Session(conn, peer, identity)
        self._world.timers.set(Key("session", conn), self._world.now.mono + HELLO_TIMEOUT_S)

    def hello(self, session: Session, hello: Hello) -> None:
        refusal = self._objection(session, hello)
        if refusal is not None:
            self._refuse(session, hello.name, *refusal)
            return
        world = self._world
        agent = world.agents.get(hello.name)
        if agent is not None:
            self._replace(agent, hello)
        world.epoch += 1
        session.name, session.epoch, session.phase = hello.name, world.epoch, Phase.ACCEPTED
        record = HomeAgentRecord(
            name=hello.name,
            epoch=world.epoch,
            instance=hello.instance,
            host_id=hello.host_id,
            region=hello.region,
            address=hello.address,
            home_link_address=hello.home_link_address,
            health_host=session.peer,
            health_port=hello.health_port,
            role=hello.role,
            serving=(agent is not None and agent.record.serving) or (hello.role == "active" and not world.settings.shared),
            draining=agent is not None and agent.record.draining and agent.record.instance == hello.instance,
        )
        if agent is None:
            agent = world.agents[hello.name] = HomeAgentState(record)
        agent.conn = session.conn
        self._ownership.session_began(agent)
        changes: list[Change] = [world.put_record(record)]
        rows: list[Binding] = []
        if world.bindings.count(hello.name):
            move, rows = world.move_bindings(hello.name, hello.name, world.epoch)
            changes.append(move)
        world.timers.cancel(Key("session", session.conn))
        world.persist(changes, rows, lambda: self._welcome(session))
        world.notify("hello", hello.name, epoch=world.epoch, region=hello.region, role=hello.role, data_plane=hello.data_plane)

    def _objection(self, session: Session, hello: Hello) -> tuple[str, str] | None:
        """Why the Hello is refused: code and message."""
        if hello.version != PROTOCOL_VERSION:
            return "version", f"protocol version {hello.version}; this HA-B speaks {PROTOCOL_VERSION}"
        token = self._world.settings.token
        if session.identity is not None:
            if session.identity != hello.name:
                return "authentication", "the certificate's common name is not the name in Hello"
        elif not token or not hmac.compare_digest(hello.token.encode(), token):
            return "authentication", "token refused; give the token of HA-B's link.token_file"
        if not NAME.match(hello.name):
            return "malformed", "name: expected 1 to 63 of a-z 0-9 - . beginning and ending with a letter or digit"
        if hello.role not in ("active", "standby"):
            return "malformed", "role: expected active or standby"
        if not hello.instance or not hello.host_id or not hello.health_port:
            return "malformed", "instance, host_id and health_port are required"
        agent = self._world.agents.get(hello.name)
        if agent is None:
            return None
        if hello.instance in agent.old_instances:
            return "superseded", "this process was replaced or fenced; start a new one"
        if hello.host_id != agent.record.host_id and (agent.conn is not None or not agent.proof):
            return (
                "name_in_use",
                "another host uses this name and is not proven stopped; choose another name or wait for its lease to end",
            )
        return None

    def _replace(self, agent: HomeAgentState, hello: Hello) -> None:
        """The new session takes the place of an older one of the same name."""
        world = self._world
        old = world.session_of(agent.record.name)
        if old is not None:
            world.send(old.conn, Refused("superseded", "a newer session of this name has begun"))
            world.close(old.conn, "superseded")
            self._drop(old)
            world.notify("superseded", agent.record.name, epoch=old.epoch)
        if hello.instance != agent.record.instance:
            agent.old_instances.append(agent.record.instance)
            agent.conn = None
            if not agent.proof:
                self._ownership.prove(agent, "replaced", adopt=False)

    def _refuse(self, session: Session, name: str, code: str, message: str) -> None:
        world = self._world
        world.send(session.conn, Refused(code, message))
        world.close(session.conn, code)
        self._drop(session)
        world.notify("refused", name[:63] if NAME.match(name) else "", code=code, peer=session.peer)

    def _welcome(self, session: Session) -> None:
        """The epoch is durable: the session may begin."""
        world = self._world
        if world.sessions.get(session.conn) is not session:
            return
        agent = world.agents[session.name]
        settings = world.settings
        serving = agent.record.serving and not agent.proof
        session.phase = Phase.SNAPSHOT
        self._ownership.extend_lease(agent)
        world.send(
            session.conn,
            Welcome(
                epoch=session.epoch,
                beat_ms=settings.beat_ms,
                lease_ms=settings.lease_ms,
                role="active" if serving else "standby",
                address_mode=settings.address_mode,
                shared_address=settings.shared_address,
                holds_shared_address=settings.shared and serving,
                home_prefixes=list(settings.home_prefixes),
                max_lifetime_s=settings.max_lifetime_s,
                home_agents=world.home_agents,
            ),
        )
        session.snapshot = deque(world.bindings.committed)
        session.heard = world.now.mono
        world.timers.set(Key("session", session.conn), world.now.mono + max(settings.lease_ms / 1000, self._silence_s))
        self._plan_snapshot(session)

    # --- snapshot ----------------------------------------------------------------------------------------------------

    def writable(self, session: Session, writable: bool) -> None:
        session.writable = writable
        if session.phase is Phase.SNAPSHOT and writable:
            self._plan_snapshot(session)

    def _plan_snapshot(self, session: Session) -> None:
        """The next piece goes out in a step of its own, so that heartbeats come between."""
        self._world.timers.set(Key("snapshot", session.conn), self._world.now.mono)

    def snapshot(self, session: Session) -> None:
        """Send the next piece. Rows that change meanwhile are pushed as changes; each piece is what is committed at its time."""
        world = self._world
        if session.phase is not Phase.SNAPSHOT or not session.writable:
            return
        rows: list[Binding] = []
        while session.snapshot and len(rows) < CHUNK_ROWS:
            row = world.bindings.committed.get(session.snapshot.popleft())
            if row is not None and row.lifetime_s:
                rows.append(row)
        if rows:
            world.send(session.conn, Bindings(rows))
        if session.snapshot:
            self._plan_snapshot(session)
            return
        keys = [SecurityAssociation(home, spi, key) for home, by_spi in world.keys.items() for spi, key in by_spi.items()]
        for start in range(0, len(keys), CHUNK_ROWS):
            world.send(session.conn, SecurityAssociations(keys[start : start + CHUNK_ROWS]))
        world.send(session.conn, SnapshotDone(world.committed_revision))
        session.phase = Phase.SENT

    def synced(self, session: Session, _: Synced) -> None:
        if session.phase is not Phase.SENT:
            self.end(session, "synced_out_of_turn")
            return
        session.phase = Phase.SYNCED
        self._registrar.owner_synced(session.name)
        self._ownership.owner_synced(session.name)
        self._judge_ready(session)

    # --- heartbeat ---------------------------------------------------------------------------------------------------

    @property
    def _silence_s(self) -> float:
        return self._beat_s * self._world.settings.missed_beats

    def beat(self, session: Session, beat: Beat) -> None:
        world = self._world
        session.heard, session.beaten = world.now.mono, True
        session.socket_open, session.lingering = beat.socket_open, beat.lingering
        self._ownership.extend_lease(world.agents[session.name])
        world.send(session.conn, BeatAck(beat.sequence))
        world.timers.set(Key("session", session.conn), session.heard + self._silence_s)
        self._judge_ready(session)

    def traffic(self, session: Session, message: Traffic) -> None:
        """Rates of mobile nodes, complete with the last piece; of nodes without a binding nothing is kept."""
        if message.first:
            session.measuring = {}
        for row in message.rows:
            if self._world.bindings.known(row.home_address) is not None:
                session.measuring[row.home_address] = row
        if message.last:
            session.rates, session.measuring = session.measuring, {}
            session.measured_at = self._world.now.mono

    def silent(self, session: Session) -> None:
        """No heartbeat for three intervals (or no Hello, or no first heartbeat): the session is lost."""
        self.end(session, "no_hello" if session.phase is Phase.OPEN else "missed_beats")

    def _judge_ready(self, session: Session) -> None:
        ready = session.phase is Phase.SYNCED and session.socket_open
        untold = session.phase is Phase.SYNCED and session.beaten and not session.judged
        if ready != session.ready or untold:
            session.ready, session.judged = ready, True
            self._world.notify("ready" if ready else "not_ready", session.name, epoch=session.epoch)
            self._ownership.settle()

    # --- end ---------------------------------------------------------------------------------------------------------

    def bye(self, session: Session, reason: str) -> None:
        """Clean stop: it serves nothing, says it itself."""
        world = self._world
        agent = world.agents[session.name]
        self._drop(session)
        world.close(session.conn, "bye")
        agent.conn = None
        if not world.settings.shared and not world.bindings.count(session.name) and agent.record.serving:
            self._ownership.retire(agent)
        if not agent.proof:
            self._ownership.prove(agent, "bye")
        self._ownership.refresh_home_agents()

    def end(self, session: Session, reason: str) -> None:
        """End a session from this side; the HA-PP may go on serving until its lease ends."""
        self._world.close(session.conn, reason)
        self.closed(session, reason)

    def closed(self, session: Session, reason: str) -> None:
        """The connection is gone."""
        world = self._world
        self._drop(session)
        agent = world.agents.get(session.name)
        if agent is not None and agent.conn == session.conn:
            world.notify("lost", session.name, reason=reason, epoch=session.epoch)
            self._ownership.session_ended(agent)

    def _drop(self, session: Session) -> None:
        world = self._world
        world.sessions.pop(session.conn, None)
        session.ready = False
        world.timers.cancel(Key("session", session.conn))
        world.timers.cancel(Key("snapshot", session.conn))
