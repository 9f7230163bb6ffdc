"""What an HA-PP tells HA-B of its mobile nodes' traffic."""

from __future__ import annotations

from closedloop_nf.ha_pp import events
from closedloop_nf.ha_pp.node_meter import rates
from closedloop_nf.kernel.node_traffic import Traffic
from closedloop_nf.link import messages as link

from tests.unit.nf.ha_pp.harness import HOME, HOME_2, World, binding, numbered


def test_rates_are_of_the_packets_inside_the_tunnel_and_only_of_nodes_with_traffic() -> None:
    before = {HOME: Traffic(1000, 10, 500, 5), HOME_2: Traffic(7, 1, 7, 1)}
    after = {HOME: Traffic(1000 + 2 * 140, 12, 500, 5), HOME_2: Traffic(7, 1, 7, 1)}
    assert rates(before, after, 2.0) == [link.NodeRate(HOME, 800, 0)]


def test_a_node_that_was_bound_anew_counts_from_zero() -> None:
    assert rates({HOME: Traffic(10_000, 100, 9000, 90)}, {HOME: Traffic(0, 0, 125, 1)}, 1.0) == [link.NodeRate(HOME, 0, 1000)]


def test_many_rates_go_in_pieces_of_which_the_first_and_the_last_say_so() -> None:
    world = World().start(binding())
    rows = [link.NodeRate(numbered(number), 1, 1) for number in range(2500)]
    world.feed(events.TrafficMeasured(rows))
    pieces = world.said(link.Traffic)
    assert [row for piece in pieces for row in piece.rows] == rows
    assert [(len(piece.rows), piece.first, piece.last) for piece in pieces] == [
        (1000, True, False),
        (1000, False, False),
        (500, False, True),
    ]


def test_that_there_was_no_traffic_is_told_too() -> None:
    world = World().start(binding())
    world.feed(events.TrafficMeasured([]))
    assert world.said(link.Traffic) == [link.Traffic([], first=True, last=True)]


def test_a_standby_and_an_ha_pp_without_ha_b_tell_nothing() -> None:
    standby = World(role="standby").start(role="standby")
    standby.feed(events.TrafficMeasured([]))
    alone = World()
    alone.feed(events.TrafficMeasured([]))
    assert standby.said(link.Traffic) + alone.said(link.Traffic) == []
