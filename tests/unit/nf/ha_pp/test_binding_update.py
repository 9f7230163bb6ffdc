"""Validation of Binding Updates: every rule of RFC 6275 sections 9.5.1, 10.3.1, 10.3.2 and RFC 4285 with its status code."""

from __future__ import annotations

import pytest
from closedloop_nf.ha_pp import events
from closedloop_nf.ha_pp.binding_update import link_local, sequence_is_newer
from closedloop_nf.link import messages as link
from closedloop_nf.wire import authentication, mobility
from closedloop_nf.wire.mobility_options import (
    Authentication,
    BindingAuthorizationData,
    BindingRefreshAdvice,
    MobileNodeIdentifier,
    NonceIndices,
    ReplayProtection,
    UnknownOption,
    find_option,
)
from closedloop_nf.wire.status import BindingStatus

from tests.unit.nf.ha_pp.harness import (
    AGENT,
    CARE_OF,
    CARE_OF_2,
    HOME,
    HOME_LINK,
    KEY,
    OTHER,
    PREFIX,
    SPI,
    World,
    binding,
    ip,
    rejected,
    silent,
)

# --- acceptance ------------------------------------------------------------------------------------------------------


def test_a_genuine_update_is_acknowledged_only_after_ha_b_said_yes(world: World) -> None:
    world.feed(world.update(sequence=77, lifetime_s=400))
    assert world.sent == []
    assert world.installed == {}
    asked = world.said(link.Register)
    assert [(r.home_address, r.care_of_address, r.sequence, r.lifetime_s) for r in asked] == [(HOME, CARE_OF, 77, 400)]
    world.agree()
    assert world.installed == {HOME: CARE_OF}
    acknowledgement = world.acknowledgement()
    assert (acknowledgement.status, acknowledgement.sequence, acknowledgement.lifetime) == (0, 77, 100)


def test_the_kernel_has_the_tunnel_before_the_acknowledgement_leaves(world: World) -> None:
    world.feed(world.update())
    asked = world.said(link.Register)[-1]
    actions = world.feed(events.LinkMessage(link.Registered(asked.transaction, 0, 400, asked.sequence, 6)))
    kinds = [type(action) for action in actions]
    assert kinds.index(events.Install) < kinds.index(events.SendMobility)


def test_an_acknowledgement_goes_to_the_care_of_address_behind_a_routing_header(world: World) -> None:
    world.register()
    sent = world.sent[-1]
    assert (sent.source, sent.destination, sent.routing_home_address) == (AGENT, CARE_OF, HOME)
    assert mobility.checksum_ok(sent.payload, AGENT, HOME)


def test_an_alternate_care_of_address_is_bound_and_gets_the_acknowledgement(world: World) -> None:
    world.register(care_of=CARE_OF, alternate=CARE_OF_2)
    assert world.installed == {HOME: CARE_OF_2}
    assert world.sent[-1].destination == CARE_OF_2


def test_an_acknowledgement_is_signed_with_the_updates_key_and_repeats_its_timestamp(world: World) -> None:
    acknowledgement = world.register()
    verdict = authentication.verify(
        world.sent[-1].payload, care_of_address=CARE_OF, home_address=HOME, key_for_spi=lambda spi: KEY if spi == SPI else None
    )
    assert verdict is authentication.VerifyResult.OK
    replay = find_option(acknowledgement.options, ReplayProtection)
    assert replay is not None
    assert replay.timestamp == world.said(link.Register)[-1].timestamp


def test_a_home_agent_acknowledges_without_the_a_bit_too(world: World) -> None:
    assert world.register(acknowledge=False).status == 0


def test_the_k_bit_is_clear_in_the_acknowledgement(world: World) -> None:
    assert world.register(key_management=True).key_management is False


def test_the_lifetime_granted_is_at_most_the_configured_one_and_a_multiple_of_four() -> None:
    world = World(max_lifetime_s=42).start()
    world.feed(world.update(lifetime_s=4000))
    assert world.said(link.Register)[-1].lifetime_s == 40


def test_ha_bs_smaller_limit_of_the_lifetime_wins() -> None:
    world = World(max_lifetime_s=3600).start(max_lifetime_s=100)
    world.feed(world.update(lifetime_s=4000))
    assert world.said(link.Register)[-1].lifetime_s == 100


