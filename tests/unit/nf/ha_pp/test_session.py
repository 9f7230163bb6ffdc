"""The link to HA-B and the lease: docs/architecture.md, "Who owns a home address"."""

from __future__ import annotations

import pytest
from closedloop_nf.ha_pp import events
from closedloop_nf.link import messages as link

from tests.unit.nf.ha_pp.harness import (
    AGENT,
    BEAT_MS,
    CARE_OF,
    CARE_OF_2,
    HOME,
    HOME_2,
    HOME_LINK,
    KEY,
    LEASE_MS,
    NAME,
    OTHER,
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


# --- opening ---------------------------------------------------------------------------------------------------------


def test_hello_comes_first_and_names_the_process() -> None:
    world = World().connect()
    hello = world.link[0]
    assert isinstance(hello, link.Hello)
    assert (hello.name, hello.instance, hello.host_id, hello.address, hello.home_link_address) == (NAME, "i1", "host/1", AGENT, HOME_LINK)
    assert len(world.link) == 1


def test_synced_is_said_after_the_last_row_is_in_the_kernel() -> None:
    world = World().connect()
    world.hear(welcome(), link.Bindings([binding(numbered(n)) for n in range(1000)]), link.SnapshotDone(5))
    seen = len(world.actions)
    world.settle()
    assert len(world.installed) == 1000
    sent = [type(a.message) for a in world.actions[seen:] if isinstance(a, events.SendLink)]
    assert sent.count(link.Synced) == 1
    last_install = max(i for i, a in enumerate(world.actions) if isinstance(a, events.Install))
    synced = next(i for i, a in enumerate(world.actions) if isinstance(a, events.SendLink) and isinstance(a.message, link.Synced))
    assert last_install < synced


def test_ten_thousand_bindings_are_installed_in_pieces_between_which_heartbeats_go_out() -> None:
    world = World().connect()
    world.hear(welcome())
    for start in range(0, 10_000, 1000):
        world.hear(link.Bindings([binding(numbered(n)) for n in range(start, start + 1000)]))
    world.hear(link.SnapshotDone(5))
    beats = len(world.said(link.Beat))
    steps = 0
    while world.said(link.Synced) == [] and steps < 1000:
        actions = world.core.tick(world.now)
        world._apply(actions)
        assert sum(len(a.rows) for a in actions if isinstance(a, events.Install)) <= 200
        world.mono += 0.02  # what the kernel takes for a piece
        steps += 1
    assert steps >= 50
    assert len(world.said(link.Beat)) - beats >= steps * 0.02 / (BEAT_MS / 1000) * 0.7
    assert len(world.installed) == 10_000


@pytest.mark.parametrize(
    "message",
    [
        link.SnapshotDone(1),
        link.Bindings([binding()]),
        link.BeatAck(1),
        link.Registered(1, 0, 400, 1, 1),
        link.Adopt(OTHER, 1, 1),
        link.Revoke(HOME, 1),
        link.Relinquish(1),
        link.SwitchHomeAgent([HOME], [AGENT]),
        link.SecurityAssociations([link.SecurityAssociation(HOME, SPI, KEY)]),
        link.HomeAgents([]),
    ],
)
def test_before_welcome_every_other_message_ends_the_session(message: link.ToPacketProcessor) -> None:
    world = World().connect()
    world.hear(message)
    assert world.disconnects == 1
    assert world.installed == {}
    assert "unexpected_message" in world.logged
    world.feed(events.LinkClosed())
    world.advance(1.0)
    assert world.connecting


@pytest.mark.parametrize(
    "message", [link.Registered(1, 0, 400, 1, 1), link.Adopt(OTHER, 1, 1), link.SwitchHomeAgent([HOME], [AGENT]), welcome()]
)
def test_during_the_snapshot_these_end_the_session(message: link.ToPacketProcessor) -> None:
    world = World().connect()
    world.hear(welcome(), message)
    assert world.disconnects == 1


@pytest.mark.parametrize("message", [welcome(), link.SnapshotDone(7)])
def test_in_a_synced_session_these_end_it(message: link.ToPacketProcessor) -> None:
    world = World().start()
    world.hear(message)
    assert world.disconnects == 1


def test_what_comes_after_the_session_was_given_up_is_ignored() -> None:
    world = World().start(binding())
    world.hear(welcome(), link.Revoke(HOME, 8), link.Relinquish(9))
    assert world.installed == {HOME: CARE_OF}
    assert world.said(link.Revoked) == []


def test_a_refusal_is_logged_and_dialled_again_later_and_later() -> None:
    world = World()
    waits = []
    world.feed(events.SocketState(True))
    for _attempt in range(8):
        begun = world.mono
        while not world.connecting:
            world.advance(0.01)
        waits.append(world.mono - begun)
        world.connecting = False
        world.feed(events.LinkConnected())
        world.hear(link.Refused("name_in_use", "wait"))
        world.feed(events.LinkClosed())
    assert waits[-1] > waits[1]
    assert max(waits) <= 1.02
    assert world.logged.count("refused") == 8


def test_a_ha_b_that_never_welcomes_is_hung_up_on() -> None:
    world = World().connect()
    world.advance(3.1)
    assert world.disconnects == 1
    assert "link_silent" in world.logged


def test_a_ha_b_that_falls_silent_is_hung_up_on_and_dialled_again() -> None:
    world = World().start()
    world.advance(LEASE_S + 0.2)
    assert world.disconnects == 1
    world.feed(events.LinkClosed())
    world.advance(0.2)
    assert world.connecting


# --- lease -----------------------------------------------------------------------------------------------------------


def test_heartbeats_keep_their_interval_and_count_up() -> None:
    world = World().start()
    before = len(world.said(link.Beat))
    world.advance(1.0)
    beats = world.said(link.Beat)
    assert len(beats) - before in (9, 10)
    assert [beat.sequence for beat in beats] == list(range(1, len(beats) + 1))
    assert all(beat.socket_open for beat in beats)


def test_the_lease_counts_from_the_sending_of_the_beat() -> None:
    world = World().start()
    world.advance(BEAT_MS / 1000)
    beat = world.said(link.Beat)[-1]
    sent_at = world.mono
    world.advance(0.08)
    world.hear(link.BeatAck(beat.sequence))
    assert world.gate_until == pytest.approx(sent_at + LEASE_S)


def test_an_unsynced_session_grants_no_lease() -> None:
    world = World().connect()
    world.hear(welcome(), link.Bindings([binding()]))
    world.hear(link.BeatAck(world.said(link.Beat)[-1].sequence))
    assert not world.forwards()
    assert not world.core.ready(world.now)


def test_an_acknowledgement_of_an_unknown_beat_grants_no_lease() -> None:
    world = World().connect()
    world.hear(welcome(), link.SnapshotDone(1))
    world.settle()
    world.hear(link.BeatAck(999))
    assert not world.forwards()


def test_an_old_acknowledgement_does_not_shorten_the_lease() -> None:
    world = World().start()
    world.advance(0.25)
    first, second = world.said(link.Beat)[-2:]
    world.hear(link.BeatAck(second.sequence))
    until = world.gate_until
    world.hear(link.BeatAck(first.sequence))
    assert world.gate_until == until


def test_when_the_link_breaks_service_goes_on_until_the_lease_ends() -> None:
    world = World().start(binding())
    world.feed(events.LinkClosed())
    world.advance(LEASE_S * 0.9)
    assert world.forwards()
    assert world.installed == {HOME: CARE_OF}
    world.advance(LEASE_S * 0.2)
    assert not world.forwards()
    assert "lease_lapsed" in world.logged
    assert not world.core.ready(world.now)


def test_a_lapsed_lease_comes_back_with_the_next_acknowledged_beat() -> None:
    world = World().start(binding())
    world.mono += LEASE_S + 0.5  # the process was stopped and goes on
    world.wall += LEASE_S + 0.5
    world.settle()
    again(world, binding())
    assert not world.forwards()
    world.acknowledge_beats()
    assert world.forwards()
    assert world.register(sequence=50).status == 0


def test_the_state_of_the_mobility_socket_goes_out_at_once() -> None:
    world = World().start()
    world.feed(events.SocketState(False))
    assert world.said(link.Beat)[-1].socket_open is False
    assert not world.core.ready(world.now)


# --- snapshot --------------------------------------------------------------------------------------------------------


def test_only_own_rows_are_installed() -> None:
    world = World().start(binding(), binding(HOME_2, owner=OTHER))
    assert world.installed == {HOME: CARE_OF}
    assert set(world.core.state.known.bindings) == {HOME, HOME_2}


def test_a_new_snapshot_takes_back_what_it_does_not_name_or_gives_to_another() -> None:
    third = ip("2001:db8:40::33")
    world = World().start(binding(), binding(HOME_2), binding(third))
    again(world, binding(), binding(HOME_2, owner=OTHER))
    assert world.installed == {HOME: CARE_OF}
    assert third not in world.core.state.known.bindings


def test_a_new_snapshot_with_another_care_of_address_moves_the_tunnel() -> None:
    world = World().start(binding())
    again(world, binding(care_of=CARE_OF_2))
    assert world.installed == {HOME: CARE_OF_2}


def test_during_the_new_snapshot_what_is_served_stays_served() -> None:
    world = World().start(binding())
    world.feed(events.LinkClosed())
    world.advance(0.06)
    world.feed(events.LinkConnected())
    world.hear(welcome(epoch=2))
    assert world.installed == {HOME: CARE_OF}
    assert world.forwards()


def test_keys_that_a_new_snapshot_does_not_name_are_forgotten() -> None:
    world = World().start()
    again(world)
    assert world.core.state.known.key(HOME, SPI) == KEY
    assert world.core.state.known.key(HOME_2, SPI) is None
    world.hear(link.SecurityAssociations([link.SecurityAssociation(HOME, SPI, KEY, removed=True)]))
    assert world.core.state.known.key(HOME, SPI) is None


def test_a_tombstone_ends_service() -> None:
    world = World().start(binding())
    world.hear(link.Bindings([binding(lifetime_s=0)]))
    assert world.installed == {}
    assert HOME not in world.core.state.known.bindings


def test_a_tombstone_and_a_new_binding_may_come_in_one_message() -> None:
    world = World().start(binding())
    world.hear(link.Bindings([binding(lifetime_s=0), binding(care_of=CARE_OF_2)]))
    world.settle()
    assert world.installed == {HOME: CARE_OF_2}
    world.hear(link.Bindings([binding(), binding(lifetime_s=0)]))
    world.settle()
    assert world.installed == {}


# --- end -------------------------------------------------------------------------------------------------------------


def test_stop_empties_the_kernel_says_bye_and_finishes() -> None:
    world = World().start(binding())
    actions = world.feed(events.Stop())
    assert type(actions[0]) is events.RevokeLease
    assert world.installed == {}
    assert world.address is None
    assert isinstance(world.link[-1], link.Bye)
    assert world.finished
    assert world.core.deadline() is None
    assert world.feed(world.update(destination=AGENT)) == []


def test_stop_without_a_session_says_nothing_and_finishes() -> None:
    world = World()
    world.feed(events.Stop())
    assert world.link == []
    assert world.finished
