"""The kernel enforces the lease: what leaves the home agent's namespace when the lease, the process, or the processor time is gone."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest
from closedloop_nf.kernel.choose import Kind, choose_home_agent_data_plane
from closedloop_nf.kernel.errors import DuplicateInstanceError, KernelError
from closedloop_nf.kernel.guard import TUNNEL_DEVICE
from closedloop_nf.kernel.home_agent import KernelHomeAgent
from closedloop_nf.kernel.mobile_node import KernelMobileNode
from closedloop_nf.kernel.neighbor import Announcer
from closedloop_nf.kernel.route_table import RouteTable
from closedloop_nf.kernel.sysctl import set_sysctl
from closedloop_nf.wire.icmpv6 import NeighborAdvertisement, NeighborSolicitation, build_icmpv6
from closedloop_nf.wire.ipv6 import ICMPV6, build_packet, solicited_node
from closedloop_nf.wire.nd_options import SourceLinkLayerAddress

from tests.kernel import agent
from tests.kernel.bed import CARE_OF, CORRESPONDENT, HOME_ADDRESS, HOME_AGENT, NEIGHBOUR, SHARED, Bed, drained, eventually, octets, received
from tests.kernel.planes import TUNNELS, data_planes
from tests.kernel.test_tunnel import udp_packet

LEASE_S = 0.4


class Stream:
    """Datagrams CN -> home address, one per millisecond, that carry their sending time; `arrivals`: the times of those that came."""

    def __init__(self, bed: Bed) -> None:
        self._sink = bed.udp("mn", HOME_ADDRESS)
        self._source = bed.udp("cn", CORRESPONDENT)
        self._stop = threading.Event()
        self.sent, self.arrivals = list[float](), list[float]()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        target = self._sink.getsockname()
        while not self._stop.wait(0.001):
            self.sent.append(time.monotonic())
            self._source.sendto(repr(self.sent[-1]).encode(), target)
            self.arrivals += [float(datagram) for datagram in drained(self._sink)]

    def flows(self) -> bool:
        return bool(self.arrivals) and time.monotonic() - self.arrivals[-1] < 0.05

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        self._sink.close()
        self._source.close()


@pytest.fixture
def served(bed: Bed, data_plane: str) -> Iterator[subprocess.Popen[str]]:
    """A home agent process that serves the shared address, and a mobile node bound at it."""
    process = bed.spawn("ha", sys.executable, agent.__file__, str(LEASE_S), data_plane)
    assert process.stdout is not None
    assert process.stdout.readline() == "serving\n"
    with bed.inside("mn"):
        routes = RouteTable()
        node = KernelMobileNode(TUNNELS[data_plane](routes), routes)
        node.reset()
        node.open()
        node.away(octets(HOME_ADDRESS))
        node.bind(octets(HOME_ADDRESS), octets(CARE_OF), octets(SHARED), "visited")
    yield process
    with bed.inside("mn"):
        node.close()


@pytest.fixture
def stream(bed: Bed, served: subprocess.Popen[str]) -> Iterator[Stream]:
    made = Stream(bed)
    try:
        eventually("traffic flows", made.flows)
        yield made
    finally:
        made.close()


def answers(bed: Bed, target: str) -> bool:
    """Whether anybody on the home link answers a neighbour solicitation for `target`."""
    with bed.inside("n"), contextlib.closing(RouteTable()) as own:
        link_layer_address = own.link("home").address
        index = socket.if_nametoindex("home")
    group = solicited_node(octets(target))
    solicitation = NeighborSolicitation(octets(target), (SourceLinkLayerAddress(link_layer_address),))
    message = build_icmpv6(solicitation, octets(NEIGHBOUR), group)
    with bed.tap("n", "home") as tap, bed.raw("n") as source:
        packet = build_packet(octets(NEIGHBOUR), group, ICMPV6, message, hop_limit=255)
        source.sendto(packet, (socket.inet_ntop(socket.AF_INET6, group), 0, 0, index))
        deadline = time.monotonic() + 0.3
        while time.monotonic() < deadline:
            got = received(tap, within_s=0.05) or b""
            if got[40:41] == bytes([NeighborAdvertisement.TYPE]) and got[48:64] == octets(target):
                return True
    return False


def test_without_a_lease_nothing_is_forwarded_and_nobody_is_defended(bed: Bed, home_agent: KernelHomeAgent) -> None:
    with bed.inside("ha"):
        home_agent.set_home_agent_address(octets(SHARED), on_home_link=True)
        home_agent.defend([octets("2001:db8:a::d")])
    assert answers(bed, HOME_ADDRESS)
    assert answers(bed, SHARED)
    assert answers(bed, "2001:db8:a::d")
    with bed.tap("r", "region") as tap:
        bed.ping("cn", HOME_ADDRESS, count=1)
        assert [packet for packet in drained(tap) if packet[6] == 41]
        home_agent.revoke_lease()
        bed.ping("cn", HOME_ADDRESS, count=1)
        assert [packet for packet in drained(tap) if packet[6] == 41] == []
    assert not answers(bed, HOME_ADDRESS)
    assert not answers(bed, SHARED)
    assert not answers(bed, "2001:db8:a::d")
    assert answers(bed, "2001:db8:a::ff"), "the home agent's own address is not concerned"
    counted = home_agent.stats()
    assert counted["forward_without_lease"] == 1
    assert counted["advertisement_without_lease"] >= 3
    home_agent.renew_lease(60)
    assert answers(bed, HOME_ADDRESS)
    home_agent.remove([octets("2001:db8:a::d"), octets(HOME_ADDRESS)])
    assert not answers(bed, "2001:db8:a::d")
    assert not answers(bed, HOME_ADDRESS)


def test_a_lingering_address_is_forwarded_under_the_lease_and_not_answered_for(
    bed: Bed, home_agent: KernelHomeAgent, mobile_node: KernelMobileNode
) -> None:
    home, care_of = octets(HOME_ADDRESS), octets(CARE_OF)
    assert bed.ping("cn", HOME_ADDRESS, count=1) == 1
    with bed.inside("ha"):
        home_agent.linger([home])
    assert not answers(bed, HOME_ADDRESS)
    assert bed.ping("cn", HOME_ADDRESS, count=3) == 3, "who has not heard of the move still sends here, both ways"
    home_agent.revoke_lease()
    assert bed.ping("cn", HOME_ADDRESS, count=1) == 0
    home_agent.renew_lease(60)
    with bed.inside("ha"):
        home_agent.install([(home, care_of)])
    assert answers(bed, HOME_ADDRESS), "it has come back"
    with bed.inside("ha"):
        home_agent.linger([home])
        home_agent.remove([home])
    assert not answers(bed, HOME_ADDRESS)
    assert bed.ping("cn", HOME_ADDRESS, count=1) == 0


def test_a_mobile_node_accepts_from_its_former_home_agent_for_a_time(
    bed: Bed, home_agent: KernelHomeAgent, mobile_node: KernelMobileNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("closedloop_nf.kernel.mobile_node.FORMER_S", 0.5)
    assert bed.ping("cn", HOME_ADDRESS, count=1) == 1
    stream = Stream(bed)
    try:
        eventually("flows", stream.flows)
        with bed.inside("mn"):
            mobile_node.bind(octets(HOME_ADDRESS), octets(CARE_OF), octets("2001:db8:b::bb"), "visited")
        begin = time.monotonic()
        eventually("no longer accepted", lambda: not stream.flows())
        assert stream.arrivals[-1] - begin >= 0.4
        assert mobile_node.stats()["tunnel_unexpected"] > 0
    finally:
        stream.close()


def test_announcements_leave_only_under_a_lease(bed: Bed, home_agent: KernelHomeAgent) -> None:
    with bed.inside("ha"):
        announcer = Announcer("home")
    with bed.tap("n", "home") as tap:
        home_agent.revoke_lease()
        announcer.announce([octets(HOME_ADDRESS)])
        home_agent.renew_lease(60)
        announcer.announce([octets(HOME_ADDRESS)])
        seen: list[bytes] = []
        eventually("announced", lambda: seen.extend(drained(tap)) or any(packet[48:64] == octets(HOME_ADDRESS) for packet in seen))
    announcer.close()
    assert len([packet for packet in seen if packet[48:64] == octets(HOME_ADDRESS)]) == 1
    assert home_agent.stats()["advertisement_without_lease"] == 1


def test_a_lease_ends_by_itself_and_can_be_shortened(bed: Bed, home_agent: KernelHomeAgent, mobile_node: KernelMobileNode) -> None:
    assert bed.ping("cn", HOME_ADDRESS) == 3
    home_agent.renew_lease(0.2)
    deadline = time.monotonic() + 0.2
    eventually("forwarding ended", lambda: bed.ping("cn", HOME_ADDRESS, count=1) == 0)
    assert time.monotonic() >= deadline
    home_agent.renew_lease(60)
    assert bed.ping("cn", HOME_ADDRESS) == 3
    home_agent.renew_lease(0)
    assert bed.ping("cn", HOME_ADDRESS, count=1) == 0


@pytest.mark.parametrize("attempt", range(5))
def test_a_killed_process_forwards_nothing_after_its_health_port_refuses(
    bed: Bed, served: subprocess.Popen[str], stream: Stream, attempt: int
) -> None:
    """The refusal is HA-B's proof that the home address may be given to another."""
    with bed.inside("r"):
        os.kill(served.pid, signal.SIGKILL)
        refused = wait_for_refusal()
    time.sleep(0.1)
    assert stream.arrivals[-1] <= refused
    assert not answers(bed, HOME_ADDRESS)
    assert not answers(bed, SHARED)


