"""ICMPv6 messages octet by octet (RFC 4443, RFC 4861, RFC 6275 sections 6.5 to 6.8 and 7), and what is refused."""

from __future__ import annotations

from ipaddress import IPv6Address

import pytest
from closedloop_nf.wire import icmpv6 as icmp
from closedloop_nf.wire import nd_options as nd
from closedloop_nf.wire.errors import ParseError, Reason

SRC, DST, TARGET = (IPv6Address(text).packed for text in ("fe80::1", "ff02::1", "2001:db8::5"))
MAC = bytes.fromhex("020000000001")

BY_HAND: list[tuple[str, icmp.Icmpv6Message, str]] = [
    ("RFC 4443 3.1", icmp.DestinationUnreachable(3, b"packet"), "01 03 0000 00000000" + b"packet".hex()),
    ("RFC 4443 3.2", icmp.PacketTooBig(1460, b"packet"), "02 00 0000 000005b4" + b"packet".hex()),
    ("RFC 4443 3.4", icmp.ParameterProblem(2, 42, b"packet"), "04 02 0000 0000002a" + b"packet".hex()),
    ("RFC 4861 4.1", icmp.RouterSolicitation((nd.SourceLinkLayerAddress(MAC),)), "85 00 0000 00000000 0101" + MAC.hex()),
    (
        "RFC 4861 4.2 with RFC 6275 7.1, 7.2, 7.3, 7.4",
        icmp.RouterAdvertisement(
            64,
            False,
            True,
            True,
            1800,
            30000,
            1000,
            (
                nd.Mtu(1500),
                nd.PrefixInformation(TARGET, 64, True, True, True, 7200, 3600),
                nd.AdvertisementInterval(70),
                nd.HomeAgentInformation(10, 1800),
            ),
        ),
        "86 00 0000 40 60 0708 00007530 000003e8"
        "0501 0000 000005dc"
        "0304 40 e0 00001c20 00000e10 00000000" + TARGET.hex() + "0701 0000 00000046"
        "0801 0000 000a 0708",
    ),
    ("RFC 4861 4.3", icmp.NeighborSolicitation(TARGET), "87 00 0000 00000000" + TARGET.hex()),
    (
        "RFC 4861 4.4",
        icmp.NeighborAdvertisement(TARGET, True, False, True, (nd.TargetLinkLayerAddress(MAC),)),
        "88 00 0000 a0000000" + TARGET.hex() + "0201" + MAC.hex(),
    ),
    ("RFC 6275 6.5", icmp.HomeAgentDiscoveryRequest(0x1234), "90 00 0000 1234 0000"),
    ("RFC 6275 6.6", icmp.HomeAgentDiscoveryReply(0x1234, (TARGET, SRC)), "91 00 0000 1234 0000" + TARGET.hex() + SRC.hex()),
    ("RFC 6275 6.6 with none", icmp.HomeAgentDiscoveryReply(1, ()), "91 00 0000 0001 0000"),
    ("RFC 6275 6.7", icmp.MobilePrefixSolicitation(0x1234), "92 00 0000 1234 0000"),
    (
        "RFC 6275 6.8",
        icmp.MobilePrefixAdvertisement(0x1234, True, False, (nd.PrefixInformation(TARGET, 64, False, True, False, 9, 8),)),
        "93 00 0000 1234 8000 0304 40 40 00000009 00000008 00000000" + TARGET.hex(),
    ),
    ("another type", icmp.UnknownIcmpv6(128, 0, b"echo"), "80 00 0000" + b"echo".hex()),
]


@pytest.mark.parametrize(("message", "text"), [pytest.param(message, text, id=name) for name, message, text in BY_HAND])
def test_the_octets_are_those_of_the_rfc(message: icmp.Icmpv6Message, text: str) -> None:
    expected = bytes.fromhex(text)
    built = icmp.build_icmpv6(message, SRC, DST)
    assert (built[:2] + b"\0\0" + built[4:]).hex() == expected.hex()
    assert icmp.checksum_ok(built, SRC, DST)
    assert not icmp.checksum_ok(built, SRC, TARGET)
    assert icmp.parse_icmpv6(expected) == message


def solicitation(options: str) -> bytes:
    return bytes.fromhex("85000000 00000000" + options)


