"""No input of up to 2 kB, random or mutated from a valid one, makes a parser raise anything but ParseError."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from closedloop_nf.wire import authentication, icmpv6, ipv6, mobility
from closedloop_nf.wire.errors import ParseError, Reason
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.nf.wire import strategies as some

SRC, DST, HOME = (bytes.fromhex("20010db8000000000000000000000000")[:15] + bytes((last,)) for last in (1, 2, 3))


def _verify(data: bytes) -> object:
    return authentication.verify(data, care_of_address=SRC, home_address=HOME, key_for_spi=lambda spi: b"k" * 16 if spi % 2 else None)


PARSERS: dict[str, Callable[[bytes], object]] = {
    "parse_packet": ipv6.parse_packet,
    "parse_destination_options": ipv6.parse_destination_options,
    "parse_routing_header": ipv6.parse_routing_header,
    "parse_mobility": mobility.parse_mobility,
    "parse_icmpv6": icmpv6.parse_icmpv6,
    "verify": _verify,
}


def survives(parse: Callable[[bytes], object], data: bytes) -> None:
    refusal: ParseError | None = None
    try:
        parse(data)
    except ParseError as error:
        refusal = error
    if refusal is not None:
        assert isinstance(refusal.reason, Reason)
        assert 0 <= refusal.offset <= len(data)


def mutated(valid: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    """Valid octets with some overwritten, some cut off or some added."""

    @st.composite
    def mutate(draw: st.DrawFn) -> bytes:
        data = bytearray(draw(valid))
        for _ in range(draw(st.integers(1, 6))):
            action = draw(st.integers(0, 3))
            at = draw(st.integers(0, len(data)))
            if action == 0:
                del data[at:]
            elif action == 1:
                data[at:at] = draw(st.binary(min_size=1, max_size=8))
            elif at < len(data):
                data[at] = draw(st.sampled_from((0, 1, 2, 0xC9, 0xFF)) | some.u8)
        return bytes(data[:2048])

    return mutate()


mobility_octets = st.builds(mobility.build_mobility, some.messages) | st.builds(
    lambda message: authentication.authenticate(message, care_of_address=SRC, home_address=HOME, spi=257, key=b"k" * 16),
    some.authenticated_messages,
)
icmpv6_octets = st.builds(lambda message: icmpv6.build_icmpv6(message, SRC, DST), some.icmpv6_messages)
packet_octets = st.builds(
    lambda payload, option, routing: ipv6.build_packet(SRC, DST, 135, payload, home_address_option=option, routing_home_address=routing),
    mobility_octets,
    st.none() | some.addresses,
    st.none() | some.addresses,
)


@pytest.mark.parametrize("name", PARSERS)
@some.unhurried
@given(data=st.binary(max_size=2048))
def test_random_octets(name: str, data: bytes) -> None:
    survives(PARSERS[name], data)


@pytest.mark.parametrize("name", ["parse_mobility", "verify"])
@settings(some.unhurried, max_examples=400)
@given(data=mutated(mobility_octets))
def test_mutated_mobility_messages(name: str, data: bytes) -> None:
    survives(PARSERS[name], data)


@settings(some.unhurried, max_examples=400)
@given(data=mutated(icmpv6_octets))
def test_mutated_icmpv6_messages(data: bytes) -> None:
    survives(icmpv6.parse_icmpv6, data)


@settings(some.unhurried, max_examples=400)
@given(data=mutated(packet_octets))
def test_mutated_packets(data: bytes) -> None:
    survives(ipv6.parse_packet, data)
    survives(ipv6.parse_destination_options, data[40:])
    survives(ipv6.parse_routing_header, data[40:])


@some.unhurried
@given(data=mobility_octets, cut=st.integers(1, 2048))
def test_a_message_cut_short_anywhere_is_refused(data: bytes, cut: int) -> None:
    with pytest.raises(ParseError) as caught:
        mobility.parse_mobility(data[: max(0, len(data) - cut)])
    assert caught.value.reason is Reason.TRUNCATED


@some.unhurried
@given(kind=st.sampled_from(sorted(some.KNOWN_MESSAGES)), tail=st.binary(min_size=2, max_size=1000))
def test_whatever_parses_as_a_mobility_message_can_be_built_again_and_means_the_same(kind: int, tail: bytes) -> None:
    units = (6 + len(tail)) // 8
    data = (bytes((59, units - 1, kind, 0, 0, 0)) + tail)[: 8 * units]
    try:
        message = mobility.parse_mobility(data)
    except ParseError:
        return
    assert mobility.parse_mobility(mobility.build_mobility(message)) == message
