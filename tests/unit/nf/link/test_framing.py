"""Octets of the link become the messages that were sent, however they are cut; anything else is a FramingError."""

from __future__ import annotations

import contextlib
import itertools

import msgspec
import pytest
from closedloop_nf.link import messages as m
from closedloop_nf.link.framing import MAX_FRAME, Encoder, FramingError, backend_decoder, packet_processor_decoder
from hypothesis import given
from hypothesis import strategies as st

address = st.binary(min_size=16, max_size=16)
u16 = st.integers(0, 65535)
u64 = st.integers(0, 2**64 - 1)
register = st.builds(
    m.Register,
    transaction=st.integers(0, 2**32),
    home_address=address,
    care_of_address=address,
    sequence=u16,
    lifetime_s=st.integers(0, 262140),
    flags=u16,
    timestamp=u64,
)
hello = st.builds(
    m.Hello,
    name=st.text(max_size=20),
    instance=st.text(max_size=20),
    host_id=st.text(max_size=20),
    region=st.text(max_size=20),
    address=address,
    home_link_address=address,
    health_port=u16,
    role=st.sampled_from(["active", "standby"]),
)
to_backend = st.one_of(
    register, hello, st.builds(m.Synced, revision=u64), st.builds(m.Beat, sequence=u64, socket_open=st.booleans()), st.builds(m.Bye)
)
binding = st.builds(
    m.Binding,
    home_address=address,
    care_of_address=address,
    sequence=u16,
    lifetime_s=u16,
    expires_at=st.floats(0, 1e10),
    flags=u16,
    owner=st.text(max_size=10),
    epoch=u64,
    timestamp=u64,
    revision=u64,
)
to_packet_processor = st.one_of(
    st.builds(m.Bindings, rows=st.lists(binding, max_size=5)),
    st.builds(m.BeatAck, sequence=u64),
    st.builds(m.Refused, code=st.text(max_size=10), message=st.text(max_size=50)),
    st.builds(m.HomeAgents, rows=st.lists(st.builds(m.HomeAgent, address=address, preference=u16, lifetime_s=u16), max_size=3)),
)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[a:b] for a, b in itertools.pairwise(edges)]


@given(st.lists(to_backend, max_size=8), st.lists(st.integers(0, 10_000), max_size=10))
def test_any_cutting_gives_back_the_messages_to_the_backend(sent: list[m.ToBackend], places: list[int]) -> None:
    decoder = backend_decoder()
    got = [message for part in cut(bytes(Encoder().encode(sent)), places) for message in decoder.feed(part)]
    assert got == sent
    assert decoder.pending == 0


@given(st.lists(to_packet_processor, max_size=4), st.lists(st.integers(0, 10_000), max_size=10))
def test_any_cutting_gives_back_the_messages_to_the_packet_processor(sent: list[m.ToPacketProcessor], places: list[int]) -> None:
    decoder = packet_processor_decoder()
    got = [message for part in cut(bytes(Encoder().encode(sent)), places) for message in decoder.feed(part)]
    assert got == sent


@given(st.binary(max_size=2048))
def test_random_octets_raise_nothing_but_the_framing_error(data: bytes) -> None:
    for octets in (data, len(data).to_bytes(4, "big") + data):
        with contextlib.suppress(FramingError):
            backend_decoder().feed(octets)


@given(register, st.integers(0, 400), st.integers(0, 255))
def test_a_changed_octet_raises_nothing_but_the_framing_error(sent: m.Register, place: int, value: int) -> None:
    data = Encoder().encode([sent])
    data[place % len(data)] = value
    with contextlib.suppress(FramingError):
        backend_decoder().feed(data)


def test_an_empty_or_too_large_frame_is_refused_before_it_is_buffered() -> None:
    with pytest.raises(FramingError, match="0 octets"):
        backend_decoder().feed(b"\0\0\0\0")
    with pytest.raises(FramingError, match="allowed"):
        backend_decoder().feed((MAX_FRAME + 1).to_bytes(4, "big"))
    with pytest.raises(FramingError, match="send it in parts"):
        Encoder().encode([m.Bye(reason="x" * (MAX_FRAME + 1))])


def test_a_message_of_the_other_direction_is_refused() -> None:
    with pytest.raises(FramingError):
        backend_decoder().feed(Encoder().encode([m.BeatAck(sequence=1)]))


def test_deep_nesting_is_a_framing_error() -> None:
    frame = b"\x91" * 5000 + b"\xc0"
    with pytest.raises(FramingError):
        backend_decoder().feed(len(frame).to_bytes(4, "big") + frame)


def test_a_field_unknown_to_this_version_is_skipped() -> None:
    frame = msgspec.msgpack.encode({"type": "synced", "revision": 3, "later": "field"})
    assert backend_decoder().feed(len(frame).to_bytes(4, "big") + frame) == [m.Synced(revision=3)]
