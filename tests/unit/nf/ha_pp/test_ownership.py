"""Roles, adoption and hand-over: docs/architecture.md, "Who owns a home address"."""

from __future__ import annotations

import pytest
from closedloop_nf.ha_pp import events
from closedloop_nf.ha_pp.ownership import LINGER_S
from closedloop_nf.link import messages as link

from tests.unit.nf.ha_pp.harness import (
    AGENT,
    CARE_OF,
    CARE_OF_2,
    HOME,
    HOME_2,
    KEY,
    LEASE_MS,
    OTHER,
    SHARED,
    SPI,
    World,
    binding,
    ip,
    numbered,
    welcome,
)

LEASE_S = LEASE_MS / 1000
ANYCAST = ip("2001:db8:40::fdff:ffff:ffff:fffe")


def again(world: World, *rows: link.Binding, **changes: object) -> None:
    """The link breaks and a new session is synced."""
    world.feed(events.LinkClosed())
    world.advance(0.06)
    world.feed(events.LinkConnected())
    world.hear(welcome(epoch=2, **changes))
    if rows:
        world.hear(link.Bindings(list(rows)))
    world.hear(link.SecurityAssociations([link.SecurityAssociation(HOME, SPI, KEY)]), link.SnapshotDone(9))
    world.settle()


def test_per_instance_uses_the_own_address_off_the_home_link_and_its_anycast_address() -> None:
    world = World().start()
    assert world.done(events.TakeAddress) == [events.TakeAddress(AGENT, False)]
    assert world.anycast == [ANYCAST]


def test_the_holder_of_the_shared_address_takes_and_announces_it_on_the_home_link() -> None:
    world = World().start(binding(), address_mode="shared", shared_address=SHARED, holds_shared_address=True)
    assert world.done(events.TakeAddress) == [events.TakeAddress(SHARED, True)]
    assert SHARED in world.announced
    assert HOME in world.announced
    assert world.installed == {HOME: CARE_OF}


def test_a_standby_for_the_shared_address_installs_and_answers_nothing() -> None:
    world = World().start(binding(), role="standby", address_mode="shared", shared_address=SHARED)
    assert world.address is None
    assert world.installed == {}
    assert world.anycast == []
    assert not world.forwards()
    assert world.core.ready(world.now)


def test_an_active_one_that_does_not_hold_the_shared_address_is_a_standby() -> None:
    world = World().start(binding(), address_mode="shared", shared_address=SHARED, holds_shared_address=False)
    assert world.installed == {}
    assert world.core.state.role == "standby"


def test_a_new_session_that_makes_it_standby_takes_everything_out_of_the_kernel() -> None:
    world = World().start(binding(), address_mode="shared", shared_address=SHARED, holds_shared_address=True)
    again(world, binding(owner=OTHER), role="standby", address_mode="shared", shared_address=SHARED)
    assert world.installed == {}
    assert world.address is None
    assert not world.forwards()


def test_new_home_prefixes_move_the_anycast_addresses() -> None:
    world = World().start()
    again(world, home_prefixes=[(ip("2001:db8:99::"), 64)])
    assert world.anycast == [ip("2001:db8:99::fdff:ffff:ffff:fffe")]


def test_adopt_takes_all_bindings_of_the_previous_owner_and_opens_the_gate() -> None:
    world = World().start(
        binding(owner=OTHER), binding(HOME_2, CARE_OF_2, owner=OTHER), binding(numbered(1), owner="third"), role="standby"
    )
    assert not world.forwards()
    world.hear(link.Adopt(OTHER, 7, 20))
    world.settle()
    assert world.installed == {HOME: CARE_OF, HOME_2: CARE_OF_2}
    assert world.forwards()
    assert world.core.state.known.bindings[HOME].epoch == 7
    assert {HOME, HOME_2} <= set(world.announced)


def test_nothing_is_announced_before_the_lease_and_all_of_it_when_the_lease_begins() -> None:
    world = World().connect()
    world.hear(welcome(), link.Bindings([binding(numbered(n)) for n in range(1000)]), link.SnapshotDone(5))
    world.settle()
    assert world.announced == []
    world.acknowledge_beats()
    world.settle()
    assert set(world.announced) == {numbered(n) for n in range(1000)}
    assert all(len(action.addresses) <= 200 for action in world.done(events.Announce))
    assert len(world.announced) == 1000
    world.advance(0.1)
    world.acknowledge_beats()
    world.settle()
    assert len(world.announced) == 1000


def test_after_a_lapse_everything_is_announced_anew() -> None:
    world = World().start(binding())
    world.announced.clear()
    world.mono += LEASE_S + 0.5
    world.settle()
    again(world, binding())
    world.acknowledge_beats()
    world.settle()
    assert world.announced == [HOME]


def test_adopt_with_the_shared_address_takes_it_before_the_tunnels() -> None:
    world = World().start(binding(owner=OTHER), role="standby", address_mode="shared", shared_address=SHARED)
    world.hear(link.Adopt(OTHER, 7, 20, SHARED))
    world.settle()
    kinds = [type(action) for action in world.actions]
    assert kinds.index(events.TakeAddress) < kinds.index(events.Install)
    assert world.address == SHARED
    assert world.forwards()
    assert world.register(sequence=50).status == 0


