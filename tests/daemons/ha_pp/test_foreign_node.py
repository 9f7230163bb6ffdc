"""Our home agent with `mobility_auth: none` before a mobile node of another make: scapy builds the packets, and scapy reads what comes.

What RFC 6275 asks of a home agent, with nothing of RFC 4285.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TypeVar

import pytest
from closedloop_nf.link import messages as link
from scapy.layers import inet6
from scapy.packet import Packet

from tests.daemons.ha_pp.backend import Backend
from tests.daemons.ha_pp.bring_up import serving
from tests.daemons.ha_pp.lab import AGENT, CARE_OF, CARE_OF_2, HOME, HOME_LINK, HOME_PREFIX, Lab, octets, until
from tests.daemons.ha_pp.node import Node

ANYCAST = "2001:db8:40::fdff:ffff:ffff:fffe"
P = TypeVar("P", bound=Packet)


class Foreign:
    """A mobile node that knows RFC 6275 alone."""

    def __init__(self, node: Node, care_of: str = CARE_OF) -> None:
        self.node, self.care_of = node, care_of
        self.sequence = random.randrange(1 << 16)

    def send(self, packet: Packet) -> None:
        self.node.send(bytes(packet))

    def away(self, destination: str = AGENT, home: str = HOME) -> Packet:
        """The headers of what is sent with a Home Address option."""
        options = inet6.IPv6ExtHdrDestOpt(options=[inet6.HAO(hoa=home)])
        return inet6.IPv6(src=self.care_of, dst=destination) / options

    def update(self, *, flags: str = "HA", lifetime: int = 100, sequence: int | None = None, options: list[Packet] | None = None) -> None:
        if sequence is None:
            self.sequence = sequence = (self.sequence + 1) % 65536
        self.send(self.away() / inet6.MIP6MH_BU(seq=sequence, flags=flags, mhtime=lifetime, options=options or []))

    async def hears(self, kind: type[P], wanted: Callable[[P], bool] = lambda packet: True) -> P:
        """The first packet with that layer which is as wanted."""

        def probe() -> P | None:
            for raw in self.node.raw:
                packet = inet6.IPv6(raw)
                layer = packet.getlayer(kind)
                if layer is not None and wanted(layer):
                    return packet  # type: ignore[no-any-return] # scapy has no types
            return None

        return await until(kind.__name__, probe)

    async def acknowledged(self, sequence: int | None = None) -> Packet:
        number = self.sequence if sequence is None else sequence
        return await self.hears(inet6.MIP6MH_BA, lambda layer: layer.seq == number)


@pytest.fixture
async def foreign(lab: Lab, backend: Backend, node: Node) -> Foreign:
    backend.keys = []
    await serving(lab, backend, mobility_auth="none", prefix_advertisement={"min_interval_s": 0.3, "max_interval_s": 0.6})
    return Foreign(node)


async def test_a_home_registration_is_acknowledged_behind_a_type_2_routing_header(lab: Lab, foreign: Foreign) -> None:
    foreign.update(flags="HAK")
    answer = await foreign.acknowledged()
    assert (answer[inet6.IPv6].src, answer[inet6.IPv6].dst) == (AGENT, CARE_OF)
    routing = answer[inet6.IPv6ExtHdrRouting]
    assert (routing.type, routing.segleft, routing.addresses) == (2, 1, [HOME])
    acknowledgement = answer[inet6.MIP6MH_BA]
    assert (acknowledgement.status, acknowledgement.mhtime) == (0, 100)
    assert acknowledgement.flags == "", "K is clear: no key management of ours could move its end (section 10.3.1)"
    assert inet6.MIP6OptMsgAuth not in answer
    assert await lab.pings(HOME, 3)


async def test_an_update_without_the_acknowledge_bit_is_acknowledged_too(foreign: Foreign) -> None:
    foreign.update(flags="H")
    assert (await foreign.acknowledged())[inet6.MIP6MH_BA].status == 0


async def test_an_alternate_care_of_address_is_the_one_that_is_bound(backend: Backend, foreign: Foreign) -> None:
    foreign.update(options=[inet6.MIP6OptAltCoA(acoa=CARE_OF_2)])
    answer = await foreign.acknowledged()
    assert answer[inet6.IPv6].dst == CARE_OF_2
    assert backend.said(link.Register)[-1].care_of_address == octets(CARE_OF_2)


async def test_an_unknown_mobility_option_is_skipped(foreign: Foreign) -> None:
    foreign.update(options=[inet6.MIP6OptUnknown(otype=77, odata=b"from elsewhere")])
    assert (await foreign.acknowledged())[inet6.MIP6MH_BA].status == 0


async def test_a_lifetime_is_granted_up_to_the_home_agents_own(foreign: Foreign) -> None:
    foreign.update(lifetime=65535)
    assert (await foreign.acknowledged())[inet6.MIP6MH_BA].mhtime * 4 == 3600


async def test_an_old_sequence_number_is_refused_with_the_last_one_taken(foreign: Foreign) -> None:
    foreign.update(sequence=65530)
    await foreign.acknowledged(65530)
    foreign.update(sequence=65529)
    refused = await foreign.hears(inet6.MIP6MH_BA, lambda layer: layer.status == 135)
    assert refused[inet6.MIP6MH_BA].seq == 65530
    foreign.update(sequence=3)
    assert (await foreign.acknowledged(3))[inet6.MIP6MH_BA].status == 0, "newer modulo 2**16"


async def test_a_deregistration_is_acknowledged_and_another_has_nothing_to_delete(lab: Lab, foreign: Foreign) -> None:
    foreign.update()
    await foreign.acknowledged()
    foreign.update(lifetime=0)
    gone = (await foreign.acknowledged())[inet6.MIP6MH_BA]
    assert (gone.status, gone.mhtime) == (0, 0)
    assert not await lab.pings(HOME)
    foreign.update(lifetime=0)
    assert (await foreign.acknowledged())[inet6.MIP6MH_BA].status == 133


async def test_a_home_address_of_another_network_is_refused(foreign: Foreign) -> None:
    foreign.send(foreign.away(home="2001:db8:99::1") / inet6.MIP6MH_BU(seq=9, flags="HA", mhtime=100))
    assert (await foreign.acknowledged(9))[inet6.MIP6MH_BA].status == 132


async def test_home_agents_are_discovered_by_the_anycast_address(foreign: Foreign) -> None:
    foreign.send(inet6.IPv6(src=CARE_OF, dst=ANYCAST) / inet6.ICMPv6HAADRequest(id=4711))
    reply = await foreign.hears(inet6.ICMPv6HAADReply)
    assert (reply.src, reply.dst, reply[inet6.ICMPv6HAADReply].id) == (AGENT, CARE_OF, 4711)
    assert reply[inet6.ICMPv6HAADReply].addresses == [AGENT]


async def test_a_prefix_solicitation_is_answered_with_its_identifier(foreign: Foreign) -> None:
    foreign.update()
    await foreign.acknowledged()
    foreign.send(foreign.away() / inet6.ICMPv6MPSol(id=815))
    answer = await foreign.hears(inet6.ICMPv6MPAdv, lambda layer: layer.id == 815)
    assert answer[inet6.IPv6ExtHdrRouting].addresses == [HOME]
    prefix = answer[inet6.ICMPv6NDOptPrefixInfo]
    assert (prefix.prefix, prefix.prefixlen, prefix.L, prefix.A) == (HOME_PREFIX, 64, 1, 1)


async def test_prefixes_are_advertised_without_being_asked_for(foreign: Foreign) -> None:
    foreign.update()
    await foreign.acknowledged()
    unasked = await foreign.hears(inet6.ICMPv6MPAdv)
    assert (unasked.src, unasked.dst, unasked[inet6.IPv6ExtHdrRouting].addresses) == (AGENT, CARE_OF, [HOME])
    assert unasked[inet6.ICMPv6NDOptPrefixInfo].prefix == HOME_PREFIX
    again = unasked[inet6.ICMPv6MPAdv].id
    await foreign.hears(inet6.ICMPv6MPAdv, lambda layer: layer.id != again)


async def test_a_refresh_request_comes_through_the_tunnel(foreign: Foreign) -> None:
    foreign.update(lifetime=1)
    await foreign.acknowledged()
    outer = await until("something through the tunnel", lambda: foreign.node.tunnelled)
    packet = inet6.IPv6(outer[0])
    assert (packet.src, packet.dst, packet.nh) == (AGENT, CARE_OF, 41)
    assert (packet.payload.src, packet.payload.dst) == (AGENT, HOME)
    assert inet6.MIP6MH_BRR in packet
    assert inet6.IPv6ExtHdrRouting not in packet


async def test_an_unknown_message_gets_a_binding_error(foreign: Foreign) -> None:
    foreign.send(inet6.IPv6(src=CARE_OF, dst=AGENT) / inet6.MIP6MH_Generic(mhtype=99, msg=b"\0" * 10))
    error = await foreign.hears(inet6.MIP6MH_BE)
    assert (error[inet6.MIP6MH_BE].status, error[inet6.MIP6MH_BE].ha) == (2, "::")


@pytest.mark.parametrize(("field", "value", "offset"), [("nh", 58, 0), ("len", 0, 1)])
async def test_a_malformed_header_gets_a_parameter_problem_at_its_octet(foreign: Foreign, field: str, value: int, offset: int) -> None:
    update = inet6.MIP6MH_BU(seq=1, flags="HA", mhtime=100, **{field: value})
    if field == "len":
        update = inet6.MIP6MH_Generic(mhtype=5, msg=b"\0\1", len=0)
    foreign.send(foreign.away() / update)
    problem = await foreign.hears(inet6.ICMPv6ParamProblem)
    assert (problem.src, problem.dst, problem[inet6.ICMPv6ParamProblem].code) == (AGENT, CARE_OF, 0)
    assert problem[inet6.ICMPv6ParamProblem].ptr == 40 + 24 + offset


async def test_a_home_address_option_without_binding_gets_a_binding_error(foreign: Foreign) -> None:
    foreign.send(foreign.away() / inet6.ICMPv6EchoRequest())
    error = await foreign.hears(inet6.MIP6MH_BE)
    assert (error[inet6.MIP6MH_BE].status, error[inet6.MIP6MH_BE].ha) == (1, HOME)


async def test_the_home_agents_own_addresses_cannot_be_bound(foreign: Foreign) -> None:
    foreign.send(foreign.away(home=HOME_LINK) / inet6.MIP6MH_BU(seq=9, flags="HA", mhtime=100))
    assert (await foreign.acknowledged(9))[inet6.MIP6MH_BA].status == 129
