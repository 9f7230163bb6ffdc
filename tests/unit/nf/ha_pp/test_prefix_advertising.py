"""Mobile Prefix Advertisements that nobody asked for (RFC 6275 section 10.6.2)."""

from __future__ import annotations

from closedloop_nf.ha_pp import events
from closedloop_nf.link import messages as link
from closedloop_nf.wire import icmpv6
from closedloop_nf.wire.nd_options import PrefixInformation

from tests.unit.nf.ha_pp.harness import AGENT, CARE_OF, CARE_OF_2, HOME, PREFIX, World, ip, welcome
from tests.unit.nf.ha_pp.test_discovery import solicitation

LEAST_S, MOST_S = 600.0, 86_400.0
OTHER_PREFIX = (ip("2001:db8:41::"), 64)


def started() -> World:
    """A binding, and an HA-B that stays silent without anybody minding."""
    world = World(prefix_min_interval_s=LEAST_S, prefix_max_interval_s=MOST_S).start(lease_ms=10_000_000_000)
    world.register()
    return world


def wait(world: World, seconds: float) -> list[events.SendIcmpv6]:
    """What was sent meanwhile."""
    before = len(world.icmpv6)
    end = world.mono + seconds
    while world.mono < end:
        world.core.session._dead_at = None
        world.core.session._beat_at = None
        world.advance(min(end - world.mono, 50.0))
    return world.icmpv6[before:]


def told(packet: events.SendIcmpv6) -> set[tuple[bytes, int]]:
    message = icmpv6.parse_icmpv6(packet.payload)
    assert isinstance(message, icmpv6.MobilePrefixAdvertisement)
    return {(option.prefix, option.prefix_length) for option in message.options if isinstance(option, PrefixInformation)}


def test_a_new_binding_hears_the_prefixes_not_before_the_least_and_not_after_the_longest_interval() -> None:
    world = started()
    assert wait(world, LEAST_S - 1) == []
    first = wait(world, MOST_S)[0]
    assert (first.source, first.destination, first.routing_home_address) == (AGENT, CARE_OF, HOME)
    assert icmpv6.checksum_ok(first.payload, AGENT, HOME)
    assert told(first) == {PREFIX}


def test_an_advertisement_without_an_answer_is_repeated_three_times_in_growing_pauses() -> None:
    world = started()
    while not world.icmpv6:
        wait(world, 1.0)
    assert [len(wait(world, pause)) for pause in (3.0, 6.0, 12.0)] == [1, 1, 1]
    assert wait(world, MOST_S) == []


def test_a_solicitation_acknowledges_it() -> None:
    world = started()
    while not world.icmpv6:
        wait(world, 1.0)
    world.feed(solicitation())
    assert wait(world, MOST_S) == []
    assert wait(world, MOST_S) != []


def test_what_was_never_acknowledged_goes_out_again_with_the_next_registration() -> None:
    world = started()
    wait(world, MOST_S + 30)
    world.register(care_of=CARE_OF_2)
    (again,) = wait(world, 1.0)
    assert again.destination == CARE_OF_2


def test_a_changed_prefix_is_told_to_every_node_and_in_its_entirety() -> None:
    world = started()
    world.feed(solicitation())
    world.feed(events.LinkClosed())
    wait(world, 2.0)
    world.connecting = False
    world.feed(events.LinkConnected())
    world.hear(welcome(home_prefixes=[PREFIX, OTHER_PREFIX], lease_ms=10_000_000_000, epoch=2))
    world.hear(link.Bindings([world.core.state.known.bindings[HOME]]), link.SnapshotDone(9))
    world.settle()
    world.acknowledge_beats()
    heard = wait(world, MOST_S)
    assert heard
    assert told(heard[0]) == {PREFIX, OTHER_PREFIX}


def test_a_node_that_has_left_hears_nothing() -> None:
    world = started()
    world.register(lifetime_s=0)
    assert wait(world, 2 * MOST_S) == []
