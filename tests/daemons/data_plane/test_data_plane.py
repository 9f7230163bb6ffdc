"""The whole path of real daemons on each data plane: registration, traffic, sizes, forged sources, kill -9, and what is left behind."""

from __future__ import annotations

import json
import re

from closedloop_nf.kernel.guard import TUNNEL_DEVICE
from closedloop_nf.wire.ipv6 import build_packet

from tests.daemons.data_plane.network import Network
from tests.kernel.bed import CORRESPONDENT, HOME_ADDRESS, HOME_AGENT, drained, eventually, octets, received
from tests.kernel.test_tunnel import HEADERS, udp_packet

WIDEST = 1500 - 40
"""What fits into a tunnel over Ethernet."""


def traffic_flows(network: Network) -> None:
    eventually("the correspondent reaches the home address", lambda: network.bed.ping("cn", HOME_ADDRESS, count=1) == 1)
    assert network.bed.ping("cn", HOME_ADDRESS) == 3
    assert network.bed.ping("mn", CORRESPONDENT, source=HOME_ADDRESS) == 3


def left(network: Network, host: str) -> list[str]:
    """What of a data plane a namespace holds, but for the guards' tables."""
    lines = network.bed.ip(host, "route show table all proto 75").splitlines()
    lines += [line for line in network.bed.ip(host, "rule show").splitlines() if "proto 75" in line or "fwmark" in line]
    lines += network.bed.ip(host, "neigh show proxy").splitlines()
    return lines + [line for line in network.bed.ip(host, "-o link show").splitlines() if TUNNEL_DEVICE in line]


def test_the_kernels_best_data_plane_is_chosen_named_and_carries_traffic(network: Network, data_plane: str) -> None:
    assert network.health()["data_plane"] == data_plane
    assert json.loads(network.mobile_node.http("/healthz"))["data_plane"] == data_plane
    for log in (network.packet_processor.log, network.mobile_node.log):
        lines = [json.loads(line) for line in log.read_text().splitlines()]
        assert [line["data_plane"] for line in lines if line["message"] == "data plane open"] == [data_plane]
    traffic_flows(network)
    tunnel = network.bed.ip("ha", f"route show {HOME_ADDRESS}")
    assert ("encap ip6" in tunnel and TUNNEL_DEVICE in tunnel) if data_plane == "ip6tnl" else "encap seg6" in tunnel


def test_the_widest_packet_passes_and_a_wider_one_is_answered(network: Network) -> None:
    traffic_flows(network)
    assert network.bed.ping("cn", HOME_ADDRESS, size=WIDEST - HEADERS) == 3
    assert network.bed.ping("mn", CORRESPONDENT, source=HOME_ADDRESS, size=WIDEST - HEADERS) == 3
    answer = network.bed.ping_output("cn", HOME_ADDRESS, size=WIDEST + 1 - HEADERS)
    assert re.search(rf"mtu[=: ]+{WIDEST}", answer), answer
    answer = network.bed.ping_output("mn", CORRESPONDENT, source=HOME_ADDRESS, size=WIDEST + 1 - HEADERS)
    assert f"mtu: {WIDEST}" in answer


def test_a_forged_inner_source_is_dropped_and_counted(network: Network) -> None:
    traffic_flows(network)
    care_of = octets(network.mobile_node.events("bound")[-1]["care_of_address"])
    with network.bed.udp("cn", CORRESPONDENT) as sink, network.bed.raw("mn") as source:
        port = sink.getsockname()[1]
        for inner_source, payload in (("2001:db8:a::2", b"forged"), (HOME_ADDRESS, b"genuine")):
            inner = udp_packet(inner_source, CORRESPONDENT, payload, port)
            source.sendto(build_packet(care_of, octets(HOME_AGENT), 41, inner), (HOME_AGENT, 0))
        assert received(sink) == b"genuine"
        assert drained(sink) == []
    assert network.counter("tunnel_unbound") == 1


def test_a_killed_home_agent_forwards_nothing_and_serves_again(network: Network, data_plane: str) -> None:
    traffic_flows(network)
    network.packet_processor.kill()
    assert network.bed.ping("cn", HOME_ADDRESS, count=1) == 0, "forwarding ends with the process"
    assert left(network, "ha") != []
    network.start_packet_processor()
    assert network.health()["data_plane"] == data_plane
    traffic_flows(network)


def test_a_killed_mobile_node_registers_again(network: Network, data_plane: str) -> None:
    traffic_flows(network)
    network.mobile_node.kill()
    assert left(network, "mn") != []
    network.restart_mobile_node()
    assert json.loads(network.mobile_node.http("/healthz"))["data_plane"] == data_plane
    traffic_flows(network)


def test_after_a_kill_a_clean_stop_leaves_nothing(network: Network) -> None:
    """The last of the file: the daemons do not come back."""
    network.packet_processor.kill()
    network.mobile_node.kill()
    network.start_packet_processor()
    network.restart_mobile_node()
    assert network.mobile_node.stop() == 0
    network.packet_processor.process.terminate()
    assert network.packet_processor.process.wait(20) == 0
    for host in ("mn", "ha"):
        assert left(network, host) == []
        assert network.inside(host, "nft list tables") == ""
