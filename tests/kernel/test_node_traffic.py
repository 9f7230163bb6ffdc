"""The kernel counts per mobile node what it tunnels."""

from __future__ import annotations

import time

from closedloop_nf.kernel.home_agent import KernelHomeAgent
from closedloop_nf.kernel.mobile_node import KernelMobileNode
from closedloop_nf.kernel.node_traffic import Traffic, read_node_traffic

from tests.kernel.bed import HOME_ADDRESS, Bed, octets

PING = 1000
OTHERS = 10_000


def test_both_directions_are_counted_per_mobile_node(bed: Bed, home_agent: KernelHomeAgent, mobile_node: KernelMobileNode) -> None:
    with bed.inside("ha"):
        home_agent.install([(octets("2001:db8:a::2"), octets("2001:db8:c::2"))])
        assert read_node_traffic() == {octets(HOME_ADDRESS): Traffic(), octets("2001:db8:a::2"): Traffic()}
    assert bed.ping("cn", HOME_ADDRESS, count=3, size=PING - 8) == 3
    with bed.inside("ha"):
        traffic = read_node_traffic()
    inner = 40 + PING
    assert traffic[octets(HOME_ADDRESS)] == Traffic(3 * (40 + inner), 3, 3 * inner, 3)
    assert traffic[octets("2001:db8:a::2")] == Traffic()
    with bed.inside("ha"):
        home_agent.remove([octets(HOME_ADDRESS)])
        assert list(read_node_traffic()) == [octets("2001:db8:a::2")]


def test_ten_thousand_mobile_nodes_are_read_in_less_than_half_a_second(bed: Bed, home_agent: KernelHomeAgent) -> None:
    homes = [octets("2001:db8:a::")[:8] + (1000 + number).to_bytes(8, "big") for number in range(OTHERS)]
    with bed.inside("ha"):
        home_agent.install([(home, octets("2001:db8:c::")[:8] + home[8:]) for home in homes])
        begin = time.thread_time()
        traffic = read_node_traffic()
        spent = time.thread_time() - begin
    assert len(traffic) == OTHERS + 1
    assert spent < 0.5
    print(f"10 000 mobile nodes: {spent * 1000:.0f} ms of processor time")
