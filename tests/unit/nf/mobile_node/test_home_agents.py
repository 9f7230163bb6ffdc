"""Claims about the choice of the home agent: Home Agent Switch (RFC 5142), discovery and prefix discovery (RFC 6275 section 11.4)."""

from __future__ import annotations

import pytest
from closedloop_nf.mobile_node.actions import Bind, Emit, Expect, SendIcmpv6, SendMobility
from closedloop_nf.mobile_node.inputs import Icmpv6Received
from closedloop_nf.runtime.addresses import from_text
from closedloop_nf.wire import icmpv6
from closedloop_nf.wire.nd_options import PrefixInformation

from tests.unit.nf.mobile_node.harness import (
    AGENT,
    AGENT2,
    AGENT3,
    CARE_OF1,
    HOME,
    HOME_PREFIX,
    VISITED2,
    Node,
    acknowledgement,
    events,
    last_update,
    ntp,
    of,
    switch,
    updates,
)

ANYCAST = from_text("2001:db8:a::fdff:ffff:ffff:fffe")


# --- Home Agent Switch -----------------------------------------------------------------------------------------------


def test_adopting_home_agent_gets_update_and_traffic_at_once() -> None:
    node = Node().bound()
    actions = node.feed(switch((AGENT2,), ntp(node), AGENT2))
    assert [type(action) for action in actions if not isinstance(action, Emit)] == [SendMobility, Bind]
    assert last_update(actions).sent.destination == AGENT2
    assert of(actions, Bind) == [Bind(CARE_OF1, AGENT2, "eth0")]
    assert events(actions)[-2:] == ["switch_received", "home_agent_changed"]


def test_planned_switch_keeps_the_old_tunnel_until_the_new_agent_acknowledges() -> None:
    node = Node().bound()
    actions = node.feed(switch((AGENT2, AGENT3), ntp(node), AGENT))
    assert of(actions, Bind) == []
    assert of(actions, Expect) == [Expect(CARE_OF1, AGENT2, "eth0")]
    assert of(node.feed(acknowledgement(last_update(actions))), Bind) == [Bind(CARE_OF1, AGENT2, "eth0")]


def test_agents_of_a_switch_are_tried_in_their_order_then_the_configured_ones() -> None:
    node = Node(failover_after=0, home_agents=(AGENT,)).bound()
    node.feed(switch((AGENT3, AGENT2), ntp(node), AGENT))
    node.advance(10)
    destinations = [update.sent.destination for update in updates([action for _, action in node.log])]
    assert destinations[1:4] == [AGENT3, AGENT2, AGENT]


def test_switch_without_agents_starts_discovery() -> None:
    node = Node().bound()
    assert "dhaad_sent" in events(node.feed(switch((), ntp(node), AGENT)))


def test_retransmitted_switch_does_not_repeat_the_outstanding_update() -> None:
    node = Node().bound()
    node.feed(switch((AGENT2,), ntp(node), AGENT2))
    node.advance(0.1)
    assert updates(node.feed(switch((AGENT2,), ntp(node), AGENT2))) == []


@pytest.mark.parametrize("key", [None, bytes(20)], ids=["unsigned", "other key"])
def test_switch_that_is_not_genuine_changes_nothing(key: bytes | None) -> None:
    node = Node().bound()
    assert node.feed(switch((AGENT2,), ntp(node), AGENT2, key=key)) == []
    assert node.core.home_agents.current == AGENT


def test_replayed_switch_changes_nothing() -> None:
    node = Node().bound()
    old = switch((AGENT2,), ntp(node), AGENT2)
    node.feed(acknowledgement(last_update(node.feed(old))))
    node.advance(0.1)
    node.feed(acknowledgement(last_update(node.feed(switch((AGENT,), ntp(node), AGENT)))))
    assert node.feed(old) == []
    assert node.core.counters["switch_replayed"] == 1


@pytest.mark.parametrize("offset_s", [-8, 8, None])
def test_switch_of_another_time_changes_nothing(offset_s: float | None) -> None:
    node = Node().bound()
    assert node.feed(switch((AGENT2,), 0 if offset_s is None else ntp(node, offset_s), AGENT2)) == []


def test_switch_to_no_unicast_address_changes_nothing() -> None:
    node = Node().bound()
    assert node.feed(switch((from_text("ff02::1"),), ntp(node), AGENT2)) == []


def test_switch_is_judged_in_the_home_agents_time() -> None:
    node = Node()
    node.feed(acknowledgement(last_update(node.feed(acknowledgement(last_update(node.visit1()), 144, timestamp=ntp(node, -3600))))))
    assert updates(node.feed(switch((AGENT2,), ntp(node, -3600), AGENT2))) != []


# --- dynamic home agent address discovery ----------------------------------------------------------------------------


