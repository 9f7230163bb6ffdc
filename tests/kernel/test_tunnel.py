"""Both directions of the tunnel, by packets: what it carries, what it looks like, what it refuses."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from closedloop_nf.kernel.home_agent import KernelHomeAgent
from closedloop_nf.kernel.mobile_node import KernelMobileNode
from closedloop_nf.wire.ipv6 import build_packet, checksum

from tests.kernel.bed import CARE_OF, CORRESPONDENT, HOME_ADDRESS, HOME_AGENT, HOME_LINK, SHARED, Bed, drained, eventually, octets, received

UDP = 17
OTHER_HOME_ADDRESS = "2001:db8:a::2"
HEADERS = 48
"""IPv6 and ICMPv6 headers of an echo request."""


@contextmanager
def relaying(plane: KernelHomeAgent | KernelMobileNode) -> Iterator[None]:
    """What the shell's event loop does: call the plane's readers."""
    stop = threading.Event()

    def pump() -> None:
        while not stop.wait(0.005):
            for callback in plane.readers().values():
                callback()

    thread = threading.Thread(target=pump)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def udp_packet(source: str, destination: str, payload: bytes, port: int, *, hop_limit: int = 64) -> bytes:
    datagram = port.to_bytes(2, "big") * 2 + (8 + len(payload)).to_bytes(2, "big") + b"\0\0" + payload
    check = checksum(octets(source), octets(destination), UDP, datagram) or 0xFFFF
    return build_packet(octets(source), octets(destination), UDP, datagram[:6] + check.to_bytes(2, "big") + payload, hop_limit=hop_limit)


def test_traffic_flows_both_ways_and_to_the_home_agent_itself(bed: Bed, home_agent: KernelHomeAgent, mobile_node: KernelMobileNode) -> None:
    assert bed.ping("cn", HOME_ADDRESS) == 3
    assert bed.ping("mn", CORRESPONDENT, source=HOME_ADDRESS) == 3
    assert bed.ping("mn", HOME_AGENT, source=HOME_ADDRESS) == 3
    assert bed.ping("n", HOME_ADDRESS) == 3, "a host on the home link reaches the mobile node by proxy neighbour discovery"


def test_on_the_wire_it_is_plain_ipv6_in_ipv6(bed: Bed, home_agent: KernelHomeAgent, mobile_node: KernelMobileNode) -> None:
    with bed.tap("r", "visited") as tap:
        assert bed.ping("cn", HOME_ADDRESS, count=1) == 1
        tunnelled = [packet for packet in drained(tap) if packet[6] == 41]
    outbound = next(packet for packet in tunnelled if packet[24:40] == octets(CARE_OF))
    inbound = next(packet for packet in tunnelled if packet[24:40] == octets(HOME_AGENT))
    assert outbound[8:24] == octets(HOME_AGENT)
    assert outbound[48:80] == octets(CORRESPONDENT) + octets(HOME_ADDRESS), "no header between outer and inner one"
    assert inbound[8:24] == octets(CARE_OF)
    assert inbound[48:80] == octets(HOME_ADDRESS) + octets(CORRESPONDENT)


def test_1460_octets_pass_and_more_is_answered_by_packet_too_big_to_the_inner_source(
    bed: Bed, home_agent: KernelHomeAgent, mobile_node: KernelMobileNode
) -> None:
    with relaying(home_agent), relaying(mobile_node):
        assert bed.ping("cn", HOME_ADDRESS, count=1, size=1460 - HEADERS) == 1
        assert bed.ping("mn", CORRESPONDENT, source=HOME_ADDRESS, count=1, size=1460 - HEADERS) == 1
        answer = bed.ping_output("cn", HOME_ADDRESS, size=1461 - HEADERS)
        assert re.search(r"From 2001:db8:a(0::1|::ff) .*mtu=1460", answer), f"not from the home agent: {answer}"
        assert "mtu: 1460" in bed.ping_output("cn", HOME_ADDRESS, size=1461 - HEADERS), "the correspondent's kernel learnt it"
        assert "mtu: 1460" in bed.ping_output("mn", CORRESPONDENT, source=HOME_ADDRESS, size=1461 - HEADERS)
    if home_agent.name == "seg6":
        assert home_agent.stats()["too_big_relayed"] == 1


def test_a_narrow_link_on_the_way_is_told_to_the_inner_source(bed: Bed, home_agent: KernelHomeAgent, mobile_node: KernelMobileNode) -> None:
    bed.ip("r", "link set visited mtu 1400")
    with relaying(home_agent), relaying(mobile_node):
        assert "mtu=1360" in bed.ping_output("cn", HOME_ADDRESS, size=1450 - HEADERS)
        assert bed.ping("cn", HOME_ADDRESS, count=1, size=1360 - HEADERS) == 1
    bed.ip("r", "link set visited mtu 1500")
    bed.ip("r", "link set region mtu 1400")
    with relaying(home_agent), relaying(mobile_node):
        bed.ping_output("mn", CORRESPONDENT, source=HOME_ADDRESS, size=1450 - HEADERS)
        answer = bed.ping_output("mn", CORRESPONDENT, source=HOME_ADDRESS, size=1450 - HEADERS)
        learnt = int(answer.split("mtu: ")[1].split()[0])
        assert 1280 <= learnt <= 1360, "the kernel may take its headroom of 64 off what a Packet Too Big said"
        assert bed.ping("mn", CORRESPONDENT, source=HOME_ADDRESS, size=learnt - HEADERS) == 3


@pytest.mark.parametrize("towards_mobile_node", [True, False])
def test_tcp_fills_the_tunnel(bed: Bed, home_agent: KernelHomeAgent, mobile_node: KernelMobileNode, towards_mobile_node: bool) -> None:
    size = 20 << 20
    with bed.inside("cn"):
        listener = socket.create_server((CORRESPONDENT, 0), family=socket.AF_INET6)
    with bed.inside("mn"):
        client = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
    got = bytearray()
    with relaying(home_agent), relaying(mobile_node), listener, client:
        client.bind((HOME_ADDRESS, 0))
        client.settimeout(20)
        client.connect(listener.getsockname())
        server = listener.accept()[0]
        server.settimeout(20)
        sender, receiver = (server, client) if towards_mobile_node else (client, server)

        def send() -> None:
            sender.sendall(bytes(size))
            sender.shutdown(socket.SHUT_WR)

        thread = threading.Thread(target=send)
        thread.start()
        while chunk := receiver.recv(1 << 20):
            got += chunk
        thread.join()
        server.close()
    assert len(got) == size


@pytest.mark.parametrize(
    ("outer_source", "inner_source", "counter"),
    [
        ("2001:db8:c::2", HOME_ADDRESS, "tunnel_unbound"),
        (CARE_OF, OTHER_HOME_ADDRESS, "tunnel_unbound"),
        (CARE_OF, "2001:db8:a::ff", "tunnel_unbound"),
        (CARE_OF, CORRESPONDENT, "tunnel_unbound"),
    ],
)
def test_a_reverse_tunnelled_packet_needs_its_own_care_of_address(
    bed: Bed, home_agent: KernelHomeAgent, outer_source: str, inner_source: str, counter: str
) -> None:
    with bed.udp("cn", CORRESPONDENT) as sink, bed.raw("mn") as source:
        port = sink.getsockname()[1]
        forged = build_packet(octets(outer_source), octets(HOME_AGENT), 41, udp_packet(inner_source, CORRESPONDENT, b"forged", port))
        source.sendto(forged, (HOME_AGENT, 0))
        genuine = build_packet(octets(CARE_OF), octets(HOME_AGENT), 41, udp_packet(HOME_ADDRESS, CORRESPONDENT, b"genuine", port))
        source.sendto(genuine, (HOME_AGENT, 0))
        assert received(sink) == b"genuine", "the forged one came first and did not pass"
        assert drained(sink) == []
    assert home_agent.stats()[counter] == 1


def test_the_old_care_of_address_is_refused_after_a_move(bed: Bed, home_agent: KernelHomeAgent) -> None:
    home_agent.install([(octets(HOME_ADDRESS), octets("2001:db8:c::2"))])
    with bed.udp("cn", CORRESPONDENT) as sink, bed.raw("mn") as source:
        port = sink.getsockname()[1]
        for care_of, payload in ((CARE_OF, b"old"), ("2001:db8:c::2", b"new")):
            inner = udp_packet(HOME_ADDRESS, CORRESPONDENT, payload, port)
            source.sendto(build_packet(octets(care_of), octets(HOME_AGENT), 41, inner), (HOME_AGENT, 0))
        assert received(sink) == b"new"


def test_only_what_is_tunnelled_to_the_home_agents_address_is_decapsulated(bed: Bed, home_agent: KernelHomeAgent) -> None:
    """Another address of the same host, reached straight and from inside a tunnelled packet that is itself permitted."""
    with bed.udp("cn", CORRESPONDENT) as sink, bed.raw("mn") as source:
        port = sink.getsockname()[1]
        straight = build_packet(octets(CARE_OF), octets(HOME_LINK), 41, udp_packet(HOME_ADDRESS, CORRESPONDENT, b"straight", port))
        source.sendto(straight, (HOME_LINK, 0))
        innermost = udp_packet(OTHER_HOME_ADDRESS, CORRESPONDENT, b"nested", port)
        nested = build_packet(octets(HOME_ADDRESS), octets(HOME_LINK), 41, innermost)
        source.sendto(build_packet(octets(CARE_OF), octets(HOME_AGENT), 41, nested), (HOME_AGENT, 0))
        genuine = udp_packet(HOME_ADDRESS, CORRESPONDENT, b"genuine", port)
        source.sendto(build_packet(octets(CARE_OF), octets(HOME_AGENT), 41, genuine), (HOME_AGENT, 0))
        assert received(sink) == b"genuine"
        assert drained(sink) == []
    if home_agent.name == "ip6tnl":
        assert home_agent.stats()["tunnel_elsewhere"] == 2


@pytest.mark.parametrize(
    ("inner_destination", "counter"), [("ff02::1", "tunnel_inner_destination"), ("fe80::1", "tunnel_inner_destination")]
)
def test_inner_destinations_of_link_scope_are_refused(bed: Bed, home_agent: KernelHomeAgent, inner_destination: str, counter: str) -> None:
    with bed.raw("mn") as source:
        inner = udp_packet(HOME_ADDRESS, inner_destination, b"", 9)
        source.sendto(build_packet(octets(CARE_OF), octets(HOME_AGENT), 41, inner), (HOME_AGENT, 0))
    eventually("counted", lambda: home_agent.stats()[counter] == 1)


def test_a_tunnel_encapsulation_limit_option_is_accepted_and_checked_alike(bed: Bed, home_agent: KernelHomeAgent) -> None:
    """RFC 2473 section 4.1.1: other implementations put a destination options header between outer and inner one."""
    limit_option = bytes((41, 0, 4, 1, 4, 1, 0, 0))
    with bed.udp("cn", CORRESPONDENT) as sink, bed.raw("mn") as source:
        port = sink.getsockname()[1]
        for inner_source, payload in ((OTHER_HOME_ADDRESS, b"forged"), (HOME_ADDRESS, b"genuine")):
            inner = limit_option + udp_packet(inner_source, CORRESPONDENT, payload, port)
            source.sendto(build_packet(octets(CARE_OF), octets(HOME_AGENT), 60, inner), (HOME_AGENT, 0))
        assert received(sink) == b"genuine"
        assert drained(sink) == []


def test_fragments_of_a_tunnelled_packet_are_counted(bed: Bed, home_agent: KernelHomeAgent) -> None:
    first_fragment = bytes((41, 0, 0, 1, 0, 0, 0, 7))
    with bed.raw("mn") as source:
        inner = udp_packet(HOME_ADDRESS, CORRESPONDENT, bytes(40), 9)
        source.sendto(build_packet(octets(CARE_OF), octets(HOME_AGENT), 44, first_fragment + inner), (HOME_AGENT, 0))
    eventually("counted", lambda: home_agent.stats()["tunnel_fragment"] == 1)


def test_the_mobile_node_takes_tunnelled_packets_from_its_home_agent_only(
    bed: Bed, home_agent: KernelHomeAgent, mobile_node: KernelMobileNode
) -> None:
    with bed.udp("mn", HOME_ADDRESS) as sink, bed.raw("r") as router, bed.raw("cn") as correspondent:
        port = sink.getsockname()[1]
        inner = udp_packet(CORRESPONDENT, HOME_ADDRESS, b"forged", port)
        router.sendto(build_packet(octets("2001:db8:a0::2"), octets(CARE_OF), 41, inner), (CARE_OF, 0))
        correspondent.sendto(udp_packet(CORRESPONDENT, HOME_ADDRESS, b"genuine", port), (HOME_ADDRESS, 0))
        assert received(sink) == b"genuine"
        assert drained(sink) == []
    assert mobile_node.stats()["tunnel_unexpected"] == 1


def test_while_unbound_nothing_leaves_with_the_home_address(bed: Bed, mobile_node: KernelMobileNode) -> None:
    mobile_node.unbind()
    with bed.tap("r", "visited") as tap:
        assert bed.ping("mn", CORRESPONDENT, source=HOME_ADDRESS, count=1) == 0
        assert [packet for packet in drained(tap) if octets(HOME_ADDRESS) in packet] == []


def test_expected_packets_are_accepted_beside_the_binding(bed: Bed, home_agent: KernelHomeAgent, mobile_node: KernelMobileNode) -> None:
    """The home agent's tunnelled packets may overtake its acknowledgement; the old binding serves until then."""
    bed.ip("mn", "address add 2001:db8:c::2/64 dev visited nodad")
    with bed.inside("mn"):
        mobile_node.expect(octets(HOME_ADDRESS), octets("2001:db8:c::2"), octets(HOME_AGENT), "visited")
    with bed.udp("mn", HOME_ADDRESS) as sink, bed.udp("cn", CORRESPONDENT) as source:
        source.sendto(b"by the old one", sink.getsockname())
        assert received(sink) == b"by the old one"
        home_agent.install([(octets(HOME_ADDRESS), octets("2001:db8:c::2"))])
        source.sendto(b"by the new one", sink.getsockname())
        assert received(sink) == b"by the new one"


