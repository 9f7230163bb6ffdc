"""Between a valid Binding Update and its acknowledgement: duplicates, duplicate address detection, overload, HA-B out of reach."""

from __future__ import annotations

import pytest
from closedloop_nf.ha_pp import events, registration
from closedloop_nf.link import messages as link
from closedloop_nf.wire import mobility
from closedloop_nf.wire.mobility_options import Authentication, find_option
from closedloop_nf.wire.status import BindingErrorStatus, BindingStatus

from tests.unit.nf.ha_pp.harness import AGENT, CARE_OF, CARE_OF_2, HOME, HOME_2, KEY, LEASE_MS, SPI, World, binding, ip

SIBLING = ip("fe80::11")


@pytest.fixture
def world() -> World:
    return World().start()


@pytest.fixture
def careful() -> World:
    """With duplicate address detection."""
    return World(detect_duplicates=True).start()


# --- duplicates ------------------------------------------------------------------------------------------------------


def test_a_doubled_packet_is_asked_once_while_ha_b_has_not_answered(world: World) -> None:
    update = world.update()
    world.feed(update)
    world.feed(update)
    assert len(world.said(link.Register)) == 1
    assert world.counters["discarded_duplicate"] == 1


def test_two_updates_of_one_node_may_be_under_way_at_a_time(world: World) -> None:
    world.feed(world.update())
    world.advance(0.01)
    world.feed(world.update(care_of=CARE_OF_2))
    first, second = world.said(link.Register)
    world.hear(
        link.Registered(first.transaction, 0, 400, first.sequence, 6), link.Registered(second.transaction, 0, 400, second.sequence, 7)
    )
    assert [packet.destination for packet in world.sent] == [CARE_OF, CARE_OF_2]
    assert world.installed == {HOME: CARE_OF_2}


def test_an_answer_to_nothing_is_counted_and_changes_nothing(world: World) -> None:
    world.hear(link.Registered(99, 0, 400, 1, 6))
    assert world.installed == {}
    assert world.counters["unknown_transactions"] == 1


# --- duplicate address detection -------------------------------------------------------------------------------------


def test_the_first_registration_waits_for_duplicate_address_detection(careful: World) -> None:
    careful.feed(careful.update())
    assert careful.testing == [HOME]
    assert careful.said(link.Register) == []
    careful.feed(events.DadDone(HOME, unique=True))
    careful.agree()
    assert careful.acknowledgement().status == 0


def test_a_used_home_address_is_answered_134(careful: World) -> None:
    careful.feed(careful.update())
    careful.feed(events.DadDone(HOME, unique=False))
    acknowledgement = careful.acknowledgement()
    assert acknowledgement.status == BindingStatus.DUPLICATE_ADDRESS
    assert find_option(acknowledgement.options, Authentication) is not None
    assert careful.said(link.Register) == []


def test_an_update_of_a_binding_needs_no_detection(careful: World) -> None:
    careful.feed(careful.update())
    careful.feed(events.DadDone(HOME, unique=True))
    careful.agree()
    careful.advance(0.1)
    careful.feed(careful.update(care_of=CARE_OF_2))
    assert careful.testing == [HOME]
    assert len(careful.said(link.Register)) == 2


def test_the_newest_update_is_the_one_registered_after_detection(careful: World) -> None:
    careful.feed(careful.update(sequence=5))
    careful.advance(0.1)
    careful.feed(careful.update(sequence=6, care_of=CARE_OF_2))
    assert careful.testing == [HOME]
    careful.feed(events.DadDone(HOME, unique=True))
    assert [(r.sequence, r.care_of_address) for r in careful.said(link.Register)] == [(6, CARE_OF_2)]


def test_an_older_update_does_not_replace_the_one_under_detection(careful: World) -> None:
    older = careful.update(sequence=5)
    careful.advance(0.1)
    careful.feed(careful.update(sequence=6, care_of=CARE_OF_2))
    careful.feed(older)
    careful.feed(events.DadDone(HOME, unique=True))
    assert [r.sequence for r in careful.said(link.Register)] == [6]
    assert careful.counters["discarded_duplicate"] == 1


def test_a_detection_that_ends_after_the_lease_registers_nothing(careful: World) -> None:
    careful.feed(careful.update())
    careful.feed(events.LinkClosed())
    careful.advance(LEASE_MS / 1000 + 0.1)
    careful.feed(events.DadDone(HOME, unique=True))
    assert careful.said(link.Register) == []
    assert careful.sent == []
    assert careful.core.registrar.waiting == 0


def test_a_result_nobody_waits_for_is_ignored(careful: World) -> None:
    assert careful.feed(events.DadDone(HOME, unique=True)) == []


# --- the L bit -------------------------------------------------------------------------------------------------------


