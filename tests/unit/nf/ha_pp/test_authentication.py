"""Authentication and replay protection of Binding Updates (RFC 4285)."""

from __future__ import annotations

import pytest
from closedloop_nf.ha_pp import events
from closedloop_nf.ha_pp.binding_update import mismatch_timestamp
from closedloop_nf.link import messages as link
from closedloop_nf.wire import authentication, mobility
from closedloop_nf.wire.mobility_options import (
    Authentication,
    ReplayProtection,
    find_option,
)
from closedloop_nf.wire.status import BindingStatus

from tests.unit.nf.ha_pp.harness import (
    AGENT,
    CARE_OF,
    CARE_OF_2,
    HOME,
    SPI,
    WALL,
    World,
    ip,
    rejected,
    silent,
)


def test_without_authentication_the_answer_is_146_unsigned(world: World) -> None:
    world.feed(world.update(key=None))
    acknowledgement = rejected(world, BindingStatus.AUTHENTICATION_FAILED, "authentication_missing")
    assert find_option(acknowledgement.options, Authentication) is None


def test_a_wrong_key_is_answered_146(world: World) -> None:
    world.feed(world.update(key=bytes(16)))
    rejected(world, BindingStatus.AUTHENTICATION_FAILED, "authenticator_wrong")


def test_an_unknown_spi_is_answered_146(world: World) -> None:
    world.feed(world.update(spi=SPI + 1))
    rejected(world, BindingStatus.AUTHENTICATION_FAILED, "spi_unknown")


def test_another_nodes_key_does_not_bind_this_home_address(world: World) -> None:
    genuine = world.update(ip("2001:db8:40::22"))
    spoofed = events.MobilityReceived(genuine.source, genuine.destination, HOME, genuine.payload)
    world.feed(spoofed)
    silent(world, "checksum")


def test_something_after_the_authenticator_is_answered_146(world: World) -> None:
    genuine = world.update()
    data = bytearray(genuine.payload + bytes((200, 6)) + bytes(6))
    data[1] += 1
    world.feed(events.MobilityReceived(genuine.source, genuine.destination, HOME, mobility.seal(bytes(data), HOME, AGENT)))
    rejected(world, BindingStatus.AUTHENTICATION_FAILED, "authentication_not_last")


def test_a_moved_packet_source_breaks_the_authenticator(world: World) -> None:
    genuine = world.update()
    world.feed(events.MobilityReceived(CARE_OF_2, genuine.destination, HOME, genuine.payload))
    rejected(world, BindingStatus.AUTHENTICATION_FAILED, "authenticator_wrong")


def test_a_missing_timestamp_is_answered_145_signed(world: World) -> None:
    world.feed(world.update(timestamp=False))
    acknowledgement = rejected(world, BindingStatus.MESSAGE_ID_REQUIRED, "timestamp_missing")
    assert find_option(acknowledgement.options, Authentication) is not None


@pytest.mark.parametrize("skew_s", [-8.0, 8.0, 3600.0])
def test_a_clock_out_of_the_window_is_answered_144_with_our_seconds_and_the_senders_fraction(world: World, skew_s: float) -> None:
    update = world.update(skew_s=skew_s)
    world.feed(update)
    acknowledgement = rejected(world, BindingStatus.ID_MISMATCH, "timestamp_out_of_window")
    replay = find_option(acknowledgement.options, ReplayProtection)
    assert replay is not None
    assert replay.timestamp >> 32 == authentication.ntp_timestamp(WALL) >> 32
    assert replay.timestamp & 0xFFFFFFFF == authentication.ntp_timestamp(world.wall + skew_s) & 0xFFFFFFFF


@pytest.mark.parametrize("skew_s", [-6.5, 0.0, 6.5])
def test_a_clock_inside_the_window_is_taken(world: World, skew_s: float) -> None:
    assert world.register(skew_s=skew_s).status == 0


def test_a_replayed_update_changes_nothing_and_is_answered_144(world: World) -> None:
    first = world.update(care_of=CARE_OF)
    world.feed(first)
    world.agree()
    world.advance(0.1)
    world.register(care_of=CARE_OF_2)
    world.feed(first)
    assert world.acknowledgement().status == BindingStatus.ID_MISMATCH
    assert world.counters["rejected_timestamp_not_newer"] == 1
    assert world.installed == {HOME: CARE_OF_2}


def test_the_time_in_a_144_would_itself_be_accepted() -> None:
    newest = authentication.ntp_timestamp(WALL + 5.9)
    for received in (0, newest, newest - 1, authentication.ntp_timestamp(WALL)):
        assert mismatch_timestamp(received, newest, WALL) > newest


def test_ha_bs_144_carries_a_time_beyond_the_one_it_knows(world: World) -> None:
    world.feed(world.update())
    asked = world.said(link.Register)[-1]
    newest = authentication.ntp_timestamp(world.wall + 3)
    world.hear(link.Registered(asked.transaction, BindingStatus.ID_MISMATCH, 0, asked.sequence, 6, newest))
    replay = find_option(world.acknowledgement().options, ReplayProtection)
    assert replay is not None
    assert replay.timestamp > newest


def test_without_authentication_required_a_plain_update_is_taken() -> None:
    world = World(authentication_required=False).start(keys=None)
    acknowledgement = world.register(key=None, timestamp=False)
    assert acknowledgement.status == 0
    assert find_option(acknowledgement.options, Authentication) is None
