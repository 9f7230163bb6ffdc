"""Our packets held against the kernel's own Mobile IPv6 (CONFIG_IPV6_MIP6): it takes what we build, and refuses it when it is not right.

Each packet goes to an ordinary socket behind the kernel's input, which must have found option, routing header and checksum to be as
RFC 6275 has them. conftest.py leaves this file out on a kernel without; the stage `uml` has one with it.
"""

from __future__ import annotations

import socket

from closedloop_nf.kernel.sockets import MOBILITY_HEADER, PacketSender
from closedloop_nf.wire import mobility
from closedloop_nf.wire.ipv6 import build_packet

from tests.kernel.bed import CARE_OF, HOME_ADDRESS, HOME_AGENT, Bed, drained, octets, received, run
from tests.kernel.test_sockets import ACKNOWLEDGEMENT, UPDATE

HOME, VISITING, AGENT = octets(HOME_ADDRESS), octets(CARE_OF), octets(HOME_AGENT)


def bind(bed: Bed, host: str, source: str, destination: str, protocol: str) -> None:
    """Tell the kernel's Mobile IPv6 of the binding of HOME_ADDRESS at CARE_OF: a state, and the policy that lets such packets in."""
    ends = f"src {source} dst {destination}"
    for words in (
        f"xfrm state add {ends} proto {protocol} mode ro coa {CARE_OF}",
        f"xfrm policy add {ends} dir in ptype sub tmpl {ends} proto {protocol} mode ro level use",
    ):
        run("ip", "-n", bed.name(host), *words.split())


def mobility_socket(bed: Bed, host: str) -> socket.socket:
    """The kernel verifies the checksum of what a raw socket of this protocol gets (RFC 6275 section 6.1.1)."""
    with bed.inside(host):
        return socket.socket(socket.AF_INET6, socket.SOCK_RAW | socket.SOCK_NONBLOCK, MOBILITY_HEADER)


def test_the_kernel_takes_our_binding_update_with_its_home_address_option(bed: Bed) -> None:
    bind(bed, "ha", HOME_ADDRESS, HOME_AGENT, "hao")
    with bed.inside("mn"):
        sender = PacketSender()
    with mobility_socket(bed, "ha") as sink:
        over_care_of = mobility.seal(UPDATE, VISITING, AGENT)
        genuine = mobility.seal(UPDATE, HOME, AGENT)
        for sealed in (over_care_of, genuine):
            assert sender.send(build_packet(VISITING, AGENT, MOBILITY_HEADER, sealed, home_address_option=HOME))
        assert received(sink) == genuine, "the checksum is over the home address, and the other one came first"
        assert drained(sink) == []
    sender.close()


def test_the_kernel_takes_our_acknowledgement_with_its_type_2_routing_header(bed: Bed) -> None:
    bind(bed, "mn", HOME_AGENT, HOME_ADDRESS, "route2")
    bed.ip("mn", f"address add {HOME_ADDRESS}/128 dev lo nodad home")
    with bed.inside("ha"):
        sender = PacketSender()
    with mobility_socket(bed, "mn") as sink:
        over_care_of = mobility.seal(ACKNOWLEDGEMENT, AGENT, VISITING)
        genuine = mobility.seal(ACKNOWLEDGEMENT, AGENT, HOME)
        for sealed in (over_care_of, genuine):
            assert sender.send(build_packet(AGENT, VISITING, MOBILITY_HEADER, sealed, routing_home_address=HOME))
        assert received(sink) == genuine
        assert drained(sink) == []
    sender.close()