REFUSED: list[tuple[str, bytes, Reason, int]] = [
    ("three octets", bytes(3), Reason.TRUNCATED, 3),
    ("short advertisement", bytes.fromhex("86000000") + bytes(11), Reason.TRUNCATED, 15),
    ("short neighbour solicitation", bytes.fromhex("87000000") + bytes(19), Reason.TRUNCATED, 23),
    ("short error", bytes.fromhex("01000000 0000"), Reason.TRUNCATED, 6),
    ("code not 0", bytes.fromhex("90010000 00000000"), Reason.MESSAGE_CODE, 1),
    ("multicast target", bytes.fromhex("87000000 00000000") + DST, Reason.BAD_ADDRESS, 8),
    ("reply with half an address", bytes.fromhex("91000000 00000000") + bytes(8), Reason.ADDRESS_COUNT, 8),
    ("option without length octet", solicitation("01"), Reason.OPTION_TRUNCATED, 8),
    ("option of length 0", solicitation("0100 000000000000"), Reason.OPTION_LENGTH, 9),
    ("option past the end", solicitation("0102 000000000000"), Reason.OPTION_TRUNCATED, 9),
    ("prefix information of 8 octets", solicitation("0301 000000000000"), Reason.OPTION_LENGTH, 9),
    ("MTU of 16 octets", solicitation("0502" + "00" * 14), Reason.OPTION_LENGTH, 9),
    ("prefix longer than an address", solicitation("0304 81" + "00" * 29), Reason.BAD_ADDRESS, 10),
]


@pytest.mark.parametrize(("data", "reason", "offset"), [pytest.param(*row[1:], id=row[0]) for row in REFUSED])
def test_refused_with_reason_and_place(data: bytes, reason: Reason, offset: int) -> None:
    with pytest.raises(ParseError) as caught:
        icmp.parse_icmpv6(data)
    assert (caught.value.reason, caught.value.offset) == (reason, offset)


def test_packet_too_big_is_taken_whatever_its_code() -> None:
    assert icmp.parse_icmpv6(bytes.fromhex("02070000 000005b4")) == icmp.PacketTooBig(1460, b"")


def test_reserved_bits_are_ignored() -> None:
    data = bytes.fromhex("88000000 1fffffff") + TARGET
    assert icmp.parse_icmpv6(data) == icmp.NeighborAdvertisement(TARGET, False, False, False)


def test_an_error_fits_into_the_smallest_mtu() -> None:
    assert len(icmp.build_icmpv6(icmp.PacketTooBig(1460, bytes(1500)), SRC, DST)) == 1280 - 40


@pytest.mark.parametrize(
    "message",
    [
        icmp.PacketTooBig(1 << 32, b""),
        icmp.ParameterProblem(256, 0, b""),
        icmp.HomeAgentDiscoveryRequest(65536),
        icmp.HomeAgentDiscoveryReply(1, (b"short",)),
        icmp.NeighborSolicitation(b"short"),
        icmp.UnknownIcmpv6(135, 0, b""),
        icmp.RouterSolicitation((nd.SourceLinkLayerAddress(b"12345"),)),
        icmp.RouterSolicitation((nd.UnknownNdOption(5, bytes(6)),)),
        icmp.RouterSolicitation((nd.PrefixInformation(TARGET, 129, True, True, True, 0, 0),)),
        icmp.RouterSolicitation((nd.HomeAgentInformation(65536, 0),)),
    ],
    ids=repr,
)
def test_a_field_out_of_range_is_not_built(message: icmp.Icmpv6Message) -> None:
    with pytest.raises(ValueError, match=r"range|needed|known|8n-2|at most"):
        icmp.build_icmpv6(message, SRC, DST)


@pytest.mark.parametrize(
    ("prefix", "length", "anycast"),
    [
        ("2001:db8:1:2::", 64, "2001:db8:1:2:fdff:ffff:ffff:fffe"),
        ("2001:db8:1:2:3:4:5:6", 64, "2001:db8:1:2:fdff:ffff:ffff:fffe"),
        ("2001:db8::", 48, "2001:db8:0:ffff:ffff:ffff:ffff:fffe"),
        ("2001:db8::", 112, "2001:db8::fffe"),
        ("2001:db8::", 121, "2001:db8::7e"),
    ],
)
def test_home_agents_anycast_address(prefix: str, length: int, anycast: str) -> None:
    assert IPv6Address(icmp.home_agents_anycast(IPv6Address(prefix).packed, length)) == IPv6Address(anycast)


def test_a_subnet_without_room_for_anycast_addresses_is_refused() -> None:
    with pytest.raises(ValueError, match="122"):
        icmp.home_agents_anycast(SRC, 122)
