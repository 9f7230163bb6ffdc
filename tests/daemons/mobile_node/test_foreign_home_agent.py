"""Our mobile node with `mobility_auth: none` before a home agent of another make: scapy reads what it sends and builds the answers.

What RFC 6275 asks of a mobile node, with nothing of RFC 4285.
"""

from __future__ import annotations

import ctypes
import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest
from scapy.layers import inet6
from scapy.packet import Packet

from tests.daemons.mobile_node.lab import AGENT, AGENT2, HOME_ADDRESS, LINKS, Lab, MobileNode, until

ANYCAST = "2001:db8:a:0:fdff:ffff:ffff:fffe"
ETH_P_IPV6 = 0x86DD
P = TypeVar("P", bound=Packet)


class ForeignAgent:
    """A home agent that knows RFC 6275 alone. It sees what reaches the namespace `ha`, and sends whole packets from there."""

    def __init__(self, lab: Lab) -> None:
        self.heard: list[Packet] = []
        opened: list[socket.socket] = []

        def inside() -> None:
            descriptor = os.open(f"/run/netns/{lab.prefix}ha", os.O_RDONLY)
            assert ctypes.CDLL(None).setns(descriptor, 0x40000000) == 0
            os.close(descriptor)
            opened.append(socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_IPV6)))
            opened.append(socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW))

        thread = threading.Thread(target=inside)
        thread.start()
        thread.join()
        self._in, self._out = opened
        self._in.bind(("up0", ETH_P_IPV6))
        self._in.setblocking(False)
        lab.ip("r", f"route add {ANYCAST}/128 via {AGENT}")

    def close(self) -> None:
        self._in.close()
        self._out.close()

    def send(self, packet: Packet) -> None:
        self._out.sendto(bytes(packet), (packet.dst, 0))

    def hears(self, kind: type[P], wanted: Callable[[P], bool] = lambda layer: True) -> Packet:
        """The next packet with that layer which is as wanted; what came before it is done with."""

        def probe() -> Packet | None:
            while True:
                try:
                    raw, address = self._in.recvfrom(65535)
                except BlockingIOError:
                    return None
                packet = inet6.IPv6(raw)
                layer = packet.getlayer(kind)
                if address[2] != socket.PACKET_OUTGOING and layer is not None and wanted(layer):
                    return packet

        return until(kind.__name__, probe)

    def update(self) -> Packet:
        return self.hears(inet6.MIP6MH_BU)

    def away(self, care_of: str, agent: str = AGENT) -> Packet:
        """The headers of what goes to a mobile node that is not at home."""
        return inet6.IPv6(src=agent, dst=care_of) / inet6.IPv6ExtHdrRouting(type=2, segleft=1, addresses=[HOME_ADDRESS])

    def acknowledge(self, update: Packet, *, agent: str = AGENT, status: int = 0, sequence: int | None = None, lifetime: int = 100) -> None:
        number = update[inet6.MIP6MH_BU].seq if sequence is None else sequence
        self.send(self.away(update.src, agent) / inet6.MIP6MH_BA(status=status, seq=number, mhtime=lifetime))

    def advertise(self, care_of: str, identifier: int, *, valid_s: int = 86400) -> Packet:
        prefix = inet6.ICMPv6NDOptPrefixInfo(prefix=LINKS["home"], prefixlen=64, validlifetime=valid_s, preferredlifetime=valid_s)
        return inet6.ICMPv6MPAdv(id=identifier) / prefix


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    made = Lab(tmp_path)
    try:
        made.build()
        yield made
    finally:
        made.close()


@pytest.fixture
def agent(lab: Lab) -> Iterator[ForeignAgent]:
    made = ForeignAgent(lab)
    yield made
    made.close()


def away(lab: Lab, **changes: object) -> MobileNode:
    """Our mobile node on a visited link."""
    node = MobileNode(lab, **({"mobility_auth": "none", "spi": None, "key_file": None} | changes))
    lab.plug("visited1")
    return node


def test_a_home_registration_has_the_bits_of_one_and_a_plain_acknowledgement_binds(lab: Lab, agent: ForeignAgent) -> None:
    node = away(lab)
    update = agent.update()
    assert update.dst == AGENT
    assert [option.hoa for option in update[inet6.IPv6ExtHdrDestOpt].options if isinstance(option, inet6.HAO)] == [HOME_ADDRESS]
    message = update[inet6.MIP6MH_BU]
    assert (str(message.flags), message.mhtime) == ("HA", 150), "K and L are clear"
    assert inet6.MIP6OptMsgAuth not in update
    agent.acknowledge(update)
    assert node.wait("bound")["lifetime_s"] == 400


