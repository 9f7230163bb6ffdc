"""Claims about how long a binding is asked for: no longer than its addresses are valid (RFC 6275 section 11.7.1)."""

from __future__ import annotations

import pytest
from closedloop_nf.mobile_node.actions import Action, Unbind

from tests.unit.nf.mobile_node.harness import (
    AGENT,
    CARE_OF1,
    ROUTER1,
    VISITED1,
    Node,
    acknowledgement,
    events,
    last_update,
    of,
    updates,
)


def visit(node: Node, valid_s: float | None) -> list[Action]:
    return [*node.link(True), *node.advertise(VISITED1, ROUTER1), *node.address(CARE_OF1, valid_s=valid_s)]


def asked_s(actions: list[Action]) -> list[int]:
    return [update.message.lifetime * 4 for update in updates(actions)]


@pytest.mark.parametrize(("valid_s", "asked"), [(None, 600), (7200.0, 600), (603.9, 600), (599.9, 596), (61.0, 60), (4.5, 4)])
def test_what_is_asked_for_does_not_pass_the_care_of_addresss_lifetime(valid_s: float | None, asked: int) -> None:
    assert asked_s(visit(Node(), valid_s)) == [asked]


def test_what_is_registered_ends_with_the_care_of_address_whatever_the_home_agent_grants() -> None:
    node = Node()
    node.feed(acknowledgement(last_update(visit(node, 61.0)), lifetime_s=600))
    bound = node.core.registration.bound
    assert bound is not None
    assert (bound.lifetime_s, bound.expires_at) == (60, node.mono + 60)


def test_a_retransmission_asks_for_what_is_left_by_then() -> None:
    node = Node(home_agents=(AGENT,), discover_home_agents=False)
    assert asked_s(visit(node, 40.0)) == [40]
    # After 1.5, 4.5, 10.5 and 22.5 seconds.
    assert asked_s(node.advance(34.0)) == [36, 32, 28, 16]


def test_a_refresh_asks_for_what_the_router_has_added_meanwhile() -> None:
    node = Node()
    node.feed(acknowledgement(last_update(visit(node, 100.0))))
    assert node.address(CARE_OF1, valid_s=300.0) == [], "there is time until the refresh"
    assert asked_s(node.advance(80.0))[0] == 220, "between 76 and 80 seconds later"


def test_a_binding_that_outlasts_its_address_is_shortened_at_once() -> None:
    node = Node().bound()
    node.advance(5)
    actions = node.address(CARE_OF1, valid_s=30.0)
    assert asked_s(actions) == [28]
    assert asked_s(node.address(CARE_OF1, valid_s=29.5)) == [], "an update is on its way"
    node.feed(acknowledgement(last_update(actions)))
    assert node.address(CARE_OF1, valid_s=29.0) == []


def test_an_address_with_no_unit_of_four_seconds_left_is_not_registered_and_not_kept() -> None:
    node = Node()
    assert asked_s(visit(node, 3.9)) == []
    assert asked_s(node.address(CARE_OF1, valid_s=3.9)) == []
    node.feed(acknowledgement(last_update(node.address(CARE_OF1, valid_s=30.0))))
    actions = node.advance(40.0)
    assert "detached" in events(actions)
    assert all(update.message.lifetime for update in updates(actions)), "nothing deletes the binding by asking for 0"
    assert of(actions, Unbind) == [Unbind()]
    assert node.core.registration.bound is None


def test_an_address_that_was_given_up_and_is_valid_again_is_registered_again() -> None:
    node = Node()
    visit(node, 10.0)
    node.advance(7.0)
    assert node.core.place is None
    assert asked_s(node.address(CARE_OF1, valid_s=1000.0)) == [600]
