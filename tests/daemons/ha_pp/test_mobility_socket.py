"""When the raw Mobility Header socket of a running `ha-pp` fails."""

from __future__ import annotations

import asyncio
import time

from closedloop_nf.link import messages as link

from tests.daemons.ha_pp.backend import Backend
from tests.daemons.ha_pp.bring_up import serving
from tests.daemons.ha_pp.broken_socket import no_new_descriptor, shut_down_mobility_socket
from tests.daemons.ha_pp.lab import HOME, Lab, until
from tests.daemons.ha_pp.node import Node


async def test_it_is_opened_again_at_once_and_ha_b_hears_of_both(lab: Lab, backend: Backend, node: Node) -> None:
    daemon = await serving(lab, backend)
    for number in range(1, 4):
        shut_down_mobility_socket(daemon.process.pid)
        await until("opened again", lambda number=number: len(daemon.logged("mobility socket open again")) == number)
        assert (await node.register()).status == 0
    said = [beat.socket_open for beat in backend.said(link.Beat)]
    assert said.count(False) == 3
    assert said[-1] is True
    before = daemon.cpu_seconds()
    beats = len(said)
    await until("ten heartbeats later", lambda: len(backend.said(link.Beat)) >= beats + 10)
    assert daemon.cpu_seconds() - before < 0.5, "a socket that is shut down does not keep it busy"
    daemon.alive()


async def test_while_it_cannot_be_opened_it_is_neither_ready_nor_alive_and_tunnels_go_on(lab: Lab, backend: Backend, node: Node) -> None:
    daemon = await serving(lab, backend)
    await node.register()
    with daemon.connection() as probes:
        assert (probes.get("/readyz")[0], probes.get("/healthz")[0]) == (200, 200)
        with no_new_descriptor(daemon.process.pid):
            shut_down_mobility_socket(daemon.process.pid)
            await until("HA-B hears", lambda: not backend.said(link.Beat)[-1].socket_open)
            for path in ("/readyz", "/healthz"):
                status, facts = await asyncio.to_thread(probes.get, path)
                assert (status, facts["mobility_socket"]) == (503, "closed")
            assert await lab.pings(HOME, 3)
        await until("HA-B hears", lambda: backend.said(link.Beat)[-1].socket_open)
        for path in ("/readyz", "/healthz"):
            status, facts = await asyncio.to_thread(probes.get, path)
            assert (status, facts["mobility_socket"]) == (200, "open")
    assert (await node.register()).status == 0


async def test_one_that_stays_closed_ends_the_process_and_the_next_one_serves(lab: Lab, backend: Backend, node: Node) -> None:
    daemon = await serving(lab, backend)
    await node.register()
    assert (await daemon.get("/readyz"))[0] == 200
    with no_new_descriptor(daemon.process.pid):
        shut_down_mobility_socket(daemon.process.pid)
        started = time.monotonic()
        assert await asyncio.to_thread(daemon.process.wait, 20) == 1
    assert time.monotonic() - started > 4
    assert daemon.logged("stopped by an error")
    assert not await lab.pings(HOME)
    daemon.log.unlink()
    daemon.start()
    await lab.reachable(HOME)