def wait_for_refusal() -> float:
    """When a connection to the home agent's health port was refused, begun after the previous one had been accepted."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.settimeout(1)
            try:
                probe.connect(("2001:db8:a0::1", agent.HEALTH_PORT))
            except ConnectionRefusedError:
                return time.monotonic()
            except (ConnectionResetError, TimeoutError):
                continue  # met the listener while it was being closed
    raise AssertionError("the health port of a killed process still accepts")


def test_a_stopped_process_forwards_nothing_after_its_lease(bed: Bed, served: subprocess.Popen[str], stream: Stream) -> None:
    os.kill(served.pid, signal.SIGSTOP)
    stopped = time.monotonic()
    time.sleep(LEASE_S + 0.3)
    assert stopped + LEASE_S / 2 < stream.arrivals[-1] <= stopped + LEASE_S + 0.02
    assert not answers(bed, HOME_ADDRESS)
    assert not answers(bed, SHARED)
    os.kill(served.pid, signal.SIGCONT)
    eventually("it serves again when it wakes and renews", stream.flows)


def test_a_second_process_is_refused_and_disturbs_nothing(bed: Bed, data_plane: str, served: subprocess.Popen[str], stream: Stream) -> None:
    begun = len(stream.sent)
    second = bed.spawn("ha", sys.executable, agent.__file__, "1", data_plane)
    assert second.stdout is not None
    assert second.stdout.readline() == f"{DuplicateInstanceError.__name__}\n"
    sent = set(stream.sent[begun:])
    assert len(sent) > 10
    eventually("all that was sent meanwhile has arrived", lambda: sent <= set(stream.arrivals))


def test_a_successor_removes_what_a_killed_process_left_and_serves(
    bed: Bed, data_plane: str, served: subprocess.Popen[str], stream: Stream
) -> None:
    os.kill(served.pid, signal.SIGKILL)
    served.wait()
    assert "proto 75" in bed.ip("ha", "route show table all")
    assert SHARED in bed.ip("ha", "address show")
    with bed.inside("ha"):
        routes = RouteTable()
        plane = KernelHomeAgent(TUNNELS[data_plane](routes), routes, "home", "region")
        plane.reset()
    assert ours(bed, "ha") == []
    shut = time.monotonic()
    eventually("reset leaves forwarding shut", lambda: not stream.flows())
    assert stream.arrivals[-1] <= shut
    with bed.inside("ha"):
        plane.open()
        plane.set_home_agent_address(octets(SHARED), on_home_link=True)
        plane.install([(octets(HOME_ADDRESS), octets(CARE_OF))])
        plane.renew_lease(60)
    eventually("it serves", stream.flows)
    with bed.inside("ha"):
        plane.close()


def test_a_successor_chooses_by_the_kernel_and_not_by_what_is_left(bed: Bed, served: subprocess.Popen[str]) -> None:
    """The kernel allows one external ip6tnl device per namespace, so that of a killed process must neither hide that there is one, nor stay
    when the successor has the other data plane."""
    os.kill(served.pid, signal.SIGKILL)
    served.wait()
    for kind, expected in (("auto", data_planes()[0]), *((name, name) for name in data_planes())):
        with bed.inside("ha"):
            plane = choose_home_agent_data_plane("home", "region", cast(Kind, kind))
            assert plane.name == expected
            plane.reset()
            assert ours(bed, "ha") == []
            plane.open()
            # Left as a kill leaves it, but for the guard's ownership.
            cast(KernelHomeAgent, plane)._guard.nft.close()


def test_nothing_is_decapsulated_after_a_kill(bed: Bed, served: subprocess.Popen[str]) -> None:
    with bed.udp("ha", HOME_AGENT) as sink, bed.raw("mn") as source:
        port = sink.getsockname()[1]
        os.kill(served.pid, signal.SIGKILL)
        served.wait()
        for address in (SHARED, HOME_AGENT):
            inner = udp_packet(HOME_ADDRESS, HOME_AGENT, b"tunnelled", port)
            source.sendto(build_packet(octets(CARE_OF), octets(address), 41, inner), (address, 0))
        source.sendto(udp_packet(CARE_OF, HOME_AGENT, b"plain", port), (HOME_AGENT, 0))
        assert received(sink) == b"plain"
        assert drained(sink) == []


class Looking(KernelHomeAgent):
    """Asks the home link who answers for the addresses, before what is left of them is removed."""

    def look(self, bed: Bed) -> None:
        self.bed = bed
        self.answered: list[bool] = []

    def _clean(self) -> None:
        self.answered += [answers(self.bed, SHARED), answers(self.bed, HOME_ADDRESS)]
        super()._clean()


def test_nobody_answers_for_what_a_killed_process_left_while_its_successor_cleans_up(
    bed: Bed, data_plane: str, served: subprocess.Popen[str]
) -> None:
    """By then another home agent may serve: the successor of the killed one must not open its mouth with the predecessor's addresses."""
    assert answers(bed, SHARED)
    os.kill(served.pid, signal.SIGKILL)
    served.wait()
    with bed.inside("ha"):
        routes = RouteTable()
        plane = Looking(TUNNELS[data_plane](routes), routes, "home", "region")
        plane.look(bed)
        plane.reset()
        assert plane.answered == [False, False]
        plane.open()
        plane.set_home_agent_address(octets(SHARED), on_home_link=True)
        plane.install([(octets(HOME_ADDRESS), octets(CARE_OF))])
        plane.renew_lease(60)
    assert answers(bed, SHARED)
    with bed.inside("ha"):
        plane.revoke_lease()
        plane.close()
    assert plane.answered == [False] * 4


