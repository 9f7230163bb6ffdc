"""Claims about Binding Update and Binding Acknowledgement (RFC 6275 sections 11.7 and 11.8, RFC 4285)."""

from __future__ import annotations

import itertools

import pytest
from closedloop_nf.mobile_node.actions import Bind, Emit, Expect, SendMobility, Stopped, Unbind
from closedloop_nf.mobile_node.inputs import Icmpv6Received, MobilityReceived, Stop
from closedloop_nf.mobile_node.security import ReplayClock
from closedloop_nf.mobile_node.settings import Timers
from closedloop_nf.runtime.clock import Instant
from closedloop_nf.wire import authentication, icmpv6, ipv6, mobility
from closedloop_nf.wire.mobility_options import AlternateCareOfAddress, Authentication, find_option

from tests.unit.nf.mobile_node.harness import (
    AGENT,
    AGENT2,
    CARE_OF1,
    HOME,
    KEY,
    ROUTER1,
    SPI,
    Node,
    acknowledgement,
    events,
    last_update,
    ntp,
    of,
    updates,
)


def test_first_binding_update_is_a_home_registration_from_the_care_of_address() -> None:
    update = last_update(Node().visit1())
    assert (update.sent.source, update.sent.destination, update.sent.home_address_option) == (CARE_OF1, AGENT, HOME)
    message = update.message
    assert (message.acknowledge, message.home_registration, message.link_local, message.key_management) == (True, True, False, False)
    assert message.lifetime == 150


def test_checksum_covers_the_home_address() -> None:
    sent = last_update(Node().visit1()).sent
    assert mobility.checksum_ok(sent.payload, HOME, AGENT)


def test_binding_update_is_signed_and_stamped_with_the_time() -> None:
    node = Node()
    update = last_update(node.visit1())
    result = authentication.verify(
        update.sent.payload, care_of_address=CARE_OF1, home_address=HOME, key_for_spi=lambda spi: KEY if spi == SPI else None
    )
    assert result is authentication.VerifyResult.OK
    assert authentication.unix_seconds(update.timestamp) == pytest.approx(node.now.wall, abs=1e-3)


def test_without_security_association_nothing_is_signed() -> None:
    update = last_update(Node(security=None).visit1())
    assert find_option(update.message.options, Authentication) is None
    assert update.timestamp == 0


def test_alternate_care_of_address_is_there_when_asked_for() -> None:
    update = last_update(Node(alternate_care_of_address=True).visit1())
    assert find_option(update.message.options, AlternateCareOfAddress) == AlternateCareOfAddress(CARE_OF1)


def test_tunnel_packets_are_expected_from_the_first_update_on_and_carried_from_the_acknowledgement_on() -> None:
    node = Node()
    actions = node.visit1()
    assert of(actions, Expect) == [Expect(CARE_OF1, AGENT, "eth0")]
    assert of(actions, Bind) == []
    actions = node.feed(acknowledgement(last_update(actions)))
    assert of(actions, Bind) == [Bind(CARE_OF1, AGENT, "eth0")]
    assert events(actions) == ["ba_received", "bound"]


def test_first_retransmission_waits_for_duplicate_address_detection_then_the_interval_doubles_up_to_the_maximum() -> None:
    node = Node(home_agents=(AGENT,), discover_home_agents=False)
    node.visit1()
    node.advance(300)
    gaps = [round(b - a, 3) for a, b in itertools.pairwise(node.sent_at())]
    assert gaps[:7] == [1.5, 3.0, 6.0, 12.0, 24.0, 32.0, 32.0]


def test_every_retransmission_has_a_new_sequence_number_and_a_later_timestamp() -> None:
    node = Node(home_agents=(AGENT,), discover_home_agents=False)
    sent = updates([*node.visit1(), *node.advance(100)])
    assert all((b.sequence - a.sequence) % 65536 == 1 for a, b in itertools.pairwise(sent))
    assert all(a.timestamp < b.timestamp for a, b in itertools.pairwise(sent))


