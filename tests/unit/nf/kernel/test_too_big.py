"""Which Packet Too Big messages are relayed, and as what."""

from __future__ import annotations

import struct

from closedloop_nf.kernel.too_big import MINIMUM_MTU, relayed
from closedloop_nf.wire.icmpv6 import PacketTooBig, build_icmpv6, checksum_ok, parse_icmpv6
from closedloop_nf.wire.ipv6 import ICMPV6, build_packet, parse_packet
from hypothesis import given
from hypothesis import strategies as st

AGENT = bytes.fromhex("20010db800a0") + bytes(9) + b"\x01"
CARE_OF = bytes.fromhex("20010db8000c") + bytes(9) + b"\x01"
HOME = bytes.fromhex("20010db8000a") + bytes(9) + b"\x01"
CORRESPONDENT = bytes.fromhex("20010db8000b") + bytes(9) + b"\x01"
ROUTER = bytes.fromhex("20010db800a0") + bytes(9) + b"\xff"


def ours(outer_source: bytes, outer_destination: bytes, inner: bytes) -> bool:
    return (outer_source, outer_destination, inner[24:40]) == (AGENT, CARE_OF, HOME)


def too_big(mtu: int, outer: bytes) -> bytes:
    return build_icmpv6(PacketTooBig(mtu=mtu, invoking=outer[:1232]), ROUTER, AGENT)


def tunnelled(inner: bytes, *, outer_source: bytes = AGENT, outer_destination: bytes = CARE_OF) -> bytes:
    return build_packet(outer_source, outer_destination, 41, inner)


INNER = build_packet(CORRESPONDENT, HOME, 17, bytes(1420))


def test_the_inner_source_hears_of_40_octets_less() -> None:
    answer = relayed(too_big(1400, tunnelled(INNER)), ours)
    assert answer is not None
    packet = parse_packet(answer)
    assert (packet.header.source, packet.header.destination, packet.next_header) == (AGENT, CORRESPONDENT, ICMPV6)
    assert checksum_ok(packet.payload, AGENT, CORRESPONDENT)
    message = parse_icmpv6(packet.payload)
    assert isinstance(message, PacketTooBig)
    assert message.mtu == 1360
    assert INNER.startswith(message.invoking)
    assert len(answer) <= MINIMUM_MTU


def test_never_less_than_the_minimum_mtu() -> None:
    answer = relayed(too_big(1290, tunnelled(INNER)), ours)
    assert answer is not None
    assert struct.unpack_from("!I", answer, 44)[0] == MINIMUM_MTU


def test_what_this_node_did_not_send_is_not_relayed() -> None:
    """Otherwise anybody could have it send errors to anybody."""
    stranger = build_packet(CORRESPONDENT, CORRESPONDENT, 17, bytes(1420))
    assert relayed(too_big(1400, tunnelled(stranger)), ours) is None
    assert relayed(too_big(1400, tunnelled(INNER, outer_source=ROUTER)), ours) is None
    assert relayed(too_big(1400, tunnelled(INNER, outer_destination=ROUTER)), ours) is None
    assert relayed(too_big(1400, INNER), ours) is None


def test_no_error_goes_to_a_source_that_may_not_get_one() -> None:
    for source in (bytes(16), b"\xff\x02" + bytes(13) + b"\x01"):
        inner = build_packet(source, HOME, 17, bytes(1420))
        assert relayed(too_big(1400, tunnelled(inner)), ours) is None


@given(st.binary(max_size=300))
def test_no_input_raises(message: bytes) -> None:
    relayed(message, lambda *_: True)


@given(st.integers(min_value=0, max_value=len(too_big(1400, tunnelled(INNER))) - 1), st.integers(min_value=0, max_value=255))
def test_no_mutation_raises(position: int, value: int) -> None:
    message = bytearray(too_big(1400, tunnelled(INNER)))
    message[position] = value
    relayed(bytes(message), ours)
