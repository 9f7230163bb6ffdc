"""The decision: where a module goes, and what forbids it."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest
from closedloop_loop.policy.decide import Decision, UnknownLoop, decide
from closedloop_loop.policy.guards import Denied
from closedloop_loop.policy.inventory import Inventory, Module, Region
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.unit.loop.bench import onset, policy, us

FAULT = {"kind": "fault", "alarms": ["homeAgentLost"]}
REGIONS = [Region(name="region-a", capacity=2), Region(name="region-b", capacity=3), Region(name="region-c", capacity=4)]
MODULES = [Module(name="ha-pp-a", region="region-a", state="failed"), Module(name="ha-pp-b", region="region-b")]
WORLD = Inventory(regions=REGIONS, modules=MODULES)


class Past(NamedTuple):
    loop: str = "loop"
    target: str = "ha-pp-a"
    started_us: int | None = None
    blocks: bool = False


def decided(
    seconds: float = 0, world: Inventory | None = WORLD, history: tuple[Past, ...] = (), tried: tuple[str, ...] = (), **loop: Any
) -> Decision | Denied:
    return decide(policy(FAULT, **loop), onset(), world, history, us(seconds), tried)


def region(**more: Any) -> str | None:
    verdict = decided(**more)
    return verdict.region if isinstance(verdict, Decision) else f"denied: {verdict.guard}"


def test_the_region_apart_from_the_group_comes_first() -> None:
    assert region() == "region-c"


def test_then_the_one_with_the_most_room() -> None:
    full = Inventory(regions=REGIONS[:2], modules=MODULES)
    assert region(world=full) == "region-b"  # 2 places free, in region-a 1


def test_a_region_tried_in_vain_comes_last() -> None:
    assert region(tried=("region-c",)) == "region-b"


def test_only_regions_that_the_policy_allows() -> None:
    assert region(target={"regions": ["region-a"]}) == "region-a"


def test_required_anti_affinity_rules_regions_out() -> None:
    near = Inventory(regions=REGIONS[:2], modules=MODULES)
    assert region(world=near, target={"anti_affinity": "required"}) == "denied: region"


def test_a_module_of_another_group_is_no_neighbour() -> None:
    others = [*MODULES, Module(name="other", region="region-c", group="else")]
    assert region(world=Inventory(regions=REGIONS, modules=others)) == "region-c"


def test_a_region_that_is_away_or_full_is_not_chosen() -> None:
    regions = [Region(name="away", capacity=9, available=False), Region(name="full", capacity=0), Region(name="region-b", capacity=3)]
    assert region(world=Inventory(regions=regions, modules=MODULES)) == "region-b"


@given(
    st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=1, max_size=5),
    st.lists(st.tuples(st.integers(0, 4), st.sampled_from(["x", "y"])), max_size=8),
    st.sampled_from(["required", "preferred", "none"]),
)
def test_the_chosen_region_may_always_take_it(regions: list[tuple[int, bool]], modules: list[tuple[int, str]], affinity: str) -> None:
    world = Inventory(
        regions=[Region(name=f"r{index}", capacity=capacity, available=up) for index, (capacity, up) in enumerate(regions)],
        modules=[Module(name=f"m{index}", region=f"r{place}", group=group) for index, (place, group) in enumerate(modules)],
    )
    assume(world.module("m0") is not None)
    verdict = decide(policy(FAULT, target={"anti_affinity": affinity}), onset(target="m0"), world, (), us(0))
    used = {name: sum(module.region == name for module in world.modules) for name in (found.name for found in world.regions)}
    group = world.group_of("m0")
    shared = {module.region for module in world.modules if module.group == group}
    free = [
        r.name for r in world.regions if r.available and used[r.name] < r.capacity and not (affinity == "required" and r.name in shared)
    ]
    if isinstance(verdict, Denied):
        assert free == []
    else:
        assert verdict.region in free
        assert affinity != "preferred" or verdict.region not in shared or not set(free) - shared


def test_frequency_limits_operations_and_says_until_when() -> None:
    guards = {"frequency": [{"operations": 2, "within_s": 100}]}
    history = (Past(started_us=us(-90)), Past(started_us=us(-10)), Past(started_us=us(-5), target="other"))
    verdict = decided(history=history, guards=guards)
    assert isinstance(verdict, Denied)
    assert (verdict.guard, verdict.until_us) == ("frequency", us(10))
    assert isinstance(decided(10, history=history, guards=guards), Decision)


def test_frequency_of_the_whole_loop_counts_other_targets() -> None:
    guards = {"frequency": [{"operations": 2, "within_s": 100, "per": "loop"}]}
    history = (Past(started_us=us(-90)), Past(started_us=us(-5), target="other"), Past(started_us=us(-5), loop="other"))
    assert isinstance(decided(history=history, guards=guards), Denied)


@pytest.mark.parametrize(
    ("window", "hour", "allowed"),
    [
        ({"start": "02:00", "end": "04:00"}, 3.0, False),  # the bench begins on a Saturday at 03:00 UTC
        ({"start": "02:00", "end": "04:00"}, 4.0, True),
        ({"start": "22:00", "end": "06:00"}, 3.0, False),
        ({"start": "22:00", "end": "06:00", "days": ["fri"]}, 3.0, False),
        ({"start": "22:00", "end": "06:00", "days": ["sat"]}, 3.0, True),
        ({"start": "03:00", "end": "03:00", "days": ["sat"]}, 26.9, False),
        ({"start": "03:00", "end": "03:00", "days": ["sat"]}, 27.0, True),
    ],
)
def test_in_a_blackout_window_the_loop_rests(window: dict[str, Any], hour: float, allowed: bool) -> None:
    verdict = decided((hour - 3) * 3600, guards={"blackout": [window]})
    assert isinstance(verdict, Decision if allowed else Denied)
    if isinstance(verdict, Denied):
        assert isinstance(decide(policy(FAULT, guards={"blackout": [window]}), onset(), WORLD, (), verdict.until_us), Decision)


@pytest.mark.parametrize(
    ("action", "guards", "allowed"),
    [
        ("scale_out", {"max_instances": 1}, False),
        ("scale_out", {"max_instances": 2}, True),
        ("failover", {"max_instances": 2}, True),
        ("failover", {"max_instances": 1}, False),
        ("scale_in", {"min_instances": 1}, True),
        ("scale_in", {"min_instances": 2}, False),
        ("rebalance", {}, False),
    ],
)
def test_instances_stay_between_their_limits(action: str, guards: dict[str, Any], allowed: bool) -> None:
    verdict = decided(action=action, guards=guards)
    assert isinstance(verdict, Decision if allowed else Denied)


@pytest.mark.parametrize("action", ["failover", "scale_out", "scale_in", "rebalance"])
def test_about_a_module_that_is_not_placed_nothing_is_done(action: str) -> None:
    """It was never there, or another operation has removed it."""
    gone = Inventory(regions=REGIONS, modules=[Module(name="ha-pp-b", region="region-b"), Module(name="ha-pp-c", region="region-c")])
    verdict = decided(world=gone, action=action)
    assert isinstance(verdict, Denied)
    assert (verdict.guard, verdict.until_us) == ("target", us(30))
    assert "no VF module of this name" in verdict.reason
    assert isinstance(decided(world=None, action=action), Decision)


def test_a_target_that_is_no_vf_module_is_not_looked_for_among_them() -> None:
    empty = Inventory(regions=REGIONS)
    assert region(world=empty, scope={"sources": ["*"], "target_type": "VNF"}) == "region-c"


def test_what_has_begun_goes_on_whatever_guards_say() -> None:
    """The failed module is gone, its successor takes the last place: there is no other region, and one module more than there may be."""
    full = Inventory(regions=[Region(name="region-a", capacity=0), Region(name="region-b", capacity=1)], modules=MODULES[1:])
    rules = policy(FAULT, guards={"max_instances": 1, "blackout": [{"start": "00:00", "end": "00:00"}]})
    assert isinstance(decide(rules, onset(), full, (), us(0)), Denied)
    verdict = decide(rules, onset(), full, (Past(blocks=True),), us(0), begun=True)
    assert isinstance(verdict, Decision)
    assert verdict.region is None


def test_a_failed_operation_blocks_only_its_loop_and_target() -> None:
    assert isinstance(decided(history=(Past(blocks=True),)), Denied)
    assert isinstance(decided(history=(Past(blocks=True, target="other"), Past(blocks=True, loop="other"))), Decision)


def test_without_an_inventory_no_region_is_chosen() -> None:
    assert region(world=None) is None


def test_an_onset_of_a_loop_that_is_not_in_the_policy_is_an_error() -> None:
    with pytest.raises(UnknownLoop):
        decide(policy(FAULT), onset(loop="other"), WORLD, (), us(0))
