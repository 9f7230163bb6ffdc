"""A host is drained only where every server has a place to go to."""

from __future__ import annotations

from ansible_collections.closedloop.mobility.plugins.module_utils.openstack_compute_host import Member, without_place

A = Member("1", "ha-a", "one", "ACTIVE", frozenset({"2"}))
B = Member("2", "ha-b", "two", "ACTIVE", frozenset({"1"}))
FREE = Member("3", "cn", "one", "ACTIVE")


def test_a_third_host_takes_what_must_be_apart() -> None:
    assert not list(without_place([A, FREE], [A, B, FREE], frozenset({"two", "three"})))


def test_the_other_ones_host_does_not() -> None:
    assert list(without_place([A, FREE], [A, B, FREE], frozenset({"two"}))) == [
        "server ha-a: its anti-affinity leaves it no host (two could take servers); add or enable a compute host"
    ]


def test_without_any_other_host_nothing_can_leave() -> None:
    assert len(list(without_place([A, FREE], [A, B, FREE], frozenset()))) == 2
