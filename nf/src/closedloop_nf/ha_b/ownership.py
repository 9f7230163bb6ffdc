"""Leases, proofs of death, and who takes over."""

from __future__ import annotations

from typing import Final

import msgspec

from closedloop_nf.ha_b.actions import Probe, Send
from closedloop_nf.ha_b.records import Change, MoveBindings
from closedloop_nf.ha_b.registrar import Registrar
from closedloop_nf.ha_b.settings import LEASE_MARGIN_S, RELINQUISH_TIMEOUT_S
from closedloop_nf.ha_b.timers import Key
from closedloop_nf.ha_b.world import HomeAgentState, Phase, Session, World
from closedloop_nf.link.messages import Adopt, Binding, HomeAgent, HomeAgents, Relinquish

PROBE_FIRST_S: Final = 0.005
PROBE_LAST_S: Final = 0.1
REFUSALS: Final = 2
"""Refused connections to the health port, at least PROBE_FIRST_S apart, that prove that the process is gone."""


class Ownership:
    def __init__(self, world: World, registrar: Registrar) -> None:
        self._world = world
        self._registrar = registrar
        self._handovers: dict[str, str] = {}
        """Planned: from whom to whom."""

    # --- leases ------------------------------------------------------------------------------------------------------

    def begin(self, earlier_lease_ms: int) -> None:
        """After a start every HA-PP known may hold a lease of an earlier run, until that has ended or a proof is found."""
        world = self._world
        lease_s = max(earlier_lease_ms, world.settings.lease_ms) / 1000 + LEASE_MARGIN_S
        for agent in world.agents.values():
            agent.lease_until = world.now.mono + lease_s
            agent.lost_at = world.now.mono
            self._watch(agent)

    def extend_lease(self, agent: HomeAgentState) -> None:
        """A lease is granted with the message about to be sent."""
        agent.lease_until = self._world.now.mono + self._world.settings.lease_ms / 1000 + LEASE_MARGIN_S

    def session_ended(self, agent: HomeAgentState) -> None:
        """Its link is gone; whether it has stopped is to be found out."""
        agent.conn = None
        agent.lost_at = self._world.now.mono
        if not agent.proof:
            self._watch(agent)
        self.refresh_home_agents()

    def session_began(self, agent: HomeAgentState) -> None:
        """A session is in force again."""
        agent.proof = ""
        self._world.timers.cancel(Key("lease", agent.record.name))
        self._world.timers.cancel(Key("probe", agent.record.name))

    def lease_due(self, name: str) -> None:
        agent = self._world.agents.get(name)
        if agent is None or agent.conn is not None or agent.proof:
            return
        if self._world.now.mono >= agent.lease_until:
            self.prove(agent, "lease_ended")
        else:
            self._world.timers.set(Key("lease", name), agent.lease_until)

    def _watch(self, agent: HomeAgentState) -> None:
        world = self._world
        agent.refusals = agent.probes = 0
        world.timers.set(Key("lease", agent.record.name), agent.lease_until)
        self.probe(agent.record.name)

    # --- probes ------------------------------------------------------------------------------------------------------

    def probe(self, name: str) -> None:
        agent = self._world.agents.get(name)
        if agent is None or agent.conn is not None or agent.proof:
            return
        record = agent.record
        agent.probes += 1
        self._world.out.append(Probe(name, record.instance, record.health_host, record.health_port))

    def probed(self, name: str, instance: str, *, refused: bool) -> None:
        """Two refusals with a pause between: the process is gone. Anything else is asked again, ever less often, until the lease ends."""
        agent = self._world.agents.get(name)
        if agent is None or agent.conn is not None or agent.proof or agent.record.instance != instance:
            return
        agent.refusals = agent.refusals + 1 if refused else 0
        if agent.refusals >= REFUSALS:
            self.prove(agent, "process_gone")
            return
        pause = PROBE_FIRST_S if refused else min(PROBE_LAST_S, PROBE_FIRST_S * 2 ** min(agent.probes - 1, 10))
        self._world.timers.set(Key("probe", name), self._world.now.mono + pause)

    # --- proofs ------------------------------------------------------------------------------------------------------

    def prove(self, agent: HomeAgentState, proof: str, *, adopt: bool = True) -> None:
        """The HA-PP serves nothing any more. What it owned can be given away."""
        world = self._world
        agent.proof = proof
        agent.proven_at = world.now.mono
        world.timers.cancel(Key("lease", agent.record.name))
        world.timers.cancel(Key("probe", agent.record.name))
        world.timers.cancel(Key("relinquish", agent.record.name))
        world.notify("stopped", agent.record.name, proof=proof, bindings=world.bindings.count(agent.record.name))
        self._registrar.owner_stopped(agent.record.name)
        if adopt:
            self.settle()

    def retire(self, agent: HomeAgentState) -> None:
        """A clean end with nothing owned: nobody needs to take over."""
        change = self._world.put_record(msgspec.structs.replace(agent.record, serving=False))
        self._world.persist([change], [])

    # --- adoption ----------------------------------------------------------------------------------------------------

    def settle(self) -> None:
        """Give what stopped HA-PPs owned to ready standbys; in mode `shared` find the first holder."""
        world = self._world
        for agent in world.serving():
            if agent.proof:
                target = self._successor(agent)
                if target is not None:
                    self._adopt(agent, target)
        if world.settings.shared and not world.serving():
            willing = [s for s in self._ready() if world.agents[s.name].record.role == "active"]
            if willing:
                self._adopt(None, willing[0])
        self.refresh_home_agents()

    def _ready(self) -> list[Session]:
        """Sessions that can take over, best first: fewest bindings, then name."""
        world = self._world
        free = [
            session
            for session in world.sessions.values()
            if session.ready and not world.agents[session.name].record.serving and not world.agents[session.name].record.draining
        ]
        return sorted(free, key=lambda session: (world.bindings.count(session.name), session.name))

    def _successor(self, agent: HomeAgentState) -> Session | None:
        free = self._ready()
        planned = self._handovers.get(agent.record.name)
        chosen = None if planned is None else self._world.session_of(planned)
        if chosen is not None and chosen.ready and not self._world.agents[chosen.name].record.draining:
            return chosen
        if free:
            return free[0]
        own = self._world.session_of(agent.record.name)
        return own if own is not None and own.ready and planned is not None else None

    def _adopt(self, agent: HomeAgentState | None, target: Session) -> None:
        """Durably, then by message. agent: who stopped; None: the shared address has no holder yet."""
        world = self._world
        successor = world.agents[target.name]
        changes: list[Change] = []
        rows: list[Binding] = []
        previous = agent.record.name if agent is not None else ""
        since = agent.proven_at if agent is not None else world.now.mono
        if agent is not None:
            move, rows = world.move_bindings(previous, target.name, target.epoch)
            changes.append(move)
            if agent is not successor:
                changes.append(world.put_record(msgspec.structs.replace(agent.record, serving=False)))
        changes.append(world.put_record(msgspec.structs.replace(successor.record, serving=True)))
        successor.proof = ""
        successor.adopting += 1
        self._handovers.pop(previous, None)
        revision = changes[0].revision if isinstance(changes[0], MoveBindings) else world.next_revision()
        shared = world.settings.shared
        message = Adopt(
            previous,
            target.epoch,
            revision,
            shared_address=world.settings.shared_address if shared else b"",
            switch=not shared and bool(rows),
        )
        count = len(rows)

        def done() -> None:
            successor.adopting -= 1
            seconds = world.now.mono - since
            world.adoption_seconds.append(seconds)
            world.notify("adopted", target.name, previous_owner=previous, bindings=count, duration_ms=round(seconds * 1000, 3))
            self.refresh_home_agents()

        world.persist(changes, rows, Send(target.conn, message), done, origin=target.conn)

    # --- planned hand-over -------------------------------------------------------------------------------------------

    def hand_over(self, source: HomeAgentState, target: str) -> None:
        """Ask `source` to stop; `target` adopts when it has. A stopped source is adopted at once."""
        world = self._world
        self._handovers[source.record.name] = target
        session = world.session_of(source.record.name)
        if source.proof:
            self.settle()
        elif session is not None and session.phase is Phase.SYNCED:
            self._ask_to_relinquish(session)

    def take_over(self, session: Session) -> None:
        """By order of the operator: the first holder of the shared address, or one more active HA-PP."""
        self._adopt(None, session)

    def owner_synced(self, name: str) -> None:
        """A source that came back in the middle of a hand-over is asked again."""
        session = self._world.session_of(name)
        if session is not None and name in self._handovers:
            self._ask_to_relinquish(session)

    def relinquished(self, session: Session) -> None:
        agent = self._world.agents[session.name]
        if session.name in self._handovers and agent.record.serving and not agent.proof:
            self._world.notify("relinquished", session.name)
            self.prove(agent, "relinquished")

    def _ask_to_relinquish(self, session: Session) -> None:
        self._world.after_commit(Send(session.conn, Relinquish(self._world.revision)))
        self._world.timers.set(Key("relinquish", session.name), self._world.now.mono + RELINQUISH_TIMEOUT_S)

    # --- home agents list (RFC 6275 section 10.1) ----------------------------------------------------------------------

    def refresh_home_agents(self) -> None:
        """Tell every HA-PP when the list for dynamic home agent address discovery has changed."""
        world = self._world
        lifetime = world.settings.home_agent_lifetime_s
        if world.settings.shared:
            addresses = [world.settings.shared_address] if world.serving() else []
        else:
            addresses = sorted(a.record.address for a in world.serving() if not a.record.draining and self._is_ready(a))
        rows = [HomeAgent(address, 0, lifetime) for address in addresses]
        if rows != world.home_agents:
            world.home_agents = rows
            world.broadcast(HomeAgents(rows))

    def _is_ready(self, agent: HomeAgentState) -> bool:
        session = self._world.session_of(agent.record.name)
        return session is not None and session.ready and not agent.proof