def test_refresh_advice_lies_inside_the_lifetime_granted(world: World) -> None:
    acknowledgement = world.register(lifetime_s=400)
    advice = find_option(acknowledgement.options, BindingRefreshAdvice)
    assert advice is not None
    assert 0 < advice.interval < acknowledgement.lifetime


def test_options_that_mean_nothing_here_are_skipped(world: World) -> None:
    options = (UnknownOption(200, b"abc"), MobileNodeIdentifier(1, b"mn@example.net"), BindingRefreshAdvice(3))
    assert world.register(options=options).status == 0


# --- deregistration --------------------------------------------------------------------------------------------------


def test_lifetime_zero_from_abroad_removes_and_is_acknowledged_where_it_came_from(world: World) -> None:
    world.register()
    acknowledgement = world.register(lifetime_s=0, care_of=CARE_OF_2)
    assert (acknowledgement.status, acknowledgement.lifetime) == (0, 0)
    assert world.installed == {}
    assert (world.sent[-1].destination, world.sent[-1].routing_home_address) == (CARE_OF_2, HOME)
    assert find_option(acknowledgement.options, BindingRefreshAdvice) is None


def test_back_home_the_care_of_address_is_the_home_address_and_no_routing_header_is_used(world: World) -> None:
    world.register()
    acknowledgement = world.register(at_home=True, lifetime_s=400)
    assert (acknowledgement.status, acknowledgement.lifetime) == (0, 0)
    assert world.installed == {}
    assert (world.sent[-1].destination, world.sent[-1].routing_home_address) == (HOME, None)


def test_a_deregistration_without_a_binding_is_answered_133(world: World) -> None:
    world.feed(world.update(lifetime_s=0))
    rejected(world, BindingStatus.NOT_HOME_AGENT, "no_binding")


def test_an_update_sent_before_the_deregistration_cannot_bind_again(world: World) -> None:
    world.register()
    late = world.update()  # genuine, held back by somebody
    world.advance(0.5)
    world.register(lifetime_s=0)
    asked = len(world.said(link.Register))
    world.feed(late)
    assert world.acknowledgement().status == BindingStatus.ID_MISMATCH
    assert len(world.said(link.Register)) == asked
    assert world.installed == {}


# --- RFC 6275 section 9.5.1 ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("home", ["ff02::1", "fe80::1", "::1", "::", "::ffff:192.0.2.1"])
def test_a_home_address_that_is_not_unicast_routable_is_discarded(world: World, home: str) -> None:
    world.feed(world.update(ip(home)))
    silent(world, "home_address_not_unicast")


@pytest.mark.parametrize("care_of", ["ff05::2", "fe80::2", "::1", "::", "::ffff:192.0.2.1"])
def test_a_care_of_address_that_is_not_unicast_routable_is_discarded(world: World, care_of: str) -> None:
    world.feed(world.update(care_of=ip(care_of)))
    silent(world, "care_of_address_not_unicast")


@pytest.mark.parametrize("care_of", ["ff05::2", "fe80::2", "::1", "::"])
def test_an_alternate_care_of_address_that_is_not_unicast_routable_is_discarded(world: World, care_of: str) -> None:
    world.feed(world.update(alternate=ip(care_of)))
    silent(world, "care_of_address_not_unicast")


@pytest.mark.parametrize("sequence", [10, 9, 10 - (1 << 15) & 0xFFFF, 10 + (1 << 15)])
def test_a_sequence_number_that_is_not_newer_is_answered_135_with_the_last_accepted(sequence: int) -> None:
    world = World().start(binding(sequence=10))
    world.feed(world.update(sequence=sequence))
    assert rejected(world, BindingStatus.SEQUENCE_OUT_OF_WINDOW, "sequence").sequence == 10
    assert world.installed == {HOME: CARE_OF}


def test_a_sequence_number_may_wrap_around() -> None:
    world = World().start(binding(sequence=0xFFFF))
    assert world.register(sequence=3).status == 0


def test_without_a_binding_any_sequence_number_is_taken(world: World) -> None:
    assert world.register(sequence=0).status == 0


def test_sequence_arithmetic_is_modulo_two_to_the_sixteenth() -> None:
    assert sequence_is_newer(1, 0xFFFF)
    assert sequence_is_newer(0x7FFF, 0)
    assert not sequence_is_newer(0x8000, 0)
    assert not sequence_is_newer(7, 7)


def test_a_correspondent_registration_without_nonces_is_discarded(world: World) -> None:
    world.feed(world.update(home_registration=False))
    silent(world, "correspondent_registration_without_nonces")