def test_connections_survive_leaving_and_returning_home(bed: Bed, home_agent: KernelHomeAgent, mobile_node: KernelMobileNode) -> None:
    with bed.inside("mn"):
        mobile_node.at_home(octets(HOME_ADDRESS), 64, "visited", octets("2001:db8:c::ff"))
        assert f"{HOME_ADDRESS}/64" in bed.ip("mn", "address show dev visited")
        assert HOME_ADDRESS not in bed.ip("mn", "address show dev lo")
        assert "default via 2001:db8:c::ff" in bed.ip("mn", "route show proto 75")
        mobile_node.away(octets(HOME_ADDRESS))
        assert HOME_ADDRESS not in bed.ip("mn", "address show dev visited")
        assert bed.ip("mn", "route show table main proto 75") == ""
        mobile_node.bind(octets(HOME_ADDRESS), octets(CARE_OF), octets(HOME_AGENT), "visited")
    assert bed.ping("mn", CORRESPONDENT, source=HOME_ADDRESS) == 3


def test_the_shared_address_serves_tunnels_on_the_home_link(bed: Bed, home_agent: KernelHomeAgent, mobile_node: KernelMobileNode) -> None:
    with bed.inside("ha"):
        home_agent.set_home_agent_address(octets(SHARED), on_home_link=True)
    with bed.inside("mn"):
        mobile_node.bind(octets(HOME_ADDRESS), octets(CARE_OF), octets(SHARED), "visited")
    assert bed.ping("cn", HOME_ADDRESS) == 3
    assert bed.ping("mn", CORRESPONDENT, source=HOME_ADDRESS) == 3
    assert bed.ping("mn", SHARED, source=HOME_ADDRESS) == 3
    home_agent.clear_home_agent_address()
    assert SHARED not in bed.ip("ha", "address show")


