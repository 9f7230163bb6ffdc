"""Raw sockets beside the kernel's own input: what arrives, what is counted, and what the kernel must not answer.

The same is claimed of a kernel with IPV6_MIP6, which drops without a word what it has no xfrm state for, and of one without, which would
complain.
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress

import pytest
from closedloop_nf.kernel.errors import KernelError
from closedloop_nf.kernel.home_agent import KernelHomeAgent
from closedloop_nf.kernel.mobile_node import KernelMobileNode
from closedloop_nf.kernel.sockets import MOBILITY_HEADER, Icmpv6Socket, MobilitySocket, PacketSender, ReceivedMobility
from closedloop_nf.wire import mobility
from closedloop_nf.wire.icmpv6 import (
    HomeAgentDiscoveryRequest,
    MobilePrefixSolicitation,
    ParameterProblem,
    build_icmpv6,
    home_agents_anycast,
)
from closedloop_nf.wire.ipv6 import ICMPV6, build_packet

from tests.kernel.bed import CARE_OF, HOME_ADDRESS, HOME_AGENT, Bed, drained, eventually, octets
from tests.kernel.planes import has_mip6

UPDATE = mobility.build_mobility(
    mobility.BindingUpdate(sequence=1, acknowledge=True, home_registration=True, link_local=False, key_management=False, lifetime=15)
)
ACKNOWLEDGEMENT = mobility.build_mobility(mobility.BindingAcknowledgement(status=0, key_management=False, sequence=1, lifetime=15))


def collect(sock: MobilitySocket, count: int) -> list[ReceivedMobility]:
    got: list[ReceivedMobility] = []
    eventually(f"{count} received", lambda: got.extend(sock.recv_batch()) or len(got) >= count)
    return got


def test_the_home_agent_receives_plain_messages_and_those_behind_a_home_address_option(bed: Bed, home_agent: KernelHomeAgent) -> None:
    with bed.inside("ha"):
        sock = MobilitySocket("home_agent")
        region = socket.if_nametoindex("region")
    with bed.inside("mn"):
        sender = PacketSender()
    care_of, home, agent = octets(CARE_OF), octets(HOME_ADDRESS), octets(HOME_AGENT)
    plain = mobility.seal(UPDATE, care_of, agent)
    away = mobility.seal(UPDATE, home, agent)
    solicitation = build_icmpv6(MobilePrefixSolicitation(7), home, agent)
    assert sender.send(build_packet(care_of, agent, MOBILITY_HEADER, plain))
    assert sender.send(build_packet(care_of, agent, MOBILITY_HEADER, away, home_address_option=home))
    assert sender.send(build_packet(care_of, agent, ICMPV6, solicitation, home_address_option=home))
    assert sender.send(build_packet(care_of, agent, 17, b"datagram", home_address_option=home))
    got = collect(sock, 4)
    assert got[0] == ReceivedMobility(care_of, agent, None, None, plain, region)
    assert got[1] == ReceivedMobility(care_of, agent, home, None, away, region)
    assert got[2] == ReceivedMobility(care_of, agent, home, None, solicitation, region, ICMPV6)
    assert got[3] == ReceivedMobility(care_of, agent, home, None, b"datagram", region, 17)
    sock.close()
    sender.close()


def test_a_socket_that_can_no_longer_receive_is_found_and_new_ones_receive_again(bed: Bed, home_agent: KernelHomeAgent) -> None:
    with bed.inside("ha"):
        sock = MobilitySocket("home_agent")
    with bed.inside("mn"):
        sender = PacketSender()
    care_of, agent = octets(CARE_OF), octets(HOME_AGENT)
    packet = build_packet(care_of, agent, MOBILITY_HEADER, mobility.seal(UPDATE, care_of, agent))
    for broken in range(2):
        for how in (lambda one: socket.socket(fileno=os.dup(one)).shutdown(socket.SHUT_RD), os.close):
            assert sender.send(packet)
            assert len(collect(sock, 1)) == 1
            sock.check()
            with suppress(OSError):  # `not connected` comes after it has been shut down
                how(sock.filenos()[broken])
            with pytest.raises(KernelError, match="can no longer receive"):
                sock.check()
            with pytest.raises(KernelError, match="can no longer receive"):
                sock.recv_batch()
            with bed.inside("ha"):
                sock.reopen()
    sock.close()
    with pytest.raises(KernelError, match="closed"):
        sock.check()
    sender.close()


def test_bad_packets_are_counted_and_not_raised(bed: Bed, home_agent: KernelHomeAgent) -> None:
    with bed.inside("ha"):
        sock = MobilitySocket("home_agent")
    with bed.inside("mn"):
        sender = PacketSender()
    care_of, home, agent = octets(CARE_OF), octets(HOME_ADDRESS), octets(HOME_AGENT)
    over_care_of = mobility.seal(UPDATE, care_of, agent)
    assert sender.send(build_packet(care_of, agent, MOBILITY_HEADER, over_care_of, home_address_option=home))
    assert sender.send(build_packet(care_of, agent, 60, bytes((MOBILITY_HEADER, 9, 1, 4, 0, 0, 0, 0))))
    assert sender.send(build_packet(care_of, agent, MOBILITY_HEADER, mobility.seal(UPDATE, home, agent), home_address_option=home))
    assert len(collect(sock, 1)) == 1
    assert sock.counters == {"checksum": 1, "truncated": 1} or sock.counters == {"checksum": 1}, "the kernel may drop the second itself"
    sock.close()
    sender.close()


def test_the_mobile_node_receives_what_stands_behind_a_type_2_routing_header(bed: Bed, mobile_node: KernelMobileNode) -> None:
    with bed.inside("mn"):
        sock = MobilitySocket("mobile_node")
        visited = socket.if_nametoindex("visited")
    with bed.inside("ha"):
        sender = PacketSender()
    care_of, home, agent = octets(CARE_OF), octets(HOME_ADDRESS), octets(HOME_AGENT)
    sealed = mobility.seal(ACKNOWLEDGEMENT, agent, home)
    assert sender.send(build_packet(agent, care_of, MOBILITY_HEADER, sealed, routing_home_address=home))
    assert collect(sock, 1) == [ReceivedMobility(agent, care_of, None, home, sealed, visited)]
    sock.close()
    sender.close()


def test_the_kernel_answers_neither_with_a_parameter_problem(bed: Bed, home_agent: KernelHomeAgent, mobile_node: KernelMobileNode) -> None:
    with bed.inside("mn"):
        towards_agent = PacketSender()
    with bed.inside("ha"):
        towards_node = PacketSender()
    care_of, home, agent = octets(CARE_OF), octets(HOME_ADDRESS), octets(HOME_AGENT)
    with bed.tap("r", "visited") as tap:
        update = mobility.seal(UPDATE, home, agent)
        assert towards_agent.send(build_packet(care_of, agent, MOBILITY_HEADER, update, home_address_option=home))
        acknowledgement = mobility.seal(ACKNOWLEDGEMENT, agent, home)
        assert towards_node.send(build_packet(agent, care_of, MOBILITY_HEADER, acknowledgement, routing_home_address=home))
        if not has_mip6():
            eventually("suppressed at the home agent", lambda: home_agent.stats()["parameter_problem_suppressed"] == 1)
            eventually("suppressed at the mobile node", lambda: mobile_node.stats()["parameter_problem_suppressed"] == 1)
        assert bed.ping("mn", HOME_AGENT, source=CARE_OF, count=1) == 1, "an answer to what was sent before would be on the wire by now"
        errors = [packet for packet in drained(tap) if packet[6] == ICMPV6 and packet[40] == ParameterProblem.TYPE]
    assert errors == []
    towards_agent.close()
    towards_node.close()


def test_the_anycast_address_of_home_agents_is_heard_while_joined(bed: Bed, home_agent: KernelHomeAgent) -> None:
    anycast = home_agents_anycast(octets("2001:db8:a::"), 64)
    request = build_icmpv6(HomeAgentDiscoveryRequest(7), octets(CARE_OF), anycast)
    packet = build_packet(octets(CARE_OF), anycast, ICMPV6, request)
    with bed.inside("ha"):
        sock = Icmpv6Socket([HomeAgentDiscoveryRequest.TYPE])
        sock.join_anycast(anycast, "home")
    with bed.inside("mn"):
        sender = PacketSender()
    assert sender.send(packet)
    got = []
    eventually("received", lambda: got.extend(sock.recv_batch()) or got)
    assert (got[0].source, got[0].destination, got[0].payload) == (octets(CARE_OF), anycast, request)
    with bed.inside("ha"):
        sock.leave_anycast(anycast, "home")
        sock.leave_anycast(anycast, "home")
    sock.close()
    sender.close()


def test_a_packet_without_route_is_a_lost_packet(bed: Bed) -> None:
    bed.ip("mn", "route del default")
    with bed.inside("mn"):
        sender = PacketSender()
    assert not sender.send(build_packet(octets(CARE_OF), octets(HOME_AGENT), 59, b""))
    assert sender.failures == {"enetunreach": 1}
    sender.close()
