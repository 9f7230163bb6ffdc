"""Commands of the operator: checked, carried out, answered when their effect is durable."""

from __future__ import annotations

from typing import assert_never

import msgspec

from closedloop_nf.ha_b import commands
from closedloop_nf.ha_b.actions import Reply, Send
from closedloop_nf.ha_b.ownership import Ownership
from closedloop_nf.ha_b.records import DeleteHomeAgent, PutAssociation
from closedloop_nf.ha_b.registrar import Registrar
from closedloop_nf.ha_b.sessions import NAME, Sessions
from closedloop_nf.ha_b.settings import CHUNK_ROWS, DRAIN_REPEAT_S
from closedloop_nf.ha_b.timers import Key
from closedloop_nf.ha_b.world import HomeAgentState, Session, World
from closedloop_nf.link.messages import Refused, SecurityAssociation, SecurityAssociations, SwitchHomeAgent


class Problem(Exception):
    """A command that cannot be carried out; nothing was changed."""

    def __init__(self, code: str, field: str, message: str) -> None:
        super().__init__(message)
        self.code, self.field, self.message = code, field, message


class Operator:
    def __init__(self, world: World, registrar: Registrar, ownership: Ownership, sessions: Sessions) -> None:
        self._world, self._registrar, self._ownership, self._sessions = world, registrar, ownership, sessions

    def request(self, number: int, command: commands.Command) -> None:
        """Carry out; Reply follows when everything that it rests on is durable: what it caused, and for a problem (no such home agent, say)
        what other commands have. Who hears that it is gone does not ask again."""
        try:
            reply = Reply(number, self._carry_out(command))
        except Problem as problem:
            reply = Reply(number, {}, problem.code, problem.field, problem.message)
        self._world.after_commit(lambda: self._world.out.append(reply))

    def _carry_out(self, command: commands.Command) -> dict[str, str | int | float | bool | None]:
        match command:
            case commands.Fence():
                return self._fence(command)
            case commands.Promote():
                return self._promote(command)
            case commands.Activate():
                return self._activate(command)
            case commands.Drain():
                return self._drain(command)
            case commands.Switch():
                return self._switch(command)
            case commands.Forget():
                return self._forget(command)
            case commands.DeleteBinding():
                if not self._registrar.remove(command.home_address):
                    raise Problem("not_found", "home_address", "no binding of this home address")
                return {"removed": True}
            case commands.PutMobileNode():
                return self._put_mobile_node(command)
            case commands.DeleteMobileNode():
                return self._delete_mobile_node(command)
            case _:
                assert_never(command)

    def _agent(self, name: str, field: str = "name") -> HomeAgentState:
        agent = self._world.agents.get(name)
        if agent is None:
            raise Problem("not_found", field, f"no home agent {name!r}; GET /v1/home-agents lists them")
        return agent

    # --- home agents -------------------------------------------------------------------------------------------------

    def _fence(self, command: commands.Fence) -> dict[str, str | int | float | bool | None]:
        world = self._world
        agent = self._agent(command.name)
        session = world.session_of(command.name)
        if session is not None:
            agent.old_instances.append(agent.record.instance)
            world.send(session.conn, Refused("superseded", "fenced by the operator"))
            self._sessions.end(session, "fenced")
        if not agent.proof and (command.stopped or session is None):
            self._ownership.prove(agent, "fenced")
        return {"name": command.name, "proof": agent.proof or None, "lease_ms": self._lease_ms(agent)}

    def _lease_ms(self, agent: HomeAgentState) -> int:
        return 0 if agent.proof else max(0, round((agent.lease_until - self._world.now.mono) * 1000))

    def _promote(self, command: commands.Promote) -> dict[str, str | int | float | bool | None]:
        agent = self._agent(command.name)
        session = self._world.session_of(command.name)
        previous = self._world.agents.get(command.previous_owner)
        if agent.record.serving and not agent.proof and (previous is None or previous is agent or not previous.record.serving):
            return {"name": command.name, "previous_owner": command.previous_owner, "state": "serving"}
        source = self._source(command)
        if session is None or not session.ready:
            raise Problem("conflict", "name", f"{command.name!r} is not ready; wait until its state is ready")
        if source is agent or (agent.record.serving and (source is None or not command.previous_owner)):
            raise Problem("conflict", "name", f"{command.name!r} is active itself; name a standby, or another previous_owner")
        if source is None:
            self._ownership.take_over(session)
            return {"name": command.name, "previous_owner": "", "state": "adopting"}
        self._ownership.hand_over(source, command.name)
        return {"name": command.name, "previous_owner": source.record.name, "state": "adopting"}

    def _activate(self, command: commands.Activate) -> dict[str, str | int | float | bool | None]:
        agent = self._agent(command.name)
        if self._world.settings.shared:
            raise Problem("conflict", "name", "the home agent address is shared, one serves; promote a home agent instead")
        if agent.record.serving and not agent.proof:
            if agent.record.draining:
                self._resume(agent)
            return {"name": command.name, "previous_owner": "", "state": "serving"}
        self._ownership.take_over(self._ready_session(command.name, "name"))
        return {"name": command.name, "previous_owner": "", "state": "adopting"}

    def _resume(self, agent: HomeAgentState) -> None:
        """It is not drained any more."""
        world, name = self._world, agent.record.name
        world.persist([world.put_record(msgspec.structs.replace(agent.record, draining=False))], [])
        world.timers.cancel(Key("drain", name))
        world.notify("resumed", name)
        self._ownership.refresh_home_agents()

    def _source(self, command: commands.Promote) -> HomeAgentState | None:
        """Whose bindings are handed over; None where nobody serves."""
        serving = self._world.serving()
        if command.previous_owner:
            source = self._agent(command.previous_owner, "previous_owner")
            if not source.record.serving:
                raise Problem("conflict", "previous_owner", f"{command.previous_owner!r} serves nothing; name an active home agent")
            return source
        if len(serving) > 1:
            raise Problem("invalid", "previous_owner", "several home agents are active; name the one that is to stop")
        return serving[0] if serving else None

    def _drain(self, command: commands.Drain) -> dict[str, str | int | float | bool | None]:
        world = self._world
        agent = self._agent(command.name)
        if world.settings.shared:
            raise Problem("conflict", "name", "the home agent address is shared; promote another home agent instead")
        session = self._ready_session(command.name, "name")
        others = self._others(command.name)
        if not others:
            raise Problem("conflict", "name", "no other home agent is active and ready; deploy one first")
        if not agent.record.draining:
            world.persist([world.put_record(msgspec.structs.replace(agent.record, draining=True))], [])
            world.notify("draining", command.name, bindings=world.bindings.count(command.name))
            self._ownership.refresh_home_agents()
        self._ask_to_move(session, world.bindings.owned(command.name), others)
        world.timers.set(Key("drain", command.name), world.now.mono + DRAIN_REPEAT_S)
        return {"name": command.name, "draining": True, "bindings": world.bindings.count(command.name)}

    def drain_due(self, name: str) -> None:
        """Mobile nodes still bound to a draining home agent are asked again."""
        world = self._world
        agent = world.agents.get(name)
        session = world.session_of(name)
        if agent is None or not agent.record.draining or session is None:
            return
        remaining = world.bindings.owned(name)
        if not remaining:
            world.notify("drained", name)
            return
        others = self._others(name)
        if others and session.ready:
            self._ask_to_move(session, remaining, others)
        world.timers.set(Key("drain", name), world.now.mono + DRAIN_REPEAT_S)

    def _switch(self, command: commands.Switch) -> dict[str, str | int | float | bool | None]:
        world = self._world
        self._agent(command.name)
        to = self._agent(command.to, "to")
        if world.settings.shared:
            raise Problem("conflict", "name", "the home agent address is shared; promote another home agent instead")
        session = self._ready_session(command.name, "name")
        self._ready_session(command.to, "to")
        if not to.record.serving or command.to == command.name:
            raise Problem("conflict", "to", "name another home agent that is active")
        if bool(command.count) == bool(command.home_addresses):
            raise Problem("invalid", "count", "give either count or home_addresses")
        mine = world.bindings.owned(command.name)
        wanted = set(command.home_addresses)
        chosen = mine[: command.count] if command.count else [home for home in mine if home in wanted]
        if len(chosen) < len(wanted):
            raise Problem("not_found", "home_addresses", f"{len(wanted) - len(chosen)} of them are not bound to {command.name!r}")
        self._ask_to_move(session, chosen, [to.record.address])
        world.notify("switch", command.name, bindings=len(chosen), to=command.to)
        return {"name": command.name, "to": command.to, "bindings": len(chosen)}

    def _ready_session(self, name: str, field: str) -> Session:
        session = self._world.session_of(name)
        if session is None or not session.ready:
            raise Problem("conflict", field, f"{name!r} is not ready; wait until its state is ready")
        return session

    def _others(self, name: str) -> list[bytes]:
        """Addresses of the other home agents in service, those with the fewest bindings first."""
        world = self._world
        usable = [
            agent.record
            for agent in world.serving()
            if agent.record.name != name
            and not agent.record.draining
            and (session := world.session_of(agent.record.name)) is not None
            and session.ready
        ]
        usable.sort(key=lambda record: (world.bindings.count(record.name), record.name))
        return [record.address for record in usable]

    def _ask_to_move(self, session: Session, home_addresses: list[bytes], home_agents: list[bytes]) -> None:
        for start in range(0, len(home_addresses), CHUNK_ROWS):
            message = SwitchHomeAgent(home_addresses[start : start + CHUNK_ROWS], home_agents)
            self._world.after_commit(Send(session.conn, message))

    def _forget(self, command: commands.Forget) -> dict[str, str | int | float | bool | None]:
        world = self._world
        if command.name not in world.agents and NAME.match(command.name):
            # It may have ended before it said Hello; who watches it by its heartbeats is to know that it is gone for good.
            world.notify("forgotten", command.name)
        agent = self._agent(command.name)
        bindings = world.bindings.count(command.name)
        if agent.conn is not None:
            raise Problem("conflict", "name", f"{command.name!r} is connected; stop it first")
        if bindings:
            raise Problem("conflict", "name", f"{command.name!r} owns {bindings} bindings; promote another home agent first")
        if world.settings.shared and agent.record.serving and len(world.agents) > 1:
            raise Problem("conflict", "name", f"{command.name!r} holds the shared address until another takes over; promote another first")
        if not agent.proof:
            raise Problem("conflict", "name", f"{command.name!r} may still serve for {self._lease_ms(agent)} ms; wait or fence it")
        del world.agents[command.name]
        world.persist([DeleteHomeAgent(command.name)], [])
        world.notify("forgotten", command.name)
        self._ownership.refresh_home_agents()
        return {"removed": True}

    # --- mobile nodes ------------------------------------------------------------------------------------------------

    def _put_mobile_node(self, command: commands.PutMobileNode) -> dict[str, str | int | float | bool | None]:
        home_address = command.home_address
        if not self._world.settings.in_home_prefix(home_address):
            raise Problem("invalid", "home_address", "outside the home prefixes of this HA-B; give an address of one of them")
        present = self._world.keys.get(home_address, {})
        rows = [SecurityAssociation(home_address, spi, key) for spi, key in command.keys.items() if present.get(spi) != key]
        rows += [SecurityAssociation(home_address, spi, b"", removed=True) for spi in present if spi not in command.keys]
        if rows:
            self._change_associations(rows)
        return {"created": not present, "changed": bool(rows)}

    def _delete_mobile_node(self, command: commands.DeleteMobileNode) -> dict[str, str | int | float | bool | None]:
        keys = self._world.keys.get(command.home_address, {})
        bound = self._registrar.remove(command.home_address)
        if not keys and not bound:
            raise Problem("not_found", "home_address", "no mobile node of this home address")
        if keys:
            self._change_associations([SecurityAssociation(command.home_address, spi, b"", removed=True) for spi in keys])
        return {"removed": True}

    def _change_associations(self, rows: list[SecurityAssociation]) -> None:
        world = self._world

        def done() -> None:
            for row in rows:
                by_spi = world.keys.setdefault(row.home_address, {})
                if row.removed:
                    by_spi.pop(row.spi, None)
                else:
                    by_spi[row.spi] = row.key
                if not by_spi:
                    del world.keys[row.home_address]
            world.broadcast(SecurityAssociations(rows))

        world.persist([PutAssociation(row) for row in rows], [], done)
