"""Extension headers: RFC 8200 section 4 and RFC 6275 sections 6.3 and 6.4, octet by octet, and what is refused."""

from __future__ import annotations

from ipaddress import IPv6Address

import pytest
from closedloop_nf.wire import ipv6
from closedloop_nf.wire.errors import ParseError, Reason

SRC, DST, HOME = (IPv6Address(text).packed for text in ("2001:db8:1::1", "2001:db8:2::2", "2001:db8:3::3"))
HAO = "c910" + HOME.hex()
OPTIONS_WITH_HOME = "3b 02 0102 0000" + HAO  # next header is patched by `packet`
ROUTING_WITH_HOME = "3b 02 02 01 00000000" + HOME.hex()


def packet(*headers: tuple[int, str], upper: int = 59, payload: bytes = b"") -> bytes:
    """IPv6 packet with these extension headers; each one's first octet becomes the number of what follows it."""
    numbers = [number for number, _ in headers] + [upper]
    body = b"".join(bytes((numbers[index + 1],)) + bytes.fromhex(text)[1:] for index, (_, text) in enumerate(headers))
    body += payload
    return bytes.fromhex("60000000") + len(body).to_bytes(2, "big") + bytes((numbers[0], 64)) + SRC + DST + body


def test_the_home_address_option_stands_at_8n_plus_6() -> None:
    raw = ipv6.build_packet(SRC, DST, 135, b"payload!", home_address_option=HOME)
    assert raw.hex() == packet((60, OPTIONS_WITH_HOME), upper=135, payload=b"payload!").hex()


def test_the_routing_header_precedes_the_destination_options() -> None:
    raw = ipv6.build_packet(SRC, DST, 135, b"payload!", home_address_option=HOME, routing_home_address=SRC)
    routing = "3b 02 02 01 00000000" + SRC.hex()
    assert raw.hex() == packet((43, routing), (60, OPTIONS_WITH_HOME), upper=135, payload=b"payload!").hex()
    parsed = ipv6.parse_packet(raw)
    assert (parsed.home_address_option, parsed.routing_home_address, parsed.payload_offset) == (HOME, SRC, 88)


def test_padding_of_the_frame_behind_the_packet_is_cut_off() -> None:
    assert ipv6.parse_packet(packet(upper=58, payload=b"abcd") + bytes(6)).payload == b"abcd"


def test_traffic_class_and_flow_label_are_read() -> None:
    raw = bytes.fromhex("6ab12345") + packet()[4:]
    header = ipv6.parse_packet(raw).header
    assert (header.traffic_class, header.flow_label) == (0xAB, 0x12345)


def test_a_router_alert_before_everything_is_skipped() -> None:
    assert ipv6.parse_packet(packet((0, "3b00 0502 0000 0100"), upper=58, payload=b"x" * 8)).next_header == 58


def test_a_routing_header_of_another_type_without_segments_left_is_ignored() -> None:
    parsed = ipv6.parse_packet(packet((43, "3b00 0400 00000000"), upper=58))
    assert (parsed.next_header, parsed.routing_home_address) == (58, None)


def test_esp_counts_as_upper_layer() -> None:
    assert ipv6.parse_packet(packet(upper=50, payload=bytes(16))).next_header == 50


PAD = "3b00 0104 0000 0000"
REFUSED: list[tuple[str, bytes, Reason, int]] = [
    ("short header", packet()[:39], Reason.TRUNCATED, 39),
    ("IPv4", b"\x45" + packet()[1:], Reason.VERSION, 0),
    ("less than its payload length", packet(payload=b"1234")[:-1], Reason.TRUNCATED, 4),
    ("fragment", packet((44, "3b00 0000 00000001")), Reason.FRAGMENT, 40),
    ("extension header cut", packet((60, "3b00 0000")), Reason.TRUNCATED, 40),
    ("extension header too long", packet((60, "3b01 0104 0000 0000")), Reason.TRUNCATED, 41),
    ("hop-by-hop not first", packet((60, PAD), (0, PAD)), Reason.HEADER_ORDER, 48),
    ("two routing headers", packet((43, ROUTING_WITH_HOME), (43, ROUTING_WITH_HOME)), Reason.HEADER_DUPLICATE, 64),
    ("three destination options", packet((60, PAD), (60, PAD), (60, PAD)), Reason.HEADER_DUPLICATE, 56),
    ("home address before the routing header", packet((60, OPTIONS_WITH_HOME), (43, ROUTING_WITH_HOME)), Reason.HEADER_ORDER, 64),
    ("two home address options", packet((60, OPTIONS_WITH_HOME), (60, OPTIONS_WITH_HOME)), Reason.OPTION_DUPLICATE, 64),
    ("two in one header", packet((60, "3b04 0102 0000" + HAO + "0104 0000 0000" + "0000" + HAO[:-8])), Reason.OPTION_TRUNCATED, 72),
    ("home address of 8 octets", packet((60, "3b01 0100 c908" + "00" * 8 + "0000")), Reason.OPTION_LENGTH, 45),
    ("home address in hop-by-hop options", packet((0, OPTIONS_WITH_HOME)), Reason.OPTION_PROBLEM_UNICAST, 46),
    ("unknown option 01", packet((60, "3b00 4704 0000 0000")), Reason.OPTION_DISCARD, 42),
    ("unknown option 10", packet((60, "3b00 8704 0000 0000")), Reason.OPTION_PROBLEM, 42),
    ("unknown option 11", packet((60, "3b00 c704 0000 0000")), Reason.OPTION_PROBLEM_UNICAST, 42),
    ("option past its header", packet((60, "3b00 1e05 0000 0000"), payload=bytes(8)), Reason.OPTION_TRUNCATED, 42),
    ("routing header type 0", packet((43, "3b02 0001 00000000" + HOME.hex())), Reason.ROUTING_TYPE, 42),
    ("type 2 of two addresses", packet((43, "3b04 0202 00000000" + HOME.hex() * 2)), Reason.HEADER_LENGTH, 41),
    ("type 2 with no segment left", packet((43, "3b02 0200 00000000" + HOME.hex())), Reason.ROUTING_SEGMENTS, 43),
]