def test_ten_thousand_adopted_bindings_do_not_hold_up_a_step() -> None:
    world = World().start(*[binding(numbered(n), owner=OTHER) for n in range(10_000)], role="standby")
    actions = world.feed(events.LinkMessage(link.Adopt(OTHER, 7, 20)))
    assert 0 < sum(len(a.rows) for a in actions if isinstance(a, events.Install)) <= 200
    world.settle()
    assert len(world.installed) == 10_000


def test_relinquish_closes_the_gate_before_the_answer_and_keeps_the_knowledge() -> None:
    world = World().start(binding(), address_mode="shared", shared_address=SHARED, holds_shared_address=True)
    actions = world.feed(events.LinkMessage(link.Relinquish(30)))
    kinds = [type(a) for a in actions if not isinstance(a, events.Log)]
    assert kinds[0] is events.RevokeLease
    assert kinds[-1] is events.SendLink
    assert world.said(link.Relinquished) == [link.Relinquished(30)]
    assert world.installed == {}
    assert world.address is None
    assert HOME in world.core.state.known.bindings
    world.acknowledge_beats()
    assert not world.forwards()


def test_one_that_relinquished_can_adopt_again() -> None:
    world = World().start(binding())
    world.hear(link.Relinquish(30))
    world.hear(link.Bindings([binding(owner=OTHER)]))
    world.hear(link.Adopt(OTHER, 9, 31))
    world.settle()
    assert world.installed == {HOME: CARE_OF}
    assert world.forwards()


def test_a_registration_that_ha_b_accepts_after_relinquish_is_not_served() -> None:
    world = World().start()
    world.feed(world.update())
    world.hear(link.Relinquish(30))
    world.agree()
    assert world.installed == {}
    assert world.sent == []


def test_revoke_stops_service_before_the_answer() -> None:
    world = World().start(binding())
    actions = world.feed(events.LinkMessage(link.Revoke(HOME, 8)))
    assert [type(a) for a in actions] == [events.Linger, events.SendLink, events.SendLink]
    assert world.installed == {}
    assert world.link[-1] == link.Revoked(HOME, 8)
    assert world.core.state.known.bindings[HOME].sequence == 10


def test_a_revoked_address_is_still_forwarded_for_a_time_and_then_no_more() -> None:
    world = World().start(binding())
    world.hear(link.Revoke(HOME, 8), link.Bindings([binding(owner=OTHER, revision=9)]))
    world.advance(LINGER_S - 0.01)
    assert world.lingering == {HOME: CARE_OF}
    world.advance(0.02)
    assert world.lingering == {}


def test_ha_b_hears_that_an_address_lingers_before_it_can_give_it_away() -> None:
    world = World().start(binding())
    world.hear(link.Revoke(HOME, 8))
    beat, revoked = world.link[-2:]
    assert isinstance(beat, link.Beat)
    assert (beat.bindings, beat.lingering) == (0, 1)
    assert isinstance(revoked, link.Revoked)
    for _second in range(round(LINGER_S) + 1):
        world.acknowledge_beats()
        world.advance(1.0)
    assert world.said(link.Beat)[-1].lingering == 0


@pytest.mark.parametrize(
    "news", [binding(owner=OTHER, lifetime_s=0, revision=9), binding(owner=OTHER, care_of=CARE_OF_2, revision=9)], ids=["gone", "moved on"]
)
def test_forwarding_after_a_move_ends_when_the_binding_is_another_one(news: link.Binding) -> None:
    world = World().start(binding())
    world.hear(link.Revoke(HOME, 8), link.Bindings([news]))
    assert world.lingering == {}


def test_an_address_that_comes_back_while_it_lingers_is_served_again_and_stays() -> None:
    world = World().start(binding())
    world.hear(link.Revoke(HOME, 8), link.Bindings([binding(revision=9)]))
    world.settle()
    assert (world.installed, world.lingering) == ({HOME: CARE_OF}, {})
    world.advance(LINGER_S + 1)
    assert world.installed == {HOME: CARE_OF}


def test_who_relinquishes_forwards_nothing_any_more() -> None:
    world = World().start(binding())
    world.hear(link.Revoke(HOME, 8), link.Relinquish(9))
    assert world.lingering == {}


def test_a_revoke_for_an_address_not_served_is_answered_too() -> None:
    world = World().start()
    world.hear(link.Revoke(HOME, 8))
    assert world.said(link.Revoked) == [link.Revoked(HOME, 8)]
    assert world.done(events.Remove) == []


def test_a_first_holder_of_the_shared_address_does_not_adopt_what_was_revoked() -> None:
    world = World().start(binding(), address_mode="shared", shared_address=SHARED, holds_shared_address=True)
    world.hear(link.Revoke(HOME, 8), link.Relinquish(9), link.Adopt("", 2, 10, SHARED))
    world.settle()
    assert world.address == SHARED
    assert world.installed == {}


def test_a_revoked_address_waiting_for_the_kernel_is_not_installed() -> None:
    world = World().connect()
    world.hear(welcome(), link.Bindings([binding()]), link.Revoke(HOME, 8), link.SnapshotDone(9))
    world.settle()
    assert world.installed == {}
