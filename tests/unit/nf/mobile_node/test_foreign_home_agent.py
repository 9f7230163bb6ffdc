"""A mobile node with `mobility_auth: none` before a home agent of another make."""

from __future__ import annotations

from closedloop_nf.mobile_node.actions import Bind
from closedloop_nf.wire.status import BindingStatus

from tests.unit.nf.mobile_node.harness import AGENT, CARE_OF1, Node, acknowledgement, last_update, of, updates


def foreign() -> Node:
    return Node(security=None)


def test_the_update_has_the_bits_of_a_home_registration_and_k_is_clear() -> None:
    message = last_update(foreign().visit1()).message
    assert (message.acknowledge, message.home_registration, message.key_management) == (True, True, False)


def test_a_plain_acknowledgement_binds() -> None:
    node = foreign()
    actions = node.feed(acknowledgement(last_update(node.visit1()), key=None))
    assert of(actions, Bind) == [Bind(CARE_OF1, AGENT, "eth0")]


def test_a_shorter_lifetime_is_kept_to() -> None:
    node = foreign()
    node.feed(acknowledgement(last_update(node.visit1()), key=None, lifetime_s=60))
    bound = node.core.registration.bound
    assert bound is not None
    assert bound.lifetime_s == 60
    assert updates(node.advance(60)), "the binding is renewed before its end"


def test_a_sequence_number_out_of_window_is_followed_by_one_that_is_in_it() -> None:
    node = foreign()
    update = last_update(node.visit1())
    last = (update.sequence + 1000) % 65536
    actions = node.feed(acknowledgement(update, BindingStatus.SEQUENCE_OUT_OF_WINDOW, sequence=last, lifetime_s=0, key=None))
    assert [again.sequence for again in updates(actions)] == [(last + 1) % 65536]
