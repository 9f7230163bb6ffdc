"""A home agent with `mobility_auth: none` before mobile nodes of other makes: RFC 6275 as it is, nothing of RFC 4285 asked or said."""

from __future__ import annotations

from closedloop_nf.link import messages as link
from closedloop_nf.wire import icmpv6
from closedloop_nf.wire.mobility_options import Authentication, ReplayProtection, find_option
from closedloop_nf.wire.status import BindingStatus

from tests.unit.nf.ha_pp.harness import AGENT, CARE_OF, CARE_OF_2, HOME, World, binding, rejected
from tests.unit.nf.ha_pp.test_discovery import reply, request, solicitation


def foreign() -> World:
    return World(authentication_required=False).start(keys=None)


def test_the_key_management_bit_is_not_taken_up() -> None:
    """Section 10.3.1: K is clear in the acknowledgement of a home agent whose key management does not survive a movement."""
    world = foreign()
    acknowledgement = world.register(key=None, timestamp=False, key_management=True)
    assert acknowledgement.status == BindingStatus.ACCEPTED
    assert not acknowledgement.key_management


def test_the_lifetime_granted_is_no_longer_than_the_home_agents() -> None:
    world = foreign()
    assert world.register(key=None, timestamp=False, lifetime_s=40_000).lifetime * 4 == 3600
    assert world.register(key=None, timestamp=False, lifetime_s=60).lifetime * 4 == 60


def test_a_sequence_number_that_is_not_newer_is_refused_with_the_last_one() -> None:
    world = World(authentication_required=False).start(binding(sequence=100), keys=None)
    world.feed(world.update(key=None, timestamp=False, sequence=100))
    assert rejected(world, BindingStatus.SEQUENCE_OUT_OF_WINDOW, "sequence").sequence == 100


def test_a_deregistration_ends_the_binding() -> None:
    world = foreign()
    world.register(key=None, timestamp=False)
    acknowledgement = world.register(key=None, timestamp=False, lifetime_s=0, at_home=True)
    assert (acknowledgement.status, acknowledgement.lifetime) == (BindingStatus.ACCEPTED, 0)
    assert HOME not in world.core.state.served


def test_a_movement_is_taken_without_any_option() -> None:
    world = foreign()
    world.register(key=None, timestamp=False)
    world.register(care_of=CARE_OF_2, key=None, timestamp=False)
    assert world.said(link.Register)[-1].care_of_address == CARE_OF_2


def test_an_authentication_option_is_neither_checked_nor_answered() -> None:
    """A node that signs with a key nobody here knows is served as one that does not sign."""
    world = foreign()
    acknowledgement = world.register(key=bytes(16))
    assert acknowledgement.status == BindingStatus.ACCEPTED
    assert find_option(acknowledgement.options, Authentication) is None
    assert find_option(acknowledgement.options, ReplayProtection) is None


def test_home_agent_discovery_and_prefix_discovery_work() -> None:
    world = foreign()
    world.feed(request(12))
    assert reply(world) == icmpv6.HomeAgentDiscoveryReply(12, (AGENT,))
    world.register(key=None, timestamp=False)
    world.feed(solicitation(13))
    sent = world.icmpv6[-1]
    assert (sent.destination, sent.routing_home_address) == (CARE_OF, HOME)
    assert isinstance(icmpv6.parse_icmpv6(sent.payload), icmpv6.MobilePrefixAdvertisement)
