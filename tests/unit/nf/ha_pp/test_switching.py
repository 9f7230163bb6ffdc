"""RFC 5142 Home Agent Switch."""

from __future__ import annotations

from closedloop_nf.ha_pp import events
from closedloop_nf.link import messages as link
from closedloop_nf.wire import authentication, mobility

from tests.unit.nf.ha_pp.harness import AGENT, CARE_OF, HOME, HOME_2, KEY, OTHER, SPI, World, binding, ip, numbered

NEXT = ip("2001:db8:b::1")


def switches(world: World) -> list[events.SendMobility]:
    return [packet for packet in world.sent if isinstance(mobility.parse_mobility(packet.payload), mobility.HomeAgentSwitch)]


def test_the_node_is_told_through_a_routing_header_with_the_shared_keys_authenticator() -> None:
    world = World().start(binding())
    world.hear(link.SwitchHomeAgent([HOME], [NEXT]))
    world.settle()
    (packet,) = switches(world)
    assert (packet.source, packet.destination, packet.routing_home_address) == (AGENT, CARE_OF, HOME)
    message = mobility.parse_mobility(packet.payload)
    assert isinstance(message, mobility.HomeAgentSwitch)
    assert message.home_agents == (NEXT,)
    verdict = authentication.verify(
        packet.payload, care_of_address=CARE_OF, home_address=HOME, key_for_spi=lambda spi: KEY if spi == SPI else None
    )
    assert verdict is authentication.VerifyResult.OK


def test_it_is_repeated_at_doubling_intervals_and_given_up() -> None:
    world = World().start(binding(), lease_ms=60_000)
    world.hear(link.SwitchHomeAgent([HOME], [NEXT]))
    counts = []
    for wait in (0.0, 0.11, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4):
        world.advance(wait)
        counts.append(len(switches(world)))
    assert counts == [1, 2, 3, 4, 5, 6, 6, 6]


def test_it_ends_when_the_node_is_owned_by_another() -> None:
    world = World().start(binding(), lease_ms=60_000)
    world.hear(link.SwitchHomeAgent([HOME], [NEXT]))
    world.settle()
    world.hear(link.Revoke(HOME, 9))
    world.advance(10)
    assert len(switches(world)) == 1


def test_a_refresh_with_the_agent_it_is_to_leave_does_not_end_it() -> None:
    world = World().start(binding(), lease_ms=60_000)
    world.hear(link.SwitchHomeAgent([HOME], [NEXT]))
    world.settle()
    world.register(sequence=50)
    world.advance(0.5)
    assert len(switches(world)) > 1


def test_after_adoption_each_node_is_told_to_register_here_until_it_has() -> None:
    world = World().start(binding(owner=OTHER), binding(HOME_2, owner=OTHER), role="standby")
    world.hear(link.Adopt(OTHER, 7, 20, switch=True))
    world.settle()
    assert {packet.routing_home_address for packet in switches(world)} == {HOME, HOME_2}
    world.register(sequence=50)
    world.advance(0.11)
    assert [packet.routing_home_address for packet in switches(world)].count(HOME) == 1
    assert [packet.routing_home_address for packet in switches(world)].count(HOME_2) == 2


def test_a_node_without_a_key_is_counted_and_not_told() -> None:
    world = World().start(binding(), keys=None)
    world.hear(link.SwitchHomeAgent([HOME], [NEXT]))
    world.settle()
    assert switches(world) == []
    assert world.counters["home_agent_switch_without_key"] == 1


def test_addresses_that_are_not_ours_are_left_alone() -> None:
    world = World().start(binding(owner=OTHER))
    world.hear(link.SwitchHomeAgent([HOME, HOME_2], [NEXT]))
    world.settle()
    assert switches(world) == []


def test_ten_thousand_nodes_are_told_in_pieces() -> None:
    world = World().start(*[binding(numbered(n)) for n in range(10_000)], lease_ms=60_000)
    world.hear(link.SecurityAssociations([link.SecurityAssociation(numbered(n), SPI, KEY) for n in range(10_000)]))
    actions = world.feed(events.LinkMessage(link.SwitchHomeAgent([numbered(n) for n in range(10_000)], [NEXT])))
    actions += world.core.tick(world.now)
    assert sum(isinstance(action, events.SendMobility) for action in actions) <= 200
    world._apply(actions)
    world.settle()
    assert len({packet.routing_home_address for packet in switches(world)}) == 10_000


def test_asking_twice_does_not_double_the_messages() -> None:
    world = World().start(binding(), lease_ms=60_000)
    world.hear(link.SwitchHomeAgent([HOME], [AGENT]), link.SwitchHomeAgent([HOME], [NEXT]))
    world.advance(0.05)
    (packet,) = switches(world)
    message = mobility.parse_mobility(packet.payload)
    assert isinstance(message, mobility.HomeAgentSwitch)
    assert message.home_agents == (NEXT,)


def test_relinquish_ends_it() -> None:
    world = World().start(binding(), lease_ms=60_000)
    world.hear(link.SwitchHomeAgent([HOME], [NEXT]))
    world.settle()
    world.hear(link.Relinquish(9))
    world.advance(5)
    assert len(switches(world)) == 1
