"""The measurement of scale-outs sees the first packet that comes through another home agent, and nothing else."""

from __future__ import annotations

import time

import pytest
from closedloop_nf.wire.ipv6 import build_packet
from closedloop_tools.measure.tunnel_watch import TunnelWatch

from tests.kernel.bed import CARE_OF, HOME_AGENT, Bed, eventually, octets

IPV6_IN_IPV6, NO_NEXT_HEADER = 41, 59


@pytest.mark.parametrize("other", ["2001:db8:a0::2", "3001:db8:a0::1"], ids=["last word differs", "first word differs"])
def test_only_tunnelled_packets_of_another_home_agent_count(bed: Bed, other: str) -> None:
    raw, to = bed.raw("r"), octets(CARE_OF)
    with TunnelWatch(bed.name("mn"), "visited", HOME_AGENT) as watch:
        raw.sendto(build_packet(octets(HOME_AGENT), to, IPV6_IN_IPV6, bytes(60)), (CARE_OF, 0))
        raw.sendto(build_packet(octets(other), to, NO_NEXT_HEADER, b""), (CARE_OF, 0))
        assert bed.ping("r", CARE_OF) == 3, "what was sent before has arrived"
        assert watch.first_ns() is None
        before_ns = time.monotonic_ns()
        raw.sendto(build_packet(octets(other), to, IPV6_IN_IPV6, bytes(60)), (CARE_OF, 0))
        eventually("the packet is seen", lambda: watch.first_ns() is not None)
        first_ns = watch.first_ns()
        assert first_ns is not None
        assert before_ns - 1_000_000 <= first_ns <= time.monotonic_ns()
