"""Claims about movement detection, handover and the way home (RFC 6275 sections 11.5.1 to 11.5.5)."""

from __future__ import annotations

from closedloop_nf.mobile_node.actions import (
    AnnounceHome,
    AtHome,
    Away,
    Bind,
    DropCareOfAddresses,
    Emit,
    SendMobility,
    SolicitRouter,
)
from closedloop_nf.mobile_node.inputs import AddressChanged, RouterAdvertised

from tests.unit.nf.mobile_node.harness import (
    AGENT,
    CARE_OF1,
    CARE_OF2,
    HOME,
    HOME_PREFIX,
    ROUTER1,
    ROUTER2,
    ROUTER_HOME,
    VISITED1,
    VISITED2,
    Node,
    acknowledgement,
    events,
    last_update,
    of,
    updates,
)


def test_carrier_is_followed_by_a_router_solicitation_at_once() -> None:
    assert Node().link(True)[0] == SolicitRouter("eth0")


def test_solicitation_is_repeated_with_back_off_until_a_router_is_heard() -> None:
    node = Node()
    node.link(True)
    assert len(of(node.advance(4 + 8 + 16 + 1), SolicitRouter)) == 3
    node.advertise(VISITED1, ROUTER1)
    assert of(node.advance(100), SolicitRouter) == []


def test_registration_needs_router_and_address_in_whatever_order() -> None:
    node = Node()
    assert updates([*node.link(True), *node.address(CARE_OF1)]) == []
    assert len(updates(node.advertise(VISITED1, ROUTER1))) == 1
    node = Node()
    assert updates([*node.link(True), *node.advertise(VISITED1, ROUTER1)]) == []
    assert len(updates(node.address(CARE_OF1))) == 1


def test_address_of_another_prefix_is_no_care_of_address() -> None:
    node = Node()
    node.link(True)
    node.advertise(VISITED1, ROUTER1)
    assert updates(node.address(CARE_OF2)) == []


def test_handover_sends_the_update_before_anything_else_and_moves_the_tunnel_with_it() -> None:
    node = Node().bound()
    actions = node.visit2()
    kinds = [type(action) for action in actions if not isinstance(action, Emit)]
    assert kinds == [DropCareOfAddresses, SolicitRouter, SendMobility, Bind]
    assert last_update(actions).sent.source == CARE_OF2
    assert of(actions, Bind) == [Bind(CARE_OF2, AGENT, "eth0")]


def test_handover_without_carrier_change_is_seen_by_the_new_router() -> None:
    node = Node().bound()
    actions = [*node.advertise(VISITED2, ROUTER2), *node.address(CARE_OF2)]
    assert last_update(actions).sent.source == CARE_OF2
    assert of(actions, DropCareOfAddresses) == [DropCareOfAddresses("eth0", (CARE_OF2,), ROUTER2)]


def test_handover_between_routers_of_one_link_local_address_is_seen_by_the_prefix() -> None:
    node = Node().bound()
    actions = [*node.advertise(VISITED2, ROUTER1), *node.address(CARE_OF2)]
    assert last_update(actions).sent.source == CARE_OF2


def test_two_routers_on_one_link_cause_no_ping_pong() -> None:
    node = Node().bound()
    node.advertise(VISITED2, ROUTER2, 0.07)
    node.address(CARE_OF2)
    node.address(CARE_OF1)
    for _ in range(100):
        node.advance(0.05)
        node.advertise(VISITED1, ROUTER1, 0.07)
        node.advertise(VISITED2, ROUTER2, 0.07)
    assert {update.sent.source for update in updates([action for _, action in node.log])[1:]} == {CARE_OF2}


def test_silent_router_is_given_up_after_its_advertised_interval() -> None:
    node = Node()
    node.link(True)
    node.advertise(VISITED1, ROUTER1, 0.07)
    node.address(CARE_OF1)
    node.advance(0.1)
    node.advertise(VISITED2, ROUTER2)
    node.address(CARE_OF2)
    node.address(CARE_OF1)
    actions = node.advance(0.5)
    assert "router_lost" in events(actions)
    actions = node.advertise(VISITED1, ROUTER1, 0.07)
    assert last_update(actions).sent.source == CARE_OF1


