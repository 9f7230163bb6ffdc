"""The process `ha-pp`: privileges, clean stop, kill, a lost HA-B, a second instance."""

from __future__ import annotations

import asyncio
import signal

from closedloop_nf.link import messages as link

from tests.daemons.ha_pp.backend import Backend
from tests.daemons.ha_pp.bring_up import ready, serving, vanilla
from tests.daemons.ha_pp.lab import (
    HOME,
    SHARED,
    Daemon,
    Lab,
    certificates,
    octets,
    until,
)
from tests.daemons.ha_pp.node import Node
from tests.daemons.unprivileged import NET_ADMIN, NET_RAW, USER, only, rights


async def test_the_process_is_an_unprivileged_user_with_two_capabilities_and_no_more(lab: Lab, backend: Backend, node: Node) -> None:
    backend.answering = False
    daemon = Daemon(lab).start()
    await backend.hears(link.Hello)
    for thread in rights(daemon.process.pid):
        assert thread.users[:2] == (USER, USER), "from its first message on, while it still can read what it needs later"
        assert thread._replace(users=(USER,) * 4) == only(NET_ADMIN | NET_RAW)
    backend.answering = True
    backend.cut()
    await ready(daemon, backend)
    await node.register()
    assert (await daemon.get("/metrics"))[0] == 200
    assert rights(daemon.process.pid) == {only(NET_ADMIN | NET_RAW)}


async def test_without_ha_b_it_gives_up_the_last_of_root_too(lab: Lab) -> None:
    daemon = Daemon(lab).start()
    await until("it serves its probes", lambda: daemon.logged("HA-B cannot be reached"))
    assert (await daemon.get("/healthz"))[0] == 200
    assert rights(daemon.process.pid) == {only(NET_ADMIN | NET_RAW)}


async def test_it_does_not_start_where_it_cannot_become_its_user(lab: Lab) -> None:
    before = lab.kernel_state()
    daemon = Daemon(lab)
    daemon.start("-all,+net_admin,+net_raw")
    assert await asyncio.to_thread(daemon.process.wait, 10) == 2
    (line,) = daemon.logged("configuration refused")
    assert line["field"] == "user"
    assert "setuid, setgid and setpcap" in line["problem"]
    assert lab.kernel_state() == before


async def test_sigterm_says_bye_and_leaves_the_kernel_as_it_was(lab: Lab, backend: Backend, node: Node) -> None:
    before = lab.kernel_state()
    daemon = await serving(lab, backend)
    await node.register(link_local=True)
    assert vanilla(before, lab.kernel_state()) != []
    assert await daemon.stop() == 0
    assert isinstance(backend.heard[-1], link.Bye)
    assert vanilla(before, lab.kernel_state()) == []


async def test_sigterm_gives_the_shared_address_back(lab: Lab, backend: Backend) -> None:
    before = lab.kernel_state()
    backend.welcome |= {"address_mode": "shared", "shared_address": octets(SHARED), "holds_shared_address": True}
    daemon = await serving(lab, backend)
    assert await lab.pings(SHARED)
    assert await daemon.stop() == 0
    assert vanilla(before, lab.kernel_state()) == []


async def test_sigterm_while_ha_b_cannot_be_reached_ends_too(lab: Lab) -> None:
    before = lab.kernel_state()
    daemon = Daemon(lab).start()
    await until("HA-B was found missing", lambda: daemon.logged("HA-B cannot be reached"))
    assert await daemon.stop() == 0
    assert vanilla(before, lab.kernel_state()) == []


async def test_kill_stops_forwarding_at_once_and_the_next_start_serves_again(lab: Lab, backend: Backend, node: Node) -> None:
    daemon = await serving(lab, backend)
    await node.register()
    assert await lab.pings(HOME)
    daemon.kill()
    assert not await lab.pings(HOME)
    daemon.log.unlink()
    daemon.start()
    await ready(daemon, backend)
    await lab.reachable(HOME)
    assert (await daemon.metrics())["ha_pp_bindings"] == 1


