"""Reporting of one HA-PP process: watches the core's state and reads the kernel's counters."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from closedloop_nf.runtime.clock import now
from closedloop_nf.ves import machine
from closedloop_nf.ves.measurement import Reading
from closedloop_nf.ves.packet_processor import Observed, PacketProcessor
from closedloop_nf.ves.reporter import Reporter, Take

if TYPE_CHECKING:
    from closedloop_nf.ha_pp.config import Config
    from closedloop_nf.ha_pp.core import PacketProcessor as Core
    from closedloop_nf.ha_pp.node_meter import NodeMeter
    from closedloop_nf.ves.config import Access, VesConfig

OBSERVE_S: Final = 0.1
"""How often the state is looked at; as often as a heartbeat tells HA-B of it."""


class PacketProcessorReports:
    """`run` until it is cancelled, then `close`."""

    def __init__(self, ves: VesConfig, access: Access, config: Config, core: Core, meter: NodeMeter) -> None:
        self._config, self._core, self._meter = config, core, meter
        self._seen: Observed | None = None
        self.reporter = Reporter(
            ves,
            access,
            config.name,
            "ha-pp",
            lambda author: PacketProcessor(author, config.region, ves.measurement_ms / 1000, ves.heartbeat_s),
            self._prepare,
        )

    async def run(self) -> None:
        """Raises ConfigError where the queue cannot be used."""
        await self.reporter.start()
        while True:
            self.observe()
            await asyncio.sleep(OBSERVE_S)

    def observe(self) -> None:
        """Look at the state now: what might be over before the next look is not missed."""
        state, session = self._core.state, self._core.session
        found = Observed(self._core.ready(now()), session.socket_open, state.role, state.epoch, len(state.served))
        if self._seen is None or found[:4] != self._seen[:4]:
            self.reporter.feed(found)
            self._seen = found

    async def close(self) -> None:
        await self.reporter.close()

    def _prepare(self) -> Take:
        config, state = self._config, self._core.state
        bindings, requests = len(state.served), state.counters["binding_updates_received"]
        facts = {
            "region": config.region,
            "role": state.role,
            "bindingsKnown": len(state.known.bindings),
            "eventsDropped": self.reporter.dropped,
        }
        serving = state.role == "active"
        names = (config.home_link.interface, config.uplink_interface)

        def take() -> Reading:
            nodes = self._meter.read()
            return Reading(
                now(),
                bindings,
                requests,
                time.process_time(),
                machine.resident_kib(),
                machine.host(),
                machine.interfaces(names),
                nodes,
                facts,
                serving,
            )

        return take
