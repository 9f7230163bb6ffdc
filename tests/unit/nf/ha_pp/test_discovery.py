"""Dynamic home agent address discovery and mobile prefix discovery (RFC 6275 sections 10.5 and 10.6)."""

from __future__ import annotations

from closedloop_nf.ha_pp import events
from closedloop_nf.link import messages as link
from closedloop_nf.wire import icmpv6
from closedloop_nf.wire.nd_options import PrefixInformation

from tests.unit.nf.ha_pp.harness import AGENT, CARE_OF, CARE_OF_2, HOME, LEASE_MS, PREFIX, World, ip

ANYCAST = ip("2001:db8:40::fdff:ffff:ffff:fffe")


def request(identifier: int = 7, source: bytes = CARE_OF) -> events.Icmpv6Received:
    data = icmpv6.build_icmpv6(icmpv6.HomeAgentDiscoveryRequest(identifier), source, ANYCAST)
    return events.Icmpv6Received(source, ANYCAST, None, data)


def solicitation(
    identifier: int = 9, source: bytes = CARE_OF, home: bytes | None = HOME, destination: bytes = AGENT
) -> events.Icmpv6Received:
    data = icmpv6.build_icmpv6(icmpv6.MobilePrefixSolicitation(identifier), home or source, destination)
    return events.Icmpv6Received(source, destination, home, data)


def reply(world: World) -> icmpv6.HomeAgentDiscoveryReply:
    sent = world.icmpv6[-1]
    assert icmpv6.checksum_ok(sent.payload, sent.source, sent.destination)
    message = icmpv6.parse_icmpv6(sent.payload)
    assert isinstance(message, icmpv6.HomeAgentDiscoveryReply)
    return message


def test_a_request_is_answered_from_the_unicast_address_with_its_identifier() -> None:
    world = World().start()
    world.feed(request(4711))
    assert (world.icmpv6[-1].source, world.icmpv6[-1].destination) == (AGENT, CARE_OF)
    assert reply(world) == icmpv6.HomeAgentDiscoveryReply(4711, (AGENT,))


def test_the_most_preferred_agent_comes_first_and_equals_change_places() -> None:
    best, equals = ip("2001:db8:b::1"), [ip(f"2001:db8:c::{n}") for n in range(1, 6)]
    world = World().start()
    world.hear(link.HomeAgents([*(link.HomeAgent(a, 5, 1800) for a in equals), link.HomeAgent(best, 20, 1800)]))
    orders = set()
    for _attempt in range(20):
        world.feed(request())
        agents = reply(world).home_agents
        assert agents[0] == best
        assert set(agents[1:]) == set(equals)
        orders.add(agents)
    assert len(orders) > 1


def test_a_reply_fits_into_the_minimum_mtu() -> None:
    world = World().start()
    world.hear(link.HomeAgents([link.HomeAgent(ip(f"2001:db8:c::{n:x}"), 5, 1800) for n in range(1, 200)]))
    world.feed(request())
    assert 1200 < 40 + len(world.icmpv6[-1].payload) <= 1280


def test_replies_are_bounded() -> None:
    world = World().start()
    for _attempt in range(500):
        world.feed(request())
    assert len(world.icmpv6) == 100


def test_without_a_lease_nobody_is_told_to_come_here() -> None:
    world = World().start()
    world.feed(events.LinkClosed())
    world.advance(LEASE_MS / 1000 + 0.1)
    world.feed(request())
    assert world.icmpv6 == []


def test_a_multicast_source_gets_no_reply() -> None:
    world = World().start()
    world.feed(request(source=ip("ff02::1")))
    assert world.icmpv6 == []


def test_a_bound_node_gets_its_home_prefixes_through_a_routing_header() -> None:
    world = World().start()
    world.register()
    world.feed(solicitation(12))
    sent = world.icmpv6[-1]
    assert (sent.source, sent.destination, sent.routing_home_address) == (AGENT, CARE_OF, HOME)
    assert icmpv6.checksum_ok(sent.payload, AGENT, HOME)
    message = icmpv6.parse_icmpv6(sent.payload)
    assert isinstance(message, icmpv6.MobilePrefixAdvertisement)
    assert message.identifier == 12
    (prefix,) = message.options
    assert isinstance(prefix, PrefixInformation)
    assert (prefix.prefix, prefix.prefix_length) == PREFIX


def test_a_solicitation_without_binding_from_elsewhere_without_option_or_to_another_address_gets_nothing() -> None:
    world = World().start()
    world.feed(solicitation())
    world.register()
    world.feed(solicitation(source=CARE_OF_2))
    world.feed(solicitation(home=None))
    world.feed(solicitation(destination=ANYCAST))
    assert world.icmpv6 == []
    assert world.counters["discarded_prefix_solicitation_without_binding"] == 4


def test_damaged_messages_are_counted() -> None:
    world = World().start()
    world.feed(events.Icmpv6Received(CARE_OF, ANYCAST, None, b"\x90\0\0"))
    assert world.counters["discarded_icmpv6_truncated"] == 1
    assert world.icmpv6 == []
