"""scapy as oracle in both directions: it reads our octets, checksum included, and we read what it builds.

scapy 2.6 knows no Home Agent Switch (test_mobility_by_hand.py has its octets) and takes 16 for the length of every nonce indices and
binding authorization data option unless told. It uses a Home Address option for the checksum only where it sees no padding beside it, so
the checksum is taken from packets that scapy built.
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv6Address

import pytest
from closedloop_nf.wire import authentication as auth
from closedloop_nf.wire import icmpv6 as icmp
from closedloop_nf.wire import ipv6
from closedloop_nf.wire import mobility as mh
from closedloop_nf.wire import mobility_options as opt
from closedloop_nf.wire import nd_options as nd
from scapy.layers import inet6
from scapy.packet import Packet

CARE_OF, HOME, AGENT = (IPv6Address(text).packed for text in ("2001:db8:200::5", "2001:db8:100::5", "2001:db8:100::1"))
CARE_OF_TEXT, HOME_TEXT, AGENT_TEXT = (str(IPv6Address(address)) for address in (CARE_OF, HOME, AGENT))
MAC = bytes.fromhex("020000000001")

Shape = tuple[mh.MobilityMessage, Callable[[], Packet]]

SHAPES: dict[str, Shape] = {
    "refresh request": (mh.BindingRefreshRequest(), lambda: inet6.MIP6MH_BRR(res=0, res2=0)),
    "home test init": (mh.HomeTestInit(b"cookie08"), lambda: inet6.MIP6MH_HoTI(res=0, cookie=b"cookie08")),
    "care-of test init": (mh.CareOfTestInit(b"cookie08"), lambda: inet6.MIP6MH_CoTI(mhtype=2, res=0, cookie=b"cookie08")),
    "home test": (
        mh.HomeTest(9, b"cookie08", b"token_08"),
        lambda: inet6.MIP6MH_HoT(res=0, index=9, cookie=b"cookie08", token=b"token_08"),
    ),
    "care-of test": (
        mh.CareOfTest(9, b"cookie08", b"token_08"),
        lambda: inet6.MIP6MH_CoT(mhtype=4, res=0, index=9, cookie=b"cookie08", token=b"token_08"),
    ),
    "update": (
        mh.BindingUpdate(
            513,
            True,
            True,
            False,
            True,
            900,
            (opt.AlternateCareOfAddress(CARE_OF), opt.NonceIndices(3, 4), opt.BindingAuthorizationData(b"twelveoctets")),
        ),
        lambda: inet6.MIP6MH_BU(
            res=0,
            seq=513,
            flags="KHA",
            mhtime=900,
            options=[
                inet6.MIP6OptAltCoA(acoa=CARE_OF_TEXT),
                inet6.MIP6OptNonceIndices(olen=4, hni=3, coni=4),
                inet6.MIP6OptBindingAuthData(olen=12, authenticator=int.from_bytes(b"twelveoctets", "big")),
            ],
        ),
    ),
    "update with L alone": (
        mh.BindingUpdate(1, False, False, True, False, 2),
        lambda: inet6.MIP6MH_BU(res=0, seq=1, flags="L", mhtime=2),
    ),
    "update of RFC 4283 and RFC 4285": (
        mh.BindingUpdate(
            513,
            True,
            True,
            False,
            False,
            900,
            (
                opt.MobileNodeIdentifier(1, b"mn1@example.net"),
                opt.ReplayProtection(0x0102030405060708),
                opt.Authentication(1, 300, b"twelveoctets"),
            ),
        ),
        lambda: inet6.MIP6MH_BU(
            res=0,
            seq=513,
            flags="HA",
            mhtime=900,
            options=[
                inet6.MIP6OptMNID(subtype=1, id=b"mn1@example.net"),
                inet6.MIP6OptReplayProtection(timestamp=0x0102030405060708),
                inet6.MIP6OptMsgAuth(subtype=1, mspi=300, authdata=b"twelveoctets"),
            ],
        ),
    ),
    "acknowledgement": (
        mh.BindingAcknowledgement(135, True, 513, 900, (opt.BindingRefreshAdvice(600),)),
        lambda: inet6.MIP6MH_BA(res=0, status=135, flags="K", seq=513, mhtime=900, options=[inet6.MIP6OptBRAdvice(rinter=600)]),
    ),
    "error": (mh.BindingError(2, HOME), lambda: inet6.MIP6MH_BE(status=2, ha=HOME_TEXT)),
}


@pytest.mark.parametrize("name", SHAPES)
def test_scapy_builds_the_same_octets(name: str) -> None:
    message, theirs = SHAPES[name]
    ours = mh.seal(mh.build_mobility(message), CARE_OF, AGENT)
    built = bytes(inet6.IPv6(src=CARE_OF_TEXT, dst=AGENT_TEXT, hlim=64) / theirs())
    assert ipv6.build_packet(CARE_OF, AGENT, 135, ours).hex() == built.hex()


@pytest.mark.parametrize("name", SHAPES)
def test_we_read_what_scapy_builds(name: str) -> None:
    message, theirs = SHAPES[name]
    packet = ipv6.parse_packet(bytes(inet6.IPv6(src=CARE_OF_TEXT, dst=AGENT_TEXT) / theirs()))
    assert packet.next_header == mh.MOBILITY_HEADER
    assert mh.checksum_ok(packet.payload, packet.upper_source, packet.upper_destination)
    assert mh.parse_mobility(packet.payload) == message


def test_scapy_reads_an_authenticated_registration_with_its_home_address_and_checksum() -> None:
    update = mh.BindingUpdate(513, True, True, False, False, 900, (opt.AlternateCareOfAddress(CARE_OF), opt.ReplayProtection(77)))
    data = auth.authenticate(update, care_of_address=CARE_OF, home_address=HOME, spi=300, key=bytes(16))
    raw = ipv6.build_packet(CARE_OF, AGENT, 135, mh.seal(data, HOME, AGENT), home_address_option=HOME)
    packet = inet6.IPv6(raw)
    assert [option.hoa for option in packet[inet6.IPv6ExtHdrDestOpt].options if isinstance(option, inet6.HAO)] == [HOME_TEXT]
    read = packet[inet6.MIP6MH_BU]
    assert (read.seq, str(read.flags), read.mhtime) == (513, "HA", 900)
    added = next(option for option in read.options if isinstance(option, inet6.MIP6OptMsgAuth))
    ours = mh.parse_mobility(data).options[-1]
    assert ours == opt.Authentication(added.subtype, added.mspi, added.authdata)
    assert len(added.authdata) == 12


def test_scapy_reads_an_acknowledgement_through_the_routing_header_with_its_checksum() -> None:
    data = mh.seal(mh.build_mobility(mh.BindingAcknowledgement(0, False, 513, 900)), AGENT, HOME)
    raw = ipv6.build_packet(AGENT, CARE_OF, 135, data, routing_home_address=HOME)
    packet = inet6.IPv6(raw)
    header = packet[inet6.IPv6ExtHdrRouting]
    assert (header.type, header.segleft, header.addresses) == (2, 1, [HOME_TEXT])
    assert (packet[inet6.MIP6MH_BA].status, packet[inet6.MIP6MH_BA].seq) == (0, 513)


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize(("option", "routing"), [(HOME, None), (None, HOME), (HOME, AGENT)])
def test_scapy_builds_the_same_extension_headers_and_the_checksum_over_their_addresses(
    name: str, option: bytes | None, routing: bytes | None
) -> None:
    message, theirs = SHAPES[name]
    ours = mh.seal(mh.build_mobility(message), option or CARE_OF, routing or AGENT)
    packet = inet6.IPv6(src=CARE_OF_TEXT, dst=AGENT_TEXT, hlim=64)
    if routing:
        packet /= inet6.IPv6ExtHdrRouting(type=2, addresses=[str(IPv6Address(routing))])
    if option:
        packet /= inet6.IPv6ExtHdrDestOpt(options=[inet6.HAO(hoa=str(IPv6Address(option)))])
    raw = ipv6.build_packet(CARE_OF, AGENT, 135, ours, home_address_option=option, routing_home_address=routing)
    assert raw.hex() == bytes(packet / theirs()).hex()


PREFIX = nd.PrefixInformation(AGENT, 64, True, False, True, 7200, 3600)


def scapy_prefix() -> Packet:
    return inet6.ICMPv6NDOptPrefixInfo(
        prefixlen=64, L=1, A=0, R=1, res1=0, validlifetime=7200, preferredlifetime=3600, res2=0, prefix=AGENT_TEXT
    )


INVOKING = ipv6.build_packet(CARE_OF, AGENT, 59, b"")
ICMPV6_SHAPES: dict[str, tuple[icmp.Icmpv6Message, Callable[[], Packet]]] = {
    "unreachable": (icmp.DestinationUnreachable(3, INVOKING), lambda: inet6.ICMPv6DestUnreach(code=3) / inet6.IPv6(INVOKING)),
    "too big": (icmp.PacketTooBig(1460, INVOKING), lambda: inet6.ICMPv6PacketTooBig(mtu=1460) / inet6.IPv6(INVOKING)),
    "parameter problem": (
        icmp.ParameterProblem(2, 42, INVOKING),
        lambda: inet6.ICMPv6ParamProblem(code=2, ptr=42) / inet6.IPv6(INVOKING),
    ),
    "router solicitation": (
        icmp.RouterSolicitation((nd.SourceLinkLayerAddress(MAC),)),
        lambda: inet6.ICMPv6ND_RS() / inet6.ICMPv6NDOptSrcLLAddr(lladdr="02:00:00:00:00:01"),
    ),
    "router advertisement": (
        icmp.RouterAdvertisement(
            61,
            False,
            True,
            True,
            1800,
            30000,
            1000,
            (nd.Mtu(1500), PREFIX, nd.AdvertisementInterval(70), nd.HomeAgentInformation(10, 1801)),
        ),
        lambda: (
            inet6.ICMPv6ND_RA(chlim=61, M=0, O=1, H=1, prf=0, routerlifetime=1800, reachabletime=30000, retranstimer=1000)
            / inet6.ICMPv6NDOptMTU(mtu=1500)
            / scapy_prefix()
            / inet6.ICMPv6NDOptAdvInterval(advint=70)
            / inet6.ICMPv6NDOptHAInfo(pref=10, lifetime=1801)
        ),
    ),
    "neighbour solicitation": (icmp.NeighborSolicitation(HOME), lambda: inet6.ICMPv6ND_NS(tgt=HOME_TEXT)),
    "neighbour advertisement": (
        icmp.NeighborAdvertisement(HOME, True, False, True, (nd.TargetLinkLayerAddress(MAC),)),
        lambda: inet6.ICMPv6ND_NA(R=1, S=0, O=1, tgt=HOME_TEXT) / inet6.ICMPv6NDOptDstLLAddr(lladdr="02:00:00:00:00:01"),
    ),
    "discovery request": (icmp.HomeAgentDiscoveryRequest(0x1234), lambda: inet6.ICMPv6HAADRequest(id=0x1234, R=0)),
    "discovery reply": (
        icmp.HomeAgentDiscoveryReply(0x1234, (AGENT, HOME)),
        lambda: inet6.ICMPv6HAADReply(id=0x1234, R=0, addresses=[AGENT_TEXT, HOME_TEXT]),
    ),
    "prefix solicitation": (icmp.MobilePrefixSolicitation(0x1234), lambda: inet6.ICMPv6MPSol(id=0x1234)),
    "prefix advertisement": (
        icmp.MobilePrefixAdvertisement(0x1234, True, False, (PREFIX,)),
        lambda: inet6.ICMPv6MPAdv(id=0x1234, flags=2, res=0) / scapy_prefix(),
    ),
}


@pytest.mark.parametrize("name", ICMPV6_SHAPES)
def test_scapy_builds_the_same_icmpv6_octets_and_we_read_them(name: str) -> None:
    message, theirs = ICMPV6_SHAPES[name]
    raw = bytes(inet6.IPv6(src=AGENT_TEXT, dst=CARE_OF_TEXT, hlim=255) / theirs())
    packet = ipv6.parse_packet(raw)
    assert icmp.checksum_ok(packet.payload, AGENT, CARE_OF)
    assert icmp.parse_icmpv6(packet.payload) == message
    assert ipv6.build_packet(AGENT, CARE_OF, 58, icmp.build_icmpv6(message, AGENT, CARE_OF), hop_limit=255).hex() == raw.hex()
