"""Claims about the daemon `ha-pp` in real namespaces: real TLS to a scripted HA-B, real Mobility Headers, real tunnels."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from closedloop_nf.link import messages as link
from closedloop_nf.wire import authentication, icmpv6, ipv6, mobility
from closedloop_nf.wire.status import BindingErrorStatus, BindingStatus

from tests.daemons.ha_pp.backend import Backend
from tests.daemons.ha_pp.bring_up import serving, vanilla
from tests.daemons.ha_pp.lab import (
    AGENT,
    CARE_OF,
    CARE_OF_2,
    HOME,
    HOME_PREFIX,
    HOST,
    KEY,
    SHARED,
    SPI,
    Daemon,
    Lab,
    octets,
    until,
)
from tests.daemons.ha_pp.node import Node


async def test_registration_opens_the_tunnel_both_ways(lab: Lab, backend: Backend, node: Node) -> None:
    daemon = await serving(lab, backend)
    assert not await lab.pings(HOME)
    acknowledgement = await node.register()
    assert (acknowledgement.status, acknowledgement.lifetime) == (0, 100)
    assert await lab.pings(HOME, 5)
    assert node.echoes >= 5
    metrics = await daemon.metrics()
    assert metrics["ha_pp_bindings"] == 1
    assert metrics['ha_pp_binding_acknowledgements_total{status="0"}'] == 1


async def test_a_handover_moves_the_tunnel_and_the_permission(lab: Lab, backend: Backend, node: Node) -> None:
    daemon = await serving(lab, backend)
    await node.register()
    assert await lab.pings(HOME)
    await node.register(care_of=octets(CARE_OF_2))
    assert await lab.pings(HOME)
    # What the old care-of address still sends through the tunnel is dropped and counted.
    inner = ipv6.build_packet(node.home, octets(HOST), 59, b"")
    before = (await daemon.metrics())['ha_pp_kernel_total{event="tunnel_unbound"}']
    node.send(ipv6.build_packet(octets(CARE_OF), node.agent, ipv6.IPV6_IN_IPV6, inner))

    async def dropped() -> bool:
        return (await daemon.metrics())['ha_pp_kernel_total{event="tunnel_unbound"}'] == before + 1

    deadline = time.monotonic() + 5
    while not await dropped():
        assert time.monotonic() < deadline


async def test_deregistration_closes_the_tunnel(lab: Lab, backend: Backend, node: Node) -> None:
    await serving(lab, backend)
    before = lab.kernel_state()
    await node.register()
    acknowledgement = await node.register(lifetime_s=0)
    assert (acknowledgement.status, acknowledgement.lifetime) == (0, 0)
    assert not await lab.pings(HOME)
    assert [line for line in vanilla(before, lab.kernel_state()) if HOME in line] == []


async def test_tshark_reads_the_acknowledgement_as_the_rfcs_say(lab: Lab, backend: Backend, node: Node) -> None:
    await serving(lab, backend)
    await node.register()
    (lab.folder / "back.hex").write_text(
        "\n".join("0000 " + raw.hex(" ") for raw, packet in zip(node.raw, node.received, strict=True) if packet.next_header == 135) + "\n"
    )
    lab.run("text2pcap", "-q", "-l", "101", str(lab.folder / "back.hex"), str(lab.folder / "back.pcap"))
    fields = {
        "ipv6.src": AGENT,
        "ipv6.routing.type": "2",
        "ipv6.routing.segleft": "1",
        "ipv6.routing.mipv6.home_address": HOME,
        "mip6.ba.status": "0",
        "mip6.ba.k_flag": "0",
        "mip6.ba.seqnr": str(node.sequence),
        "mip6.ba.lifetime": "100",
        "mip6.auth.mobility_spi": str(SPI),
    }
    # tshark 4.0 counts a type 2 routing header's checksum over the care-of address; the final destination is checked in node.messages().
    found = lab.run("tshark", "-r", str(lab.folder / "back.pcap"), "-T", "fields", *(f"-e{field}" for field in fields))
    values = found.rstrip("\n").split("\t")
    names = dict(zip(fields, values, strict=True))
    assert {name: value for name, value in names.items() if name in fields and value != ""} == fields
    verdict = authentication.verify(
        node.received[-1].payload, care_of_address=node.care_of, home_address=node.home, key_for_spi=lambda spi: KEY if spi == SPI else None
    )
    assert verdict is authentication.VerifyResult.OK
    problems = [packet for packet in node.received if packet.next_header == ipv6.ICMPV6 and packet.payload[0] == 4]
    assert problems == [], "no complaint about the Home Address option"


async def test_an_address_in_use_on_the_home_link_is_refused_134(lab: Lab, backend: Backend, node: Node) -> None:
    lab.ip("host", f"address add {HOME}/64 dev eth0 nodad")
    await serving(lab, backend, home_link={"interface": "home0", "address": "2001:db8:40::a", "dad_transmits": 1, "retrans_timer_ms": 300})
    assert (await node.register()).status == BindingStatus.DUPLICATE_ADDRESS
    assert backend.said(link.Register) == []


async def test_a_free_address_passes_detection_and_is_then_answered_for(lab: Lab, backend: Backend, node: Node) -> None:
    await serving(lab, backend, home_link={"interface": "home0", "address": "2001:db8:40::a", "dad_transmits": 1, "retrans_timer_ms": 100})
    started = time.monotonic()
    assert (await node.register(link_local=True)).status == 0
    assert time.monotonic() - started >= 0.1
    proxied = lab.inside("ha", "ip -6 neigh show proxy")
    assert HOME in proxied
    assert "fe80::11" in proxied
    assert await lab.pings(HOME)


async def test_home_agent_address_discovery_by_the_anycast_address(lab: Lab, backend: Backend, node: Node) -> None:
    await serving(lab, backend)
    anycast = icmpv6.home_agents_anycast(octets(HOME_PREFIX), 64)
    request = icmpv6.build_icmpv6(icmpv6.HomeAgentDiscoveryRequest(4711), node.care_of, anycast)
    node.send(ipv6.build_packet(node.care_of, anycast, ipv6.ICMPV6, request))
    reply = await until("discovery reply", lambda: [p for p in node.received if p.next_header == ipv6.ICMPV6 and p.payload[0] == 145])
    assert reply[0].header.source == octets(AGENT)
    assert icmpv6.parse_icmpv6(reply[0].payload) == icmpv6.HomeAgentDiscoveryReply(4711, (octets(AGENT),))


async def test_mobile_prefix_solicitation_of_a_bound_node(lab: Lab, backend: Backend, node: Node) -> None:
    await serving(lab, backend)
    await node.register()
    message = icmpv6.build_icmpv6(icmpv6.MobilePrefixSolicitation(9), node.home, node.agent)
    node.send(ipv6.build_packet(node.care_of, node.agent, ipv6.ICMPV6, message, home_address_option=node.home))
    found = await until("advertisement", lambda: [p for p in node.received if p.next_header == ipv6.ICMPV6 and p.payload[0] == 147])
    assert found[0].routing_home_address == node.home
    assert icmpv6.checksum_ok(found[0].payload, node.agent, node.home)
    advertisement = icmpv6.parse_icmpv6(found[0].payload)
    assert isinstance(advertisement, icmpv6.MobilePrefixAdvertisement)
    assert advertisement.identifier == 9


async def test_a_home_address_option_without_binding_gets_a_binding_error(lab: Lab, backend: Backend, node: Node) -> None:
    await serving(lab, backend)
    node.send(ipv6.build_packet(node.care_of, node.agent, 17, bytes(8), home_address_option=node.home))
    message = await until("binding error", node.messages)
    assert message == [mobility.BindingError(BindingErrorStatus.UNKNOWN_BINDING, node.home)]
    assert node.received[-1].routing_home_address is None


async def test_a_standby_is_promoted_with_the_shared_address(lab: Lab, backend: Backend, node: Node) -> None:
    backend.welcome |= {"role": "standby", "address_mode": "shared", "shared_address": octets(SHARED)}
    backend.bindings[node.home] = link.Binding(node.home, node.care_of, 100, 400, time.time() + 400, 0xC000, "ha-pp-b", 1)
    daemon = Daemon(lab).start()
    await backend.hears(link.Synced)
    assert not await lab.pings(SHARED)
    assert HOME not in lab.kernel_state()
    status, _ = await daemon.get("/readyz")
    assert status == 200
    backend.send(link.Adopt("ha-pp-b", 5, 9, octets(SHARED)))
    await lab.reachable(HOME)
    node.agent = octets(SHARED)
    assert (await node.register()).status == 0


async def test_probes_tell_what_is_the_case(lab: Lab, backend: Backend) -> None:
    backend.welcome["lease_ms"] = 3000
    daemon = await serving(lab, backend)
    status, body = await daemon.get("/healthz")
    assert status == 200
    assert '"data_plane": "seg6"' in body or '"data_plane": "ip6tnl"' in body
    backend.beating = False
    await until("the lease ends", lambda: daemon.logged("lease_lapsed"))
    status, body = await daemon.get("/readyz")
    assert status == 503
    assert '"mobility_socket": "open"' in body


async def test_the_log_holds_no_secret(lab: Lab, backend: Backend, node: Node) -> None:
    daemon = await serving(lab, backend, log_level="debug")
    await node.register()
    await daemon.stop()
    text = daemon.log.read_text()
    assert "link-secret-of-the-test" not in text
    assert KEY.hex() not in text
    assert repr(KEY)[2:-1] not in text


def test_what_a_start_does_not_need_is_not_imported_before_the_first_packet() -> None:
    """The start is part of every cold failover; `make bench` shows its time."""
    heavy = {"aiohttp", "prometheus_client", "sqlite3", "pyroute2.iproute", "pyroute2.netlink.core"}
    code = f"import sys, closedloop_nf.ha_pp.shell; print(sorted({heavy!r} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_check_and_schema_need_no_capability(tmp_path: Path) -> None:
    daemon = Daemon(Lab(tmp_path))
    powerless = ("setpriv", "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs", sys.executable, "-m", "closedloop_nf.ha_pp.main")
    assert subprocess.run((*powerless, "--config", str(daemon.config), "--check"), check=False).returncode == 0
    schema = subprocess.run((*powerless, "--schema"), check=True, capture_output=True, text=True).stdout
    assert "home_link" in json.loads(schema)["$defs"]["Config"]["properties"]


@pytest.mark.parametrize(
    ("field", "value"), [("address", "not-an-address"), ("max_lifetime_s", 1), ("surprise", 1), ("uplink_interface", "")]
)
def test_a_wrong_field_stops_the_start_with_its_name(tmp_path: Path, field: str, value: object) -> None:
    daemon = Daemon(Lab(tmp_path), **{field: value})
    command = (sys.executable, "-m", "closedloop_nf.ha_pp.main", "--config", str(daemon.config))
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 2
    assert field in done.stderr
    assert len(done.stderr.splitlines()) == 1
