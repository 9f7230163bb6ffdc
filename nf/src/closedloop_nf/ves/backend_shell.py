"""Reporting of one HA-B process: where its figures and the facts about HA-PPs are read."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from closedloop_nf.ha_b.actions import Notify
from closedloop_nf.runtime.clock import now
from closedloop_nf.ves import machine
from closedloop_nf.ves.config import Access, VesConfig
from closedloop_nf.ves.home_agent_backend import Changed, HomeAgentBackend
from closedloop_nf.ves.measurement import Reading
from closedloop_nf.ves.reporter import Reporter, Take

if TYPE_CHECKING:
    from closedloop_nf.ha_b.world import World


class BackendReports:
    """`start`, then `notify` with every state change, `close` at the end."""

    def __init__(self, config: VesConfig, access: Access, name: str, world: World) -> None:
        self._world = world
        self.reporter = Reporter(
            config,
            access,
            name,
            "ha-b",
            lambda author: HomeAgentBackend(author, config.measurement_ms / 1000, config.heartbeat_s),
            self._prepare,
        )

    async def start(self) -> None:
        """Raises ConfigError."""
        await self.reporter.start()

    def notify(self, notify: Notify) -> None:
        """Called right after the step in which it happened."""
        world = self._world
        agent = world.agents.get(notify.name)
        if agent is None:
            self.reporter.feed(Changed(notify))
            return
        record = agent.record
        standbys = sum(session.ready and not world.agents[session.name].record.serving for session in world.sessions.values())
        bindings = world.bindings.count(notify.name)
        self.reporter.feed(Changed(notify, record.region, record.role, record.serving, bindings, standbys))

    async def close(self) -> None:
        await self.reporter.close()

    def _prepare(self) -> Take:
        world = self._world
        bindings = sum(world.bindings.count(name) for name in world.agents)
        requests = sum(world.registrations.values())
        facts = {
            "homeAgents": len(world.agents),
            "homeAgentsReady": sum(session.ready for session in world.sessions.values()),
            "hellosRefused": world.events["refused"],
            "eventsDropped": self.reporter.dropped,
        }

        def take() -> Reading:
            return Reading(
                now(), bindings, requests, time.process_time(), machine.resident_kib(), machine.host(), machine.interfaces(), {}, facts
            )

        return take
