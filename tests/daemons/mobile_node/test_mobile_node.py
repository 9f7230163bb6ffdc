"""Claims about the daemon `mobile-node` in a real network: real advertisements, real Mobility Headers, real tunnels."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemons.mobile_node.lab import AGENT, AGENT2, CORRESPONDENT, HOME_ADDRESS, KEY, SHORT_S, SPI, Lab, MobileNode, until
from tests.daemons.unprivileged import NET_ADMIN, NET_RAW, USER, only, rights


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    network = Lab(tmp_path)
    try:
        network.build()
        yield network
    finally:
        network.close()


def test_the_process_is_an_unprivileged_user_with_two_capabilities_and_no_more(lab: Lab) -> None:
    node = MobileNode(lab)
    lab.plug("visited1")
    node.wait("bound")
    assert until("it answers", lambda: node.http("/metrics"))
    assert rights(node.process.pid) == {only(NET_ADMIN | NET_RAW)}
    assert node.events_file.stat().st_uid == USER


def traffic_flows(lab: Lab) -> None:
    """Both ways, each begun by its own side."""
    until("correspondent reaches the home address", lambda: lab.ping("cn", HOME_ADDRESS))
    assert lab.ping("cn", HOME_ADDRESS, count=5)
    assert lab.ping("mn", CORRESPONDENT, source=HOME_ADDRESS, count=5)


def test_registers_and_carries_traffic_through_the_tunnel(lab: Lab) -> None:
    node = MobileNode(lab)
    lab.plug("visited1")
    bound = node.wait("bound")
    assert (bound["home_agent"], bound["lifetime_s"]) == (AGENT, 600)
    assert bound["care_of_address"].startswith("2001:db8:1:")
    traffic_flows(lab)
    status = json.loads(until("status is served", lambda: node.http("/status")))
    assert (status["location"], status["bound"], status["care_of_address"]) == ("away", True, bound["care_of_address"])
    assert "mobile_node_bound 1.0" in node.http("/metrics")


def test_binding_update_on_the_wire_is_what_the_rfcs_say(lab: Lab) -> None:
    capture = lab.folder / "core.pcap"
    watching = lab.start("r", "tcpdump", "-i", "core", "-U", "-w", str(capture), "ip6", stderr=subprocess.PIPE)
    assert watching.stderr is not None
    watching.stderr.readline()
    node = MobileNode(lab)
    lab.plug("visited1")
    node.wait("bound")
    fields = (
        "ipv6.opt.mipv6.home_address",
        "mip6.bu.a_flag",
        "mip6.bu.h_flag",
        "mip6.bu.k_flag",
        "mip6.bu.lifetime",
        "mip6.auth.mobility_spi",
    )
    names = [f"-e{field}" for field in fields]

    def dissected() -> list[str]:
        command = ("tshark", "-r", str(capture), "-Y", "mip6.mhtype == 5", "-T", "fields", *names)
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()

    update = until("tshark sees the update", dissected)[0].split("\t")
    assert update == [HOME_ADDRESS, "1", "1", "0", "150", str(SPI)]
    answered = subprocess.run(("tshark", "-r", str(capture), "-Y", "icmpv6.type == 4"), capture_output=True, text=True, check=True)
    assert answered.stdout == "", "nobody complains about the type 2 routing header"


def test_each_handover_reaches_the_home_agent_after_the_advertisement(lab: Lab) -> None:
    # Moves come faster than MAX_UPDATE_RATE allows, which would be what is measured.
    node = MobileNode(lab, timers={"max_update_rate": 100})
    lab.plug("visited1")
    node.wait("bound")
    traffic_flows(lab)
    delays_ms = []
    for turn in range(8):
        link = ("visited2", "visited1")[turn % 2]
        begun = time.monotonic_ns()
        lab.plug(link)
        seen = node.wait("ra_received", begun)
        node.wait("bound", begun)
        update = next(update for update in lab.agent.seen("update") if update["mono_ns"] > begun)
        delays_ms.append((update["mono_ns"] - seen["mono_ns"]) / 1e6)
        traffic_flows(lab)
    print(f"advertisement to update: {[round(delay) for delay in delays_ms]} ms")
    assert min(delays_ms) > 0


def test_returns_home_and_leaves_again(lab: Lab) -> None:
    node = MobileNode(lab)
    lab.plug("visited1")
    node.wait("bound")
    begun = time.monotonic_ns()
    lab.plug("home")
    node.wait("deregistered", begun)
    update = lab.agent.seen("update")[-1]
    assert (update["care_of"], update["home_address_option"], update["lifetime"]) == (HOME_ADDRESS, False, 0)
    traffic_flows(lab)
    assert "table 42" not in lab.inside("mn", "ip -6 rule")
    begun = time.monotonic_ns()
    lab.plug("visited2")
    node.wait("bound", begun)
    traffic_flows(lab)


def test_follows_the_switch_of_an_adopting_home_agent(lab: Lab) -> None:
    node = MobileNode(lab)
    lab.plug("visited1")
    node.wait("bound", home_agent=AGENT)
    lab.agent.command(behave={AGENT: "silent"}, switch={"from": AGENT2, "to": [AGENT2]})
    received = node.wait("switch_received")
    bound = node.wait("bound", home_agent=AGENT2)
    assert bound["mono_ns"] - received["mono_ns"] < 200e6
    traffic_flows(lab)


def test_planned_switch_moves_the_registration_without_losing_a_packet(lab: Lab) -> None:
    node = MobileNode(lab)
    lab.plug("visited1")
    node.wait("bound", home_agent=AGENT)
    traffic_flows(lab)
    pinging = lab.start("cn", "ping", "-6", "-n", "-q", "-c", "100", "-i", "0.01", HOME_ADDRESS, stdout=subprocess.PIPE, text=True)
    lab.agent.command(switch={"from": AGENT, "to": [AGENT2]})
    node.wait("bound", home_agent=AGENT2)
    output, _ = pinging.communicate(timeout=20)
    assert "100 received" in output, output


def test_registers_for_no_longer_than_the_router_lets_the_care_of_address_live(lab: Lab) -> None:
    node = MobileNode(lab)
    lab.plug("visited1")
    assert node.wait("bound")["lifetime_s"] == 600
    begun = time.monotonic_ns()
    lab.plug("visited2")
    bound = node.wait("bound", begun)
    assert 0 < bound["lifetime_s"] <= SHORT_S
    assert lab.agent.seen("update")[-1]["lifetime"] * 4 == bound["lifetime_s"]
    traffic_flows(lab)


def test_binding_refresh_request_is_answered(lab: Lab) -> None:
    node = MobileNode(lab)
    lab.plug("visited1")
    first = node.wait("bound")
    lab.agent.command(request=AGENT)
    node.wait("refresh_requested")
    node.wait("bound", first["mono_ns"])


def test_out_of_window_sequence_number_is_resynchronised_at_once(lab: Lab) -> None:
    node = MobileNode(lab)
    lab.plug("visited1")
    first = node.wait("bound")
    ahead = (node.events("bu_sent")[-1]["sequence"] + 1000) % 65536
    lab.agent.command(sequence=ahead)
    lab.agent.command(request=AGENT)
    refused = node.wait("ba_received", first["mono_ns"], status=135, sequence=ahead)
    again = node.wait("ba_received", refused["mono_ns"], status=0)
    assert again["sequence"] == (ahead + 1) % 65536


def test_goes_to_the_next_home_agent_when_the_first_is_silent(lab: Lab) -> None:
    lab.agent.command(behave={AGENT: "silent"})
    node = MobileNode(lab)
    lab.plug("visited1")
    node.wait("bound", home_agent=AGENT2)
    traffic_flows(lab)


def test_tunnelled_packets_of_others_are_not_taken(lab: Lab) -> None:
    node = MobileNode(lab)
    lab.plug("visited1")
    node.wait("bound", home_agent=AGENT)
    traffic_flows(lab)
    # The same tunnel from the home agent's other address, which is not the one bound to.
    lab.inside("ha", f"ip sr tunsrc set {AGENT2}")
    assert not lab.ping("cn", HOME_ADDRESS)
    lab.inside("ha", f"ip sr tunsrc set {AGENT}")
    traffic_flows(lab)


def test_clean_stop_deregisters_and_leaves_no_route_behind(lab: Lab) -> None:
    before = kernel_state(lab)
    node = MobileNode(lab)
    lab.plug("visited1")
    node.wait("bound")
    assert node.stop() == 0
    assert lab.agent.seen("update")[-1]["lifetime"] == 0
    assert node.events("stopped")[-1]["reason"] == "deregistered"
    assert kernel_state(lab) == before


def kernel_state(lab: Lab) -> tuple[str, str]:
    """Rules and packet filter of the mobile node."""
    return lab.inside("mn", "ip -6 rule"), lab.inside("mn", "nft list ruleset")


def test_killed_node_starts_again_and_registers_again(lab: Lab) -> None:
    node = MobileNode(lab)
    lab.plug("visited1")
    node.wait("bound")
    for _ in range(3):
        begun = time.monotonic_ns()
        node.kill()
        node.restart()
        node.wait("bound", begun)
        traffic_flows(lab)
    node.stop()
    assert lab.inside("mn", "nft list ruleset") == ""


def test_events_tell_the_handover_in_order(lab: Lab) -> None:
    node = MobileNode(lab)
    lab.plug("visited1")
    node.wait("bound")
    begun = time.monotonic_ns()
    lab.unplug()
    node.wait("link_down", begun)  # of a link that is up again at once the kernel may tell nothing
    lab.plug("visited2")
    node.wait("bound", begun)
    names = ("link_down", "link_up", "rs_sent", "ra_received", "care_of_address", "bu_sent", "ba_received", "bound")
    found = {name: node.wait(name, begun)["mono_ns"] for name in names}
    assert found["link_down"] <= found["link_up"] <= found["ra_received"] <= found["bu_sent"] <= found["ba_received"] <= found["bound"]
    assert KEY not in node.events_file.read_text() + node.log.read_text()
