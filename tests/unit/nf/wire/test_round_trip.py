"""What is built is parsed back to the very same value, for every message, option and header."""

from __future__ import annotations

from closedloop_nf.wire import icmpv6 as icmp
from closedloop_nf.wire import ipv6
from closedloop_nf.wire import mobility as mh
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.nf.wire import strategies as some


@some.unhurried
@given(some.messages)
def test_a_mobility_message_survives_building_and_parsing(message: mh.MobilityMessage) -> None:
    data = mh.build_mobility(message)
    assert len(data) % 8 == 0
    assert mh.parse_mobility(data) == message


@some.unhurried
@given(some.messages, some.addresses, some.addresses)
def test_a_sealed_message_is_the_same_message_with_the_right_checksum(message: mh.MobilityMessage, src: bytes, dst: bytes) -> None:
    data = mh.seal(mh.build_mobility(message), src, dst)
    assert mh.checksum_ok(data, src, dst)
    assert mh.parse_mobility(data) == message


@some.unhurried
@given(some.messages, some.addresses, some.addresses, st.data())
def test_one_flipped_bit_breaks_the_checksum(message: mh.MobilityMessage, src: bytes, dst: bytes, draw: st.DataObject) -> None:
    data = bytearray(mh.seal(mh.build_mobility(message), src, dst))
    data[draw.draw(st.integers(0, len(data) - 1))] ^= 1 << draw.draw(st.integers(0, 7))
    assert not mh.checksum_ok(bytes(data), src, dst)


@some.unhurried
@given(some.icmpv6_messages, some.addresses, some.addresses)
def test_an_icmpv6_message_survives_building_and_parsing(message: icmp.Icmpv6Message, src: bytes, dst: bytes) -> None:
    data = icmp.build_icmpv6(message, src, dst)
    assert icmp.checksum_ok(data, src, dst)
    assert icmp.parse_icmpv6(data) == message


upper_layers = some.u8.filter(lambda kind: kind not in ipv6.EXTENSION_HEADERS)


@some.unhurried
@given(
    some.addresses,
    some.addresses,
    upper_layers,
    st.binary(max_size=300),
    st.none() | some.addresses,
    st.none() | some.addresses,
    some.u8,
)
def test_a_packet_survives_building_and_parsing(
    src: bytes, dst: bytes, upper: int, payload: bytes, option: bytes | None, routing: bytes | None, hop_limit: int
) -> None:
    raw = ipv6.build_packet(src, dst, upper, payload, home_address_option=option, routing_home_address=routing, hop_limit=hop_limit)
    packet = ipv6.parse_packet(raw)
    assert (packet.header.source, packet.header.destination, packet.header.hop_limit) == (src, dst, hop_limit)
    assert (packet.home_address_option, packet.routing_home_address) == (option, routing)
    assert (packet.next_header, packet.payload, raw[packet.payload_offset :]) == (upper, payload, payload)
    assert packet.upper_source == (src if option is None else option)
    assert packet.upper_destination == (dst if routing is None else routing)


@some.unhurried
@given(some.addresses, upper_layers, st.binary(max_size=100))
def test_what_raw_sockets_deliver_of_a_packet_parses_alike(home: bytes, upper: int, payload: bytes) -> None:
    src, dst = bytes(15) + b"\1", bytes(15) + b"\2"
    with_option = ipv6.build_packet(src, dst, upper, payload, home_address_option=home)[40:]
    options = ipv6.parse_destination_options(with_option)
    assert (options.home_address, options.next_header, with_option[options.length :]) == (home, upper, payload)
    with_routing = ipv6.build_packet(src, dst, upper, payload, routing_home_address=home)[40:]
    assert ipv6.parse_routing_header(with_routing) == ipv6.RoutingHeader(upper, home, payload)