@pytest.mark.parametrize(("raw", "reason", "offset"), [pytest.param(*row[1:], id=row[0]) for row in REFUSED])
def test_refused_with_reason_and_place(raw: bytes, reason: Reason, offset: int) -> None:
    with pytest.raises(ParseError) as caught:
        ipv6.parse_packet(raw)
    assert (caught.value.reason, caught.value.offset) == (reason, offset)


def test_the_raw_socket_parsers_refuse_a_further_extension_header() -> None:
    for data in (packet((60, OPTIONS_WITH_HOME), (60, PAD))[40:], packet((60, OPTIONS_WITH_HOME), (44, PAD))[40:]):
        with pytest.raises(ParseError) as caught:
            ipv6.parse_destination_options(data)
        assert caught.value.reason is Reason.HEADER_ORDER
    with pytest.raises(ParseError) as caught:
        ipv6.parse_routing_header(packet((43, ROUTING_WITH_HOME), (0, PAD))[40:])
    assert caught.value.reason is Reason.HEADER_ORDER


def test_destination_options_may_follow_a_routing_header() -> None:
    data = packet((43, ROUTING_WITH_HOME), (60, PAD))[40:]
    assert ipv6.parse_routing_header(data) == ipv6.RoutingHeader(60, HOME, data[24:])


def test_skippable_options_are_handed_over() -> None:
    options = ipv6.parse_destination_options(bytes.fromhex("8700 1e02 beef 0100"))
    assert options == ipv6.DestinationOptions(135, None, 8, ((0x1E, b"\xbe\xef"),))


def test_a_routing_header_of_another_type_is_no_home_address() -> None:
    with pytest.raises(ParseError) as caught:
        ipv6.parse_routing_header(bytes.fromhex("8700 0400 00000000"))
    assert caught.value.reason is Reason.ROUTING_TYPE


def words_checksum(src: bytes, dst: bytes, next_header: int, data: bytes) -> int:
    """RFC 1071 as it is written: add 16-bit words, fold the carries, complement."""
    covered = src + dst + len(data).to_bytes(4, "big") + bytes((0, 0, 0, next_header)) + data + bytes(len(data) % 2)
    total = sum(covered[at] << 8 | covered[at + 1] for at in range(0, len(covered), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


@pytest.mark.parametrize("data", [b"", b"\0", b"\xff\xff", b"odd", bytes(range(256)) * 6])
def test_the_checksum_is_that_of_rfc_1071(data: bytes) -> None:
    assert ipv6.checksum(SRC, DST, 135, data) == words_checksum(SRC, DST, 135, data)


def test_the_checksum_folds_to_zero_as_rfc_1071_does() -> None:
    rest = words_checksum(SRC, DST, 135, bytes(2))
    assert ipv6.checksum(SRC, DST, 135, rest.to_bytes(2, "big")) == 0


@pytest.mark.parametrize(
    ("text", "routable"),
    [
        ("2001:db8::1", True),
        ("fd00::1", True),
        ("::", False),
        ("::1", False),
        ("fe80::1", False),
        ("ff02::1", False),
        ("::ffff:1.2.3.4", False),
    ],
)
def test_what_may_be_a_home_or_care_of_address(text: str, routable: bool) -> None:
    assert ipv6.is_unicast_routable(IPv6Address(text).packed) is routable


def test_solicited_node_address() -> None:
    assert ipv6.solicited_node(IPv6Address("2001:db8::aabb:ccdd").packed) == IPv6Address("ff02::1:ffbb:ccdd").packed


def test_what_does_not_fit_is_not_built() -> None:
    with pytest.raises(ValueError, match="16 are needed"):
        ipv6.build_packet(SRC[:4], DST, 58, b"")
    with pytest.raises(ValueError, match="65535"):
        ipv6.build_packet(SRC, DST, 58, bytes(65536))
    with pytest.raises(ValueError, match="hop_limit 256"):
        ipv6.build_packet(SRC, DST, 58, b"", hop_limit=256)