def test_a_correspondent_registration_has_always_expired_nonces(world: World) -> None:
    options = (NonceIndices(1, 1), BindingAuthorizationData(bytes(12)))
    world.feed(world.update(home_registration=False, options=options, key=None, timestamp=False))
    rejected(world, BindingStatus.EXPIRED_NONCES, "nonces_expired")


def test_the_h_bit_of_a_binding_cannot_be_taken_away() -> None:
    world = World().start(binding())
    options = (NonceIndices(1, 1), BindingAuthorizationData(bytes(12)))
    world.feed(world.update(home_registration=False, options=options, key=None, timestamp=False))
    rejected(world, BindingStatus.REGISTRATION_TYPE_CHANGE, "registration_type_change")


def test_a_home_registration_with_nonce_indices_is_discarded(world: World) -> None:
    world.feed(world.update(options=(NonceIndices(1, 1),)))
    silent(world, "home_registration_with_nonces")


# --- RFC 6275 section 10.3.1 -----------------------------------------------------------------------------------------


def foreign(world: World, home: bytes) -> None:
    world.hear(link.SecurityAssociations([link.SecurityAssociation(home, SPI, KEY)]))


def test_a_home_address_outside_the_home_prefixes_is_answered_132(world: World) -> None:
    home = ip("2001:db8:41::11")
    foreign(world, home)
    world.feed(world.update(home))
    rejected(world, BindingStatus.NOT_HOME_SUBNET, "not_home_subnet")


@pytest.mark.parametrize("home", [HOME_LINK, PREFIX[0], ip("2001:db8:40::fdff:ffff:ffff:fffe")])
def test_addresses_of_home_agents_and_anycast_addresses_are_nobodys_home_address(world: World, home: bytes) -> None:
    foreign(world, home)
    world.feed(world.update(home))
    rejected(world, BindingStatus.ADMINISTRATIVELY_PROHIBITED, "home_address_reserved")


@pytest.mark.parametrize("care_of", [AGENT, HOME_LINK, ip("2001:db8:40::77")])
def test_a_tunnel_may_not_end_at_the_home_agent_or_on_the_home_link(world: World, care_of: bytes) -> None:
    world.feed(world.update(alternate=care_of))
    rejected(world, BindingStatus.INVALID_CARE_OF_ADDRESS, "care_of_address_at_home")


def test_a_standby_answers_129() -> None:
    world = World().start(role="standby")
    world.feed(world.update())
    rejected(world, BindingStatus.ADMINISTRATIVELY_PROHIBITED, "standby")


def test_ha_bs_refusal_is_passed_on_signed(world: World) -> None:
    world.feed(world.update())
    asked = world.said(link.Register)[-1]
    world.hear(link.Registered(asked.transaction, BindingStatus.SEQUENCE_OUT_OF_WINDOW, 0, 4711, 6))
    acknowledgement = world.acknowledgement()
    assert (acknowledgement.status, acknowledgement.sequence) == (BindingStatus.SEQUENCE_OUT_OF_WINDOW, 4711)
    assert find_option(acknowledgement.options, Authentication) is not None
    assert world.installed == {}


def test_a_refusal_goes_to_the_packets_source_even_with_an_alternate_care_of_address() -> None:
    world = World().start(binding(sequence=100))
    world.feed(world.update(sequence=100, alternate=CARE_OF_2))
    assert (world.sent[-1].destination, world.sent[-1].routing_home_address) == (CARE_OF, HOME)


# --- where and whether -----------------------------------------------------------------------------------------------


def test_an_update_to_another_address_of_this_node_is_discarded(world: World) -> None:
    world.feed(world.update(destination=HOME_LINK))
    silent(world, "not_our_address")


def test_a_damaged_checksum_is_discarded(world: World) -> None:
    update = world.update()
    data = bytearray(update.payload)
    data[5] ^= 1
    world.feed(events.MobilityReceived(update.source, update.destination, update.home_address, bytes(data)))
    silent(world, "checksum")


def test_an_address_bound_elsewhere_is_known_and_needs_no_duplicate_address_detection() -> None:
    world = World(detect_duplicates=True).start(binding(owner=OTHER, sequence=5))
    world.feed(world.update(sequence=6))
    assert world.testing == []
    assert len(world.said(link.Register)) == 1


def test_the_link_local_sibling_has_the_home_addresses_interface_identifier() -> None:
    assert link_local(ip("2001:db8:40::1234:5678")) == ip("fe80::1234:5678")