def reply(node: Node, agents: tuple[bytes, ...], source: bytes = AGENT3) -> Icmpv6Received:
    message = icmpv6.HomeAgentDiscoveryReply(node.core.discovery.identifier, agents)
    return Icmpv6Received(source, CARE_OF1, None, icmpv6.build_icmpv6(message, source, CARE_OF1))


def test_without_a_known_home_agent_the_home_network_is_asked() -> None:
    node = Node(home_agents=())
    request = of(node.visit1(), SendIcmpv6)[0]
    assert (request.source, request.destination) == (CARE_OF1, ANYCAST)
    assert isinstance(icmpv6.parse_icmpv6(request.payload), icmpv6.HomeAgentDiscoveryRequest)
    assert last_update(node.feed(reply(node, (AGENT2, AGENT3)))).sent.destination == AGENT2


def test_reply_without_addresses_means_its_sender() -> None:
    node = Node(home_agents=())
    node.visit1()
    assert last_update(node.feed(reply(node, ()))).sent.destination == AGENT3


def test_reply_with_another_identifier_changes_nothing() -> None:
    node = Node(home_agents=())
    node.visit1()
    answer = reply(node, (AGENT2,))
    node.core.discovery.identifier ^= 1
    assert node.feed(answer) == []


def test_discovery_is_repeated_with_back_off() -> None:
    node = Node(home_agents=())
    node.visit1()
    times = [time for time, action in [*node.log, *[(0.0, a) for a in node.advance(3 + 6 + 12 + 1)]] if isinstance(action, SendIcmpv6)]
    assert len(times) == 4


def test_discovery_starts_when_all_known_agents_are_silent_and_they_are_still_tried() -> None:
    node = Node(failover_after=0)
    actions = [*node.visit1(), *node.advance(30)]
    assert "dhaad_sent" in events(actions)
    assert [update.sent.destination for update in updates(actions)][:4] == [AGENT, AGENT2, AGENT, AGENT2]
    assert last_update(node.feed(reply(node, (AGENT3,)))).sent.destination == AGENT3


def test_discovery_is_off_where_configured() -> None:
    node = Node(failover_after=0, discover_home_agents=False)
    assert "dhaad_sent" not in events([*node.visit1(), *node.advance(300)])


# --- mobile prefix discovery -----------------------------------------------------------------------------------------


def prefix_advertisement(identifier: int, valid_s: int, source: bytes = AGENT) -> Icmpv6Received:
    information = PrefixInformation(HOME_PREFIX.address, 64, True, True, False, valid_s, valid_s)
    message = icmpv6.MobilePrefixAdvertisement(identifier, False, False, (information,))
    return Icmpv6Received(source, CARE_OF1, HOME, icmpv6.build_icmpv6(message, source, HOME))


def test_status_1_is_followed_by_a_prefix_solicitation_from_the_home_address() -> None:
    node = Node()
    request = of(node.feed(acknowledgement(last_update(node.visit1()), 1)), SendIcmpv6)[0]
    assert (request.source, request.destination, request.home_address_option) == (CARE_OF1, AGENT, HOME)
    assert icmpv6.checksum_ok(request.payload, HOME, AGENT)


def test_lifetime_asked_for_does_not_pass_the_home_prefixs() -> None:
    node = Node(lifetime_s=200_000)
    node.feed(acknowledgement(last_update(node.visit1()), 1))
    node.feed(prefix_advertisement(node.core.prefixes.identifier, 100_000))
    assert node.core.prefixes.valid_until == node.mono + 100_000
    assert last_update(node.visit2()).message.lifetime == 25_000


def test_unauthenticated_advertisement_cannot_shorten_the_prefix_below_two_hours() -> None:
    node = Node()
    node.feed(acknowledgement(last_update(node.visit1()), 1))
    node.feed(prefix_advertisement(node.core.prefixes.identifier, 4))
    assert node.core.prefixes.valid_until == node.mono + 7200


def test_unsolicited_advertisement_is_a_reason_to_ask_and_nothing_more() -> None:
    node = Node().bound()
    actions = node.feed(prefix_advertisement(7, 100_000))
    assert len(of(actions, SendIcmpv6)) == 1
    assert node.core.prefixes.valid_until is None
    assert node.feed(prefix_advertisement(7, 100_000, source=AGENT2)) == []


def test_solicitation_is_repeated_three_times() -> None:
    node = Node()
    actions = [*node.feed(acknowledgement(last_update(node.visit1()), 1)), *node.advance(400)]
    assert len(of(actions, SendIcmpv6)) == 4


def test_aging_prefix_is_asked_for_again() -> None:
    node = Node(lifetime_s=262_140)
    node.feed(acknowledgement(last_update(node.visit1()), 1))
    node.feed(prefix_advertisement(node.core.prefixes.identifier, 8000))
    assert len(of(node.advance(6001), SendIcmpv6)) == 1
    assert VISITED2 not in node.core.prefixes.advertised
