"""Silence on a packet stream: what counts as an outage."""

from __future__ import annotations

from itertools import pairwise

import pytest
from closedloop_tools.flow import Flow, Packet, longest_silence
from hypothesis import given
from hypothesis import strategies as st

MS = 1_000_000


def stream(*arrivals_ms: float) -> list[int]:
    return [round(at * MS) for at in arrivals_ms]


def test_an_undisturbed_stream_has_no_outage() -> None:
    silence = longest_silence(stream(*range(100)), 10 * MS, 90 * MS, 0.001)
    assert silence.outage_ms == 0
    assert silence.ended


def test_the_outage_is_the_gap_beyond_the_normal_interval() -> None:
    silence = longest_silence(stream(*range(51), *range(120, 200)), 20 * MS, 180 * MS, 0.001)
    assert silence.outage_ms == pytest.approx(69)
    assert (silence.begin_ns, silence.end_ns, silence.ended) == (50 * MS, 120 * MS, True)


def test_a_silence_that_never_ends_lasts_until_the_end_of_the_window() -> None:
    silence = longest_silence(stream(*range(31)), 20 * MS, 500 * MS, 0.001)
    assert silence.outage_ms == pytest.approx(469)
    assert not silence.ended


def test_a_silence_that_began_before_the_window_counts_whole() -> None:
    silence = longest_silence(stream(1, 2, 60, 61), 50 * MS, 62 * MS, 0.001)
    assert silence.outage_ms == pytest.approx(57)


def test_no_packet_at_all_is_one_outage() -> None:
    assert longest_silence([], 0, 100 * MS, 0.001).outage_ms == pytest.approx(99)


@given(st.lists(st.integers(0, 1000), max_size=60), st.integers(0, 900), st.integers(1, 100))
def test_no_gap_inside_the_window_is_longer_than_the_outage(arrivals: list[int], begin: int, length: int) -> None:
    inside = [at for at in sorted(arrivals) if begin <= at < begin + length]
    edges = [begin, *inside, begin + length]
    longest = max(after - before for before, after in pairwise(edges))
    silence = longest_silence([at * MS for at in sorted(arrivals)], begin * MS, (begin + length) * MS, 0.0)
    assert silence.outage_ms >= longest
    assert silence.end_ns - silence.begin_ns == pytest.approx(silence.outage_ms * MS)


def test_packets_of_a_window_are_those_sent_in_it_with_their_fate() -> None:
    flow = Flow("here", "there", "2001:db8::1")
    flow.sent_ns = [10, 20, 30, 40]
    flow.received_ns = {0: 15, 3: 47}
    assert flow.packets(20, 41) == [Packet(1, 20, None), Packet(2, 30, None), Packet(3, 40, 47)]
    assert [packet.sequence for packet in flow.packets()] == [0, 1, 2, 3]
    assert flow.arrived_since(20) == 1