def ours(bed: Bed, host: str) -> list[str]:
    """Everything of the data plane's that a namespace holds, but for the guard's tables."""
    left = bed.ip(host, "route show table all proto 75").splitlines()
    left += [line for line in bed.ip(host, "rule show").splitlines() if "proto 75" in line or "fwmark" in line]
    left += bed.ip(host, "neigh show proxy").splitlines()
    left += [line for line in bed.ip(host, "address show").splitlines() if SHARED in line]
    left += [line for line in bed.ip(host, "-o link show").splitlines() if TUNNEL_DEVICE in line]
    return left


def tables(bed: Bed, host: str) -> str:
    return subprocess.run(
        ["ip", "netns", "exec", bed.name(host), "nft", "list", "tables"], capture_output=True, text=True, check=True
    ).stdout


def test_close_leaves_nothing(bed: Bed, home_agent: KernelHomeAgent, mobile_node: KernelMobileNode) -> None:
    rules = bed.ip("cn", "rule show")
    with bed.inside("ha"):
        home_agent.set_home_agent_address(octets(SHARED), on_home_link=True)
        home_agent.close()
    with bed.inside("mn"):
        mobile_node.close()
    for host in ("ha", "mn"):
        assert ours(bed, host) == []
        assert tables(bed, host) == ""
        assert bed.ip(host, "rule show") == rules


