"""The decision: an onset, the world and what has been done before give an action and a region, or the guard that forbids it."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import msgspec

from closedloop_loop.clock import MICROSECONDS
from closedloop_loop.onset import Onset
from closedloop_loop.policy.guards import Denied, Past, judge, judge_again
from closedloop_loop.policy.inventory import Inventory
from closedloop_loop.policy.model import Action, Loop, Policy
from closedloop_loop.policy.target import choose_region


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """Act."""

    action: Action
    target: str
    region: str | None = None
    """Where the new module goes; None where the action makes none, or the world is not known."""
    reason: str


class UnknownLoop(Exception):
    """An onset of a loop that the policy does not have."""


def decide(
    policy: Policy,
    onset: Onset,
    inventory: Inventory | None,
    history: Iterable[Past],
    now_us: int,
    tried: Collection[str] = (),
    *,
    begun: bool = False,
) -> Decision | Denied:
    """What to do about an onset.

    inventory: None where the world is not known: no region is chosen then, and neither target nor number of instances is judged.
    history: operations of the past, those of this onset excepted. tried: regions in which earlier attempts for this onset failed.
    begun: an attempt was made, and may have done half of the work: placed a VF module, removed the target. It goes on, where it was if no
    other region has room, and is not denied; a scale_in whose target still serves is, where too few others do.
    Raises UnknownLoop.
    """
    loop = policy.loop(onset.name)
    if loop is None:
        raise UnknownLoop(f"policy has no loop {onset.name!r}; give the policy that analytics runs")
    target = onset.target
    denied = judge_again(loop, target, inventory, now_us) if begun else judge(loop, target, inventory, history, now_us)
    if denied is not None:
        return denied
    because = _because(onset)
    if inventory is None or loop.action not in ("failover", "scale_out"):
        return Decision(action=loop.action, target=onset.target, reason=because)
    region = choose_region(loop.target, inventory, onset.target, tried)
    if region is None and begun:
        return Decision(action=loop.action, target=onset.target, reason=f"{because}; no other region has room")
    if region is None:
        reason = "no region is available, allowed, with room and apart from the group's modules; add one or relax the policy's target"
        return Denied(guard="region", reason=reason, until_us=now_us + round(loop.guards.recheck_s * MICROSECONDS))
    return Decision(action=loop.action, target=onset.target, region=region.name, reason=f"{because}; {_room(loop, inventory, region.name)}")


def _because(onset: Onset) -> str:
    if onset.value is not None and onset.limit is not None:
        return f"{onset.reason} is {onset.value:g}, past {onset.limit:g}"
    return onset.reason if onset.severity is None else f"{onset.reason} ({onset.severity})"


def _room(loop: Loop, inventory: Inventory, name: str) -> str:
    capacity = next(region.capacity for region in inventory.regions if region.name == name)
    used = sum(module.region == name for module in inventory.modules)
    return f"{name} has room for {capacity - used} of {capacity}, anti-affinity {loop.target.anti_affinity}"