def test_router_that_resigns_is_no_router() -> None:
    node = Node()
    node.link(True)
    node.advertise(VISITED1, ROUTER1)
    actions = node.feed(RouterAdvertised("eth0", ROUTER1, 0, (VISITED1,)))
    assert of(actions, SolicitRouter) == [SolicitRouter("eth0")]
    assert updates(node.address(CARE_OF1)) == []


def test_losing_the_link_stops_the_sending_until_there_is_another() -> None:
    node = Node()
    node.visit1()
    node.link(False)
    assert updates(node.advance(600)) == []
    node.link(True)
    node.advertise(VISITED1, ROUTER1)
    assert len(updates(node.address(CARE_OF1))) == 1


def test_short_loss_of_the_same_link_registers_again() -> None:
    node = Node().bound()
    node.link(False)
    assert len(updates(node.visit1())) == 1


def test_another_router_of_the_same_prefix_is_no_movement() -> None:
    node = Node().bound()
    actions = node.advertise(VISITED1, ROUTER2)
    assert updates(actions) == []
    assert of(actions, DropCareOfAddresses) == [DropCareOfAddresses("eth0", (CARE_OF1,), ROUTER2)]


def test_losing_the_care_of_address_moves_to_another_of_the_router() -> None:
    node = Node().bound()
    other = VISITED1.address[:15] + b"\x77"
    node.address(other)
    actions = node.address(CARE_OF1, usable=False)
    assert last_update(actions).sent.source == other


def test_preferred_interface_takes_over_when_it_is_attached() -> None:
    node = Node(interfaces=("wlan0", "eth0")).bound()
    node.link(True, "wlan0")
    node.advertise(VISITED2, ROUTER2, interface="wlan0")
    actions = node.address(CARE_OF2, interface="wlan0")
    assert last_update(actions).sent.source == CARE_OF2
    actions = node.link(False, "wlan0")
    assert last_update(actions).sent.source == CARE_OF1


def test_return_home_deletes_the_binding_from_the_home_address_itself() -> None:
    node = Node().bound()
    actions = node.go_home()
    assert of(actions, AtHome) == [AtHome("eth0", ROUTER_HOME)]
    update = last_update(actions)
    assert (update.sent.source, update.sent.home_address_option, update.message.lifetime) == (HOME, None, 0)
    assert actions.index(AtHome("eth0", ROUTER_HOME)) < actions.index(update.sent)
    actions = node.feed(acknowledgement(update))
    assert of(actions, AnnounceHome) == [AnnounceHome("eth0")]
    assert node.core.registration.bound is None
    assert updates(node.advance(10_000)) == []


def test_return_home_is_also_complete_when_the_home_agent_knows_no_binding() -> None:
    node = Node()
    update = last_update(node.go_home())
    assert "deregistered" in events(node.feed(acknowledgement(update, 133)))
    assert updates(node.advance(10_000)) == []


def test_unanswered_deregistration_ends_when_the_binding_has_expired() -> None:
    node = Node().bound()
    node.go_home()
    node.advance(599)
    assert node.core.registration.pending is not None
    node.advance(100)
    assert node.core.registration.pending is None
    assert updates(node.advance(10_000)) == []


def test_leaving_home_registers_again() -> None:
    node = Node().bound()
    node.feed(acknowledgement(last_update(node.go_home())))
    actions = node.visit2()
    assert of(actions, Away) == [Away()]
    update = last_update(actions)
    assert update.sent.source == CARE_OF2
    assert of(node.feed(acknowledgement(update)), Bind) == [Bind(CARE_OF2, AGENT, "eth0")]


def test_home_address_of_the_kernel_is_no_care_of_address() -> None:
    node = Node().bound()
    assert node.address(HOME) == []


def test_home_prefix_on_a_link_that_is_not_configured_means_nothing() -> None:
    node = Node()
    assert node.advertise(HOME_PREFIX, ROUTER_HOME, interface="eth7") == []


def test_address_given_by_hand_outlives_the_loss_of_carrier() -> None:
    node = Node()
    node.link(True)
    node.feed(AddressChanged("eth0", CARE_OF1, usable=True, slaac=False))
    node.link(False)
    node.link(True)
    assert last_update(node.advertise(VISITED1, ROUTER1)).sent.source == CARE_OF1