def test_with_the_l_bit_the_link_local_sibling_is_tested_and_defended_too(careful: World) -> None:
    careful.feed(careful.update(link_local=True))
    assert careful.testing == [HOME, SIBLING]
    careful.feed(events.DadDone(HOME, unique=True))
    assert careful.said(link.Register) == []
    careful.feed(events.DadDone(SIBLING, unique=True))
    careful.agree()
    assert careful.installed == {HOME: CARE_OF}
    assert careful.defended == {SIBLING}
    assert SIBLING in careful.announced


def test_without_the_l_bit_the_sibling_is_left_alone(careful: World) -> None:
    careful.feed(careful.update())
    careful.feed(events.DadDone(HOME, unique=True))
    careful.agree()
    assert careful.testing == [HOME]
    assert careful.defended == set()


def test_a_used_sibling_rejects_the_whole_registration(careful: World) -> None:
    careful.feed(careful.update(link_local=True))
    careful.feed(events.DadDone(SIBLING, unique=False))
    assert careful.acknowledgement().status == BindingStatus.DUPLICATE_ADDRESS
    careful.feed(events.DadDone(HOME, unique=True))
    assert careful.said(link.Register) == []
    assert careful.core.registrar.waiting == 0


def test_the_sibling_is_given_up_with_the_binding(world: World) -> None:
    world.register(link_local=True)
    assert world.defended == {SIBLING}
    world.register(lifetime_s=0)
    assert world.defended == set()


def test_a_binding_that_loses_the_l_bit_keeps_its_tunnel_only(world: World) -> None:
    world.register(link_local=True)
    world.register(link_local=False)
    assert world.installed == {HOME: CARE_OF}
    assert world.defended == set()


def test_the_sibling_of_another_home_address_here_is_a_duplicate() -> None:
    second = (ip("2001:db8:41::"), 64)
    home = ip("2001:db8:41::11")  # same interface identifier on another prefix of the home link
    world = World(detect_duplicates=True).start(binding(flags=0xE000), home_prefixes=[(ip("2001:db8:40::"), 64), second])
    world.settle()
    assert world.defended == {SIBLING}
    world.hear(link.SecurityAssociations([link.SecurityAssociation(home, SPI, KEY)]))
    world.feed(world.update(home, link_local=True))
    assert world.acknowledgement().status == BindingStatus.DUPLICATE_ADDRESS
    assert world.testing == []


# --- limits and outages ----------------------------------------------------------------------------------------------


def test_too_many_waiting_registrations_are_answered_130(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registration, "MAX_WAITING", 1)
    world.feed(world.update())
    world.feed(world.update(HOME_2))
    assert world.acknowledgement().status == BindingStatus.INSUFFICIENT_RESOURCES
    assert len(world.said(link.Register)) == 1


def test_while_ha_b_is_out_of_reach_updates_are_dropped_and_nothing_is_kept(world: World) -> None:
    world.feed(events.LinkClosed())
    world.feed(world.update())
    assert world.sent == []
    assert world.core.registrar.waiting == 0
    assert world.counters["discarded_backend_unreachable"] == 1


def test_what_ha_b_had_not_answered_when_the_link_broke_can_be_asked_again(world: World) -> None:
    update = world.update()
    world.feed(update)
    world.feed(events.LinkClosed())
    assert world.core.registrar.waiting == 0
    world.advance(0.06)
    world.feed(events.LinkConnected())
    world.hear(link.Welcome(2, 100, LEASE_MS, "active", "per_instance", home_prefixes=[(ip("2001:db8:40::"), 64)]))
    world.hear(link.SecurityAssociations([link.SecurityAssociation(HOME, SPI, KEY)]), link.SnapshotDone(5))
    world.feed(update)
    assert len(world.said(link.Register)) == 2


def test_after_the_lease_updates_are_dropped_without_an_answer(world: World) -> None:
    world.feed(events.LinkClosed())
    world.advance(LEASE_MS / 1000 + 0.01)
    world.feed(world.update())
    assert world.sent == []
    assert world.counters["discarded_lease_lapsed"] == 1


def test_an_answer_of_ha_b_after_the_lease_is_learned_but_not_acknowledged(world: World) -> None:
    world.feed(world.update())
    asked = world.said(link.Register)[-1]
    world.mono += LEASE_MS / 1000  # the process was stopped and goes on
    world.hear(link.Registered(asked.transaction, 0, 400, asked.sequence, 6))
    assert world.sent == []
    assert not world.forwards()
    assert world.installed == {HOME: CARE_OF}


def test_strangers_cannot_provoke_more_answers_than_the_bucket_holds(world: World) -> None:
    for _attempt in range(1000):
        world.feed(world.update(key=None))
    assert len(world.sent) == 100
    assert world.counters["rejected_authentication_missing"] == 1000
    assert world.counters["answers_suppressed"] == 900
    world.advance(1.0)
    world.feed(world.update(key=None))
    assert len(world.sent) == 101