def test_sequence_number_wraps() -> None:
    node = Node(home_agents=(AGENT,), discover_home_agents=False)
    node.core.registration.sequence = 0xFFFE
    assert [update.sequence for update in updates([*node.visit1(), *node.advance(2)])] == [0xFFFF, 0]


def test_acknowledgement_of_an_earlier_transmission_does_not_count() -> None:
    node = Node()
    first = last_update(node.visit1())
    node.advance(1.6)
    node.feed(acknowledgement(first))
    assert node.core.registration.bound is None
    assert node.core.counters["acknowledgement_of_other_sequence"] == 1


def test_second_acknowledgement_changes_nothing() -> None:
    node = Node()
    update = last_update(node.visit1())
    node.feed(acknowledgement(update))
    bound = node.core.registration.bound
    assert of(node.feed(acknowledgement(update, lifetime_s=4)), Bind) == []
    assert node.core.registration.bound == bound
    assert node.core.counters["acknowledgement_unexpected"] == 1


@pytest.mark.parametrize("key", [None, bytes(20)], ids=["unsigned", "other key"])
@pytest.mark.parametrize("status", [0, 129, 135, 144, 146])
def test_acknowledgement_that_is_not_genuine_changes_nothing(status: int, key: bytes | None) -> None:
    node = Node()
    update = last_update(node.visit1())
    before = node.core.registration.pending
    assert node.feed(acknowledgement(update, status, key=key)) == []
    assert node.core.registration.pending is before
    assert node.core.registration.bound is None
    assert sum(node.core.counters.values()) == 1


def test_acknowledgement_from_another_node_does_not_count() -> None:
    node = Node()
    update = last_update(node.visit1())
    node.feed(acknowledgement(update, source=AGENT2))
    assert node.core.registration.bound is None


def test_acknowledgement_not_for_the_home_address_does_not_count() -> None:
    node = Node()
    genuine = acknowledgement(last_update(node.visit1()))
    node.feed(MobilityReceived(genuine.source, genuine.destination, None, genuine.payload))
    assert node.core.registration.bound is None
    assert node.core.counters["not_for_home_address"] == 1


def test_acknowledgement_with_an_old_timestamp_does_not_count() -> None:
    node = Node()
    update = last_update(node.visit1())
    node.feed(acknowledgement(update, timestamp=update.timestamp - 1))
    assert node.core.registration.bound is None


def test_out_of_window_is_followed_at_once_by_the_next_number_after_the_home_agents() -> None:
    node = Node()
    update = last_update(node.visit1())
    again = last_update(node.feed(acknowledgement(update, 135, sequence=(update.sequence + 1000) % 65536)))
    assert again.sequence == (update.sequence + 1001) % 65536
    node.feed(acknowledgement(again))
    assert node.core.registration.bound is not None


def test_out_of_window_that_contradicts_the_outstanding_number_is_stale() -> None:
    node = Node()
    update = last_update(node.visit1())
    assert of(node.feed(acknowledgement(update, 135, sequence=update.sequence - 1)), SendMobility) == []


def test_id_mismatch_is_answered_at_once_in_the_home_agents_time() -> None:
    node = Node()
    update = last_update(node.visit1())
    again = last_update(node.feed(acknowledgement(update, 144, timestamp=ntp(node, -3600))))
    assert authentication.unix_seconds(again.timestamp) == pytest.approx(node.now.wall - 3600, abs=1e-3)


def test_no_two_updates_have_the_same_timestamp_though_the_home_agents_clock_stands_still() -> None:
    """An answer to the one must not count for the other."""
    node = Node()
    told = ntp(node, -3600)
    updates_ = [last_update(node.visit1())]
    for _ in range(2):
        updates_.append(last_update(node.feed(acknowledgement(updates_[-1], 144, timestamp=told))))
    assert len({update.timestamp for update in updates_}) == 3