def test_care_of_addresses_that_are_home_addresses_cannot_make_a_loop(bed: Bed, home_agent: KernelHomeAgent) -> None:
    """Each of the two would be encapsulated to the other, for ever, inside one kernel stack."""
    pair = octets("2001:db8:a::11"), octets("2001:db8:a::12")
    home_agent.install([pair, (pair[1], pair[0])])
    assert bed.ping("cn", "2001:db8:a::11", count=1) == 0
    assert home_agent.stats()["nested_bindings"] >= 1
    assert "unreachable 2001:db8:a::12" in bed.ip("ha", "route show proto 75")


def test_two_mobile_nodes_reach_each_other_through_the_home_agent(
    bed: Bed, home_agent: KernelHomeAgent, mobile_node: KernelMobileNode
) -> None:
    """Both addresses end at the same node here: what matters is that the home agent encapsulates what it has just decapsulated."""
    bed.ip("mn", "address add 2001:db8:c::2/64 dev visited nodad")
    bed.ip("mn", f"address add {OTHER_HOME_ADDRESS}/128 dev lo nodad")
    home_agent.install([(octets(OTHER_HOME_ADDRESS), octets("2001:db8:c::2"))])
    with bed.tap("r", "visited") as tap, bed.raw("mn") as source:
        inner = udp_packet(HOME_ADDRESS, OTHER_HOME_ADDRESS, b"hello", 9)
        source.sendto(build_packet(octets(CARE_OF), octets(HOME_AGENT), 41, inner), (HOME_AGENT, 0))
        seen: list[bytes] = []
        outer = octets(HOME_AGENT) + octets("2001:db8:c::2")
        eventually("sent on to the other care-of address", lambda: seen.extend(drained(tap)) or any(p[8:40] == outer for p in seen))


@pytest.mark.parametrize(("host", "port"), [("ha", "home"), ("fabric", "ha-home"), ("fabric", "ha-region")])
def test_an_interface_that_was_down_serves_again(
    bed: Bed, home_agent: KernelHomeAgent, mobile_node: KernelMobileNode, host: str, port: str
) -> None:
    """The kernel forgets addresses, routes and proxy neighbours of an interface that goes down."""
    with bed.inside("ha"):
        home_agent.set_home_agent_address(octets(SHARED), on_home_link=True)
    with bed.inside("mn"):
        mobile_node.bind(octets(HOME_ADDRESS), octets(CARE_OF), octets(SHARED), "visited")
    with relaying(home_agent):
        bed.ip(host, f"link set {port} down")
        eventually("it does not serve", lambda: bed.ping("n", HOME_ADDRESS, count=1) == 0)
        bed.ip(host, f"link set {port} up")
        eventually("repaired", lambda: home_agent.stats()["link_repairs"] == 1)
        eventually("it serves", lambda: bed.ping("n", HOME_ADDRESS, count=1) == 1)