def test_a_sequence_number_out_of_window_is_followed_by_the_next_one(lab: Lab, agent: ForeignAgent) -> None:
    node = away(lab)
    update = agent.update()
    last = (update[inet6.MIP6MH_BU].seq + 1000) % 65536
    agent.acknowledge(update, status=135, sequence=last, lifetime=0)
    again = agent.update()
    assert again[inet6.MIP6MH_BU].seq == (last + 1) % 65536
    agent.acknowledge(again)
    node.wait("bound")


def test_a_binding_is_renewed_within_the_lifetime_that_was_granted(lab: Lab, agent: ForeignAgent) -> None:
    node = away(lab)
    agent.acknowledge(agent.update(), lifetime=1)
    bound = node.wait("bound")
    assert bound["lifetime_s"] == 4
    agent.acknowledge(agent.update())
    assert node.wait("bound", after=bound["mono_ns"])["mono_ns"] - bound["mono_ns"] < 4e9


def test_status_1_makes_it_solicit_the_prefixes_and_only_their_answer_counts(lab: Lab, agent: ForeignAgent) -> None:
    node = away(lab)
    update = agent.update()
    agent.acknowledge(update, status=1)
    asked = agent.hears(inet6.ICMPv6MPSol)
    assert [option.hoa for option in asked[inet6.IPv6ExtHdrDestOpt].options if isinstance(option, inet6.HAO)] == [HOME_ADDRESS]
    identifier = asked[inet6.ICMPv6MPSol].id
    # Not by a routing header: silence (section 11.4.3).
    agent.send(inet6.IPv6(src=AGENT, dst=update.src) / agent.advertise(update.src, identifier))
    until("it is counted", lambda: 'event="prefix_advertisement_without_routing_header"} 1.0' in node.http("/metrics"))
    assert node.events("prefixes_advertised") == []
    agent.send(agent.away(update.src) / agent.advertise(update.src, identifier))
    node.wait("prefixes_advertised")


def test_an_unsolicited_advertisement_makes_it_ask(lab: Lab, agent: ForeignAgent) -> None:
    node = away(lab)
    update = agent.update()
    agent.acknowledge(update)
    node.wait("bound")
    agent.send(agent.away(update.src) / agent.advertise(update.src, 7))
    asked = agent.hears(inet6.ICMPv6MPSol)
    assert asked.src == update.src
    assert node.events("prefixes_advertised") == []
    agent.send(agent.away(update.src) / agent.advertise(update.src, asked[inet6.ICMPv6MPSol].id))
    node.wait("prefixes_advertised")


def test_home_agents_are_discovered_and_tried_in_their_order(lab: Lab, agent: ForeignAgent) -> None:
    node = away(lab, home_agents=[], failover_after_retransmissions=0)
    request = agent.hears(inet6.ICMPv6HAADRequest)
    assert request.dst == ANYCAST
    identifier = request[inet6.ICMPv6HAADRequest].id
    agent.send(inet6.IPv6(src=AGENT, dst=request.src) / inet6.ICMPv6HAADReply(id=identifier ^ 1, addresses=["2001:db8:a0::77"]))
    agent.send(inet6.IPv6(src=AGENT, dst=request.src) / inet6.ICMPv6HAADReply(id=identifier, addresses=[AGENT2, AGENT]))
    assert agent.update().dst == AGENT2
    second = agent.hears(inet6.MIP6MH_BU, lambda layer: layer.underlayer.underlayer.dst == AGENT)
    agent.acknowledge(second)
    assert node.wait("bound")["home_agent"] == AGENT


def test_a_refusal_leads_to_the_next_home_agent(lab: Lab, agent: ForeignAgent) -> None:
    node = away(lab)
    agent.acknowledge(agent.update(), status=130, lifetime=0)
    update = agent.update()
    assert update.dst == AGENT2
    agent.acknowledge(update, agent=AGENT2)
    assert node.wait("bound")["home_agent"] == AGENT2


def test_a_refresh_request_by_the_tunnel_is_followed_by_an_update(lab: Lab, agent: ForeignAgent) -> None:
    node = away(lab)
    update = agent.update()
    agent.acknowledge(update)
    node.wait("bound")
    request = inet6.IPv6(src=AGENT, dst=HOME_ADDRESS) / inet6.MIP6MH_BRR()
    agent.send(inet6.IPv6(src=AGENT, dst=update.src, nh=41) / request)
    again = agent.update()
    assert again[inet6.MIP6MH_BU].seq == (update[inet6.MIP6MH_BU].seq + 1) % 65536


def test_a_clean_stop_deregisters(lab: Lab, agent: ForeignAgent) -> None:
    node = away(lab)
    update = agent.update()
    agent.acknowledge(update)
    node.wait("bound")
    node.process.terminate()
    farewell = agent.update()
    assert (farewell[inet6.MIP6MH_BU].mhtime, farewell[inet6.MIP6MH_BU].flags) == (0, "HA")
    agent.acknowledge(farewell, lifetime=0)
    assert node.process.wait(10) == 0