def test_timestamps_grow_between_two_tellings_of_the_home_agents_time() -> None:
    clock, now = ReplayClock(), Instant(0.0, 1_800_000_000.0)
    for offset_s in (0, -5, 7):
        clock.adopt(authentication.ntp_timestamp(now.wall + offset_s), now)
        stamps = [clock.stamp(now) for _ in range(10_000)]
        assert stamps == sorted(set(stamps))
        assert clock.is_near(stamps[-1], now, 0.02)


@pytest.mark.parametrize("status", [135, 144])
def test_endless_resynchronisation_backs_off(status: int) -> None:
    node = Node()
    update = last_update(node.visit1())
    for _ in range(2000):
        answer = acknowledgement(update, status, sequence=(update.sequence + 5 if status == 135 else update.sequence) % 65536)
        sent = updates([*node.feed(answer), *node.advance(0.05)])
        if sent:
            update = sent[-1]
    assert len(node.sent_at()) < 25


@pytest.mark.parametrize("status", [128, 129, 130, 131, 132, 133, 134, 139, 145, 146])
def test_refusal_sends_the_registration_to_the_next_home_agent(status: int) -> None:
    node = Node()
    actions = node.feed(acknowledgement(last_update(node.visit1()), status))
    assert last_update(actions).sent.destination == AGENT2
    assert "home_agent_changed" in events(actions)


def test_refusals_by_all_home_agents_back_off_and_start_discovery() -> None:
    node = Node()
    update = last_update(node.visit1())
    answered = 0
    for _ in range(400):
        sent = updates([*node.feed(acknowledgement(update, 130)), *node.advance(1)])
        if sent:
            answered += 1
            update = sent[-1]
    assert 5 < answered < 40
    assert "dhaad_sent" in events([action for _, action in node.log])


def test_unanswered_updates_go_to_the_next_home_agent_after_the_configured_retransmissions() -> None:
    node = Node(failover_after=2)
    sent = updates([*node.visit1(), *node.advance(30)])
    assert [update.sent.destination for update in sent[:5]] == [AGENT, AGENT, AGENT, AGENT2, AGENT2]
    assert node.sent_at()[3] - node.sent_at()[0] == pytest.approx(1.5 + 3 + 6)


def test_failover_is_fast_with_short_timers() -> None:
    node = Node(failover_after=2, timers=Timers(first_bindack_timeout_s=0.1, initial_bindack_timeout_s=0.1))
    node.visit1()
    node.advance(1)
    assert node.sent_at()[3] - node.sent_at()[0] == pytest.approx(0.7)


def test_never_more_than_three_updates_a_second_to_one_home_agent() -> None:
    node = Node(
        home_agents=(AGENT,), discover_home_agents=False, timers=Timers(first_bindack_timeout_s=0.01, initial_bindack_timeout_s=0.01)
    )
    node.visit1()
    for _ in range(20):
        node.advance(0.1)
        node.visit2()
        node.advance(0.1)
        node.link(False)
        node.visit1()
    times = node.sent_at()
    assert all(later - earlier >= 1.0 - 1e-6 for earlier, later in zip(times, times[3:], strict=False))


def test_binding_is_refreshed_before_it_ends() -> None:
    node = Node().bound()
    due = node.core.deadline()
    assert due is not None
    assert 600 * 0.75 < due - node.mono <= 600 * 0.8
    actions = node.advance(due - node.mono)
    node.feed(acknowledgement(last_update(actions)))
    assert node.core.registration.bound is not None
    assert node.core.registration.bound.expires_at > node.mono + 590


def test_refresh_advice_shortens_the_interval() -> None:
    node = Node()
    node.feed(acknowledgement(last_update(node.visit1()), refresh_s=40))
    assert updates(node.advance(37.9)) == []
    assert len(updates(node.advance(2.1))) >= 1