async def test_no_care_of_address_of_an_authenticated_node_stops_the_daemon(lab: Lab, backend: Backend, node: Node) -> None:
    daemon = await serving(lab, backend)
    strange = (
        "64:ff9b::1",
        "2002:c000:201::1",
        "fec0::1",
        "fc00::1",
        "::1:0:0:0",
        "ffff" + ":ffff" * 7,
        "2001:db8:a::ff",
        "100::1",
        "5f00::1",
    )
    for text in strange:
        node.send(node.update(alternate=octets(text)))
    await node.register()
    daemon.alive()
    assert await lab.pings(HOME)


async def test_what_a_killed_one_left_is_removed_by_the_next_when_it_is_no_longer_ours(lab: Lab, backend: Backend, node: Node) -> None:
    before = lab.kernel_state()
    daemon = await serving(lab, backend)
    await node.register()
    daemon.kill()
    assert HOME in lab.kernel_state()
    backend.bindings.clear()
    daemon.log.unlink()
    daemon.start()
    await ready(daemon, backend)
    assert HOME not in lab.kernel_state()
    await daemon.stop()
    assert vanilla(before, lab.kernel_state()) == []


async def test_without_acknowledged_beats_forwarding_ends_with_the_lease(lab: Lab, backend: Backend, node: Node) -> None:
    backend.welcome["lease_ms"] = 500
    await serving(lab, backend)
    await node.register()
    assert await lab.pings(HOME)
    backend.beating = False
    await lab.reachable(HOME, False)
    echoes = node.echoes
    assert not await lab.pings(HOME, 3)
    assert node.echoes == echoes


async def test_a_stopped_process_is_cut_off_by_the_kernel_and_serves_again_when_it_goes_on(lab: Lab, backend: Backend, node: Node) -> None:
    backend.welcome["lease_ms"] = 500
    daemon = await serving(lab, backend)
    await node.register()
    assert await lab.pings(HOME)
    daemon.process.send_signal(signal.SIGSTOP)
    await lab.reachable(HOME, False)
    daemon.process.send_signal(signal.SIGCONT)
    await lab.reachable(HOME)


async def test_a_ha_b_that_falls_silent_is_dialled_again_while_service_goes_on(lab: Lab, backend: Backend, node: Node) -> None:
    backend.welcome["lease_ms"] = 60_000
    backend.welcome["beat_ms"] = 100
    await serving(lab, backend)
    await node.register()
    backend.welcome["lease_ms"] = 500
    backend.cut()
    await backend.hears(link.Synced, 2)
    backend.beating = False
    await backend.hears(link.Hello, 3)
    backend.beating = True
    await backend.hears(link.Synced, 3)
    assert await lab.pings(HOME)


async def test_when_the_link_breaks_the_tunnel_stays_and_the_session_comes_back(lab: Lab, backend: Backend, node: Node) -> None:
    daemon = await serving(lab, backend)
    await node.register()
    backend.cut()
    assert await lab.pings(HOME, 5)
    await backend.hears(link.Synced, 2)
    assert len(daemon.logged("link_closed")) == 1
    assert daemon.logged("lease_lapsed") == []
    assert (await node.register()).status == 0


async def test_a_server_with_another_authoritys_certificate_never_hears_the_token(lab: Lab, backend: Backend) -> None:
    other = lab.folder / "other"
    other.mkdir()
    certificates(other)
    daemon = Daemon(lab, backend_ca=str(other / "ca.pem")).start()
    found = await until("the refusal is logged", lambda: daemon.logged("HA-B cannot be reached"))
    assert "certificate" in found[0]["problem"]
    assert backend.heard == []


async def test_a_second_one_in_the_namespace_is_refused_and_harms_nothing(lab: Lab, backend: Backend, node: Node) -> None:
    await serving(lab, backend)
    await node.register()
    second = Daemon(lab)
    second.log = lab.folder / "second.log"
    second.start()
    assert await asyncio.to_thread(second.process.wait, 10) == 1
    assert "closedloop_lease" in second.log.read_text()
    assert await lab.pings(HOME, 3)