def test_a_storm_of_strangers_does_not_silence_genuine_nodes(world: World) -> None:
    for _attempt in range(1000):
        world.feed(world.update(HOME_2, key=None))
    assert world.register().status == 0


def test_replays_provoke_a_bounded_number_of_answers(world: World) -> None:
    update = world.update()
    world.feed(update)
    world.agree()
    for _attempt in range(5000):
        world.feed(update)
    assert len(world.sent) == 1 + 2000


# --- other messages --------------------------------------------------------------------------------------------------


def received(message: mobility.MobilityMessage, *, home: bytes | None = None, source: bytes = CARE_OF) -> events.MobilityReceived:
    data = mobility.seal(mobility.build_mobility(message), source if home is None else home, AGENT)
    return events.MobilityReceived(source, AGENT, home, data)


def binding_error(world: World) -> mobility.BindingError:
    message = mobility.parse_mobility(world.sent[-1].payload)
    assert isinstance(message, mobility.BindingError)
    assert mobility.checksum_ok(world.sent[-1].payload, AGENT, world.sent[-1].destination)
    assert world.sent[-1].routing_home_address is None
    return message


def test_an_unknown_message_type_is_answered_with_a_binding_error_2(world: World) -> None:
    world.feed(received(mobility.UnknownMobility(77, bytes(10))))
    assert binding_error(world).status == BindingErrorStatus.UNKNOWN_MH_TYPE
    assert binding_error(world).home_address == bytes(16)


def test_a_home_address_option_without_a_binding_is_answered_with_a_binding_error_1(world: World) -> None:
    world.feed(events.HomeAddressOptionReceived(CARE_OF, AGENT, HOME))
    assert binding_error(world).status == BindingErrorStatus.UNKNOWN_BINDING
    assert binding_error(world).home_address == HOME
    assert world.sent[-1].destination == CARE_OF


def test_a_home_address_option_from_another_care_of_address_is_answered_too(world: World) -> None:
    world.register()
    world.feed(events.HomeAddressOptionReceived(CARE_OF_2, AGENT, HOME))
    assert binding_error(world).home_address == HOME


def test_a_home_address_option_of_a_binding_is_in_order(world: World) -> None:
    world.register()
    before = len(world.sent)
    world.feed(events.HomeAddressOptionReceived(CARE_OF, AGENT, HOME))
    assert len(world.sent) == before


@pytest.mark.parametrize("source", [ip("ff02::1"), bytes(16)])
def test_binding_errors_go_to_unicast_addresses_only(world: World, source: bytes) -> None:
    world.feed(events.HomeAddressOptionReceived(source, AGENT, HOME))
    assert world.sent == []


def test_binding_errors_are_bounded(world: World) -> None:
    for _attempt in range(500):
        world.feed(events.HomeAddressOptionReceived(CARE_OF, AGENT, HOME))
    assert len(world.sent) == 100


@pytest.mark.parametrize(
    "message",
    [
        mobility.HomeTestInit(bytes(8)),
        mobility.CareOfTestInit(bytes(8)),
        mobility.BindingAcknowledgement(0, False, 1, 1),
        mobility.BindingRefreshRequest(),
        mobility.HomeAgentSwitch((AGENT,)),
    ],
)
def test_messages_for_other_roles_are_dropped(world: World, message: mobility.MobilityMessage) -> None:
    world.feed(received(message))
    assert world.sent == []
    assert world.counters["discarded_not_for_home_agent"] == 1


# --- refresh requests ------------------------------------------------------------------------------------------------


def refresh_requests(world: World) -> list[float]:
    return [packet for packet in world.sent if isinstance(mobility.parse_mobility(packet.payload), mobility.BindingRefreshRequest)]  # type: ignore[misc] # counted only


def test_a_lifetime_near_its_end_is_asked_to_be_refreshed_once() -> None:
    world = World().start(lease_ms=3_600_000)
    world.register(lifetime_s=100)
    world.core.session._dead_at = None  # HA-B stays silent for the whole test
    world.advance(89)
    assert refresh_requests(world) == []
    world.advance(2)
    assert len(refresh_requests(world)) == 1
    # Only a Binding Acknowledgement may come by a type 2 routing header (RFC 6275 section 6.1).
    assert (world.sent[-1].destination, world.sent[-1].routing_home_address, world.sent[-1].tunnel) == (HOME, None, CARE_OF)
    world.advance(9)
    assert len(refresh_requests(world)) == 1


def test_a_refresh_in_time_puts_the_request_off() -> None:
    world = World().start(lease_ms=3_600_000)
    world.register(lifetime_s=100)
    world.core.session._dead_at = None
    world.advance(50)
    world.register(lifetime_s=100)
    world.core.session._dead_at = None
    world.advance(80)
    assert refresh_requests(world) == []
    world.advance(11)
    assert len(refresh_requests(world)) == 1