def test_a_successor_of_a_mobile_node_removes_what_it_left(bed: Bed, data_plane: str, mobile_node: KernelMobileNode) -> None:
    assert ours(bed, "mn") != []
    with bed.inside("mn"):
        routes = RouteTable()
        successor = KernelMobileNode(TUNNELS[data_plane](routes), routes)
        successor.reset()
        assert ours(bed, "mn") == []
        assert f"{HOME_ADDRESS}/128" in bed.ip("mn", "address show dev lo"), "the home address stays"
        successor.close()


def test_two_capabilities_suffice(bed: Bed, data_plane: str) -> None:
    """CAP_NET_ADMIN and CAP_NET_RAW, no root, no new privileges: as ha-pp and mobile-node run."""
    own = ["setpriv", "--bounding-set=-all,+net_admin,+net_raw", "--inh-caps=-all,+net_admin,+net_raw", "--no-new-privs"]
    process = bed.spawn("ha", *own, sys.executable, agent.__file__, "1", data_plane)
    assert process.stdout is not None
    assert process.stdout.readline() == "serving\n"
    status = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii")
    effective = int(next(line.split()[1] for line in status.splitlines() if line.startswith("CapEff")), 16)
    assert effective == 1 << 12 | 1 << 13


def test_sysctls_that_cannot_be_set_are_named(bed: Bed) -> None:
    with bed.inside("ha"), pytest.raises(KernelError, match=r"net/ipv6/conf/nowhere/proxy_ndp must be 1"):
        set_sysctl("net/ipv6/conf/nowhere/proxy_ndp", 1)