def test_granted_lifetime_counts_from_the_sending_of_the_update() -> None:
    node = Node()
    update = last_update(node.visit1())
    sent = node.mono
    node.advance(1.0)
    node.feed(acknowledgement(update, lifetime_s=100))
    assert node.core.registration.bound is not None
    assert node.core.registration.bound.expires_at == pytest.approx(sent + 100)


def test_accepted_without_lifetime_is_no_binding() -> None:
    node = Node()
    node.feed(acknowledgement(last_update(node.visit1()), lifetime_s=0))
    assert node.core.registration.bound is None
    assert node.core.registration.pending is not None


def test_binding_that_cannot_be_refreshed_ends_with_its_tunnel_and_is_asked_for_again() -> None:
    node = Node(home_agents=(AGENT,), discover_home_agents=False).bound()
    actions = node.advance(700)
    assert len(of(actions, Unbind)) == 1
    assert "binding_expired" in events(actions)
    node.feed(acknowledgement(last_update(node.advance(40))))
    assert node.core.registration.bound is not None


def test_binding_refresh_request_is_answered_by_an_update() -> None:
    node = Node().bound()
    request = mobility.seal(mobility.build_mobility(mobility.BindingRefreshRequest()), AGENT, HOME)
    assert len(updates(node.feed(MobilityReceived(AGENT, CARE_OF1, HOME, request)))) == 1
    assert updates(node.feed(MobilityReceived(AGENT, CARE_OF1, HOME, request))) == []


def test_binding_error_of_the_home_agent_makes_the_node_register_anew() -> None:
    node = Node().bound()
    error = mobility.seal(mobility.build_mobility(mobility.BindingError(1, HOME)), AGENT, CARE_OF1)
    assert updates(node.feed(MobilityReceived(AGENT2, CARE_OF1, None, error))) == []
    assert len(updates(node.feed(MobilityReceived(AGENT, CARE_OF1, None, error)))) == 1


def test_unreachable_home_agent_shortens_the_wait() -> None:
    node = Node()
    sent = last_update(node.visit1()).sent
    packet = ipv6.build_packet(sent.source, sent.destination, mobility.MOBILITY_HEADER, sent.payload, home_address_option=HOME)
    error = icmpv6.build_icmpv6(icmpv6.DestinationUnreachable(0, packet), ROUTER1, CARE_OF1)
    node.feed(Icmpv6Received(ROUTER1, CARE_OF1, None, error))
    assert len(updates(node.advance(0))) == 1


def test_unreachable_about_another_update_changes_nothing() -> None:
    node = Node()
    first = last_update(node.visit1()).sent
    node.advance(1.5)
    packet = ipv6.build_packet(first.source, first.destination, mobility.MOBILITY_HEADER, first.payload, home_address_option=HOME)
    error = icmpv6.build_icmpv6(icmpv6.DestinationUnreachable(0, packet), ROUTER1, CARE_OF1)
    node.feed(Icmpv6Received(ROUTER1, CARE_OF1, None, error))
    assert updates(node.advance(1)) == []


def test_stop_deregisters_then_ends() -> None:
    node = Node().bound()
    update = last_update(node.feed(Stop()))
    assert update.message.lifetime == 0
    assert update.sent.home_address_option == HOME
    actions = node.feed(acknowledgement(update))
    assert [type(action) for action in actions if not isinstance(action, Emit)] == [Unbind, Stopped]


def test_stop_does_not_wait_for_ever() -> None:
    node = Node().bound()
    node.feed(Stop())
    assert len(of(node.advance(2.0), Stopped)) == 1
    assert node.core.deadline() is None


@pytest.mark.parametrize("deregister", [True, False])
def test_stop_without_a_binding_ends_at_once(deregister: bool) -> None:
    node = Node(deregister_on_stop=deregister)
    if not deregister:
        node.bound()
    assert len(of(node.feed(Stop()), Stopped)) == 1
