"""What forbids an action. Every guard answers None (it does not forbid) or a Denied, which says until when."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, time, timedelta
from typing import Final, Protocol

import msgspec

from closedloop_loop.clock import MICROSECONDS
from closedloop_loop.policy.inventory import Inventory
from closedloop_loop.policy.model import Blackout, Frequency, Loop

WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class Denied(msgspec.Struct, frozen=True, kw_only=True):
    """A guard forbids the action."""

    guard: str
    reason: str
    until_us: int
    """When it is worth asking again, UNIX microseconds."""


class Past(Protocol):
    """What guards ask of an operation of the past."""

    @property
    def loop(self) -> str: ...
    @property
    def target(self) -> str: ...

    @property
    def started_us(self) -> int | None:
        """When its first attempt began; None where none has."""

    @property
    def blocks(self) -> bool:
        """Whether it failed under `on_failure: block` and no operator has acknowledged it."""


def judge(loop: Loop, target: str, inventory: Inventory | None, history: Iterable[Past], now_us: int) -> Denied | None:
    """The first guard that forbids, in the order target, blocked, blackout, frequency, instances; None where the loop may act.

    inventory: None where the world is not known (a replay without one); target and instances are not judged then.
    """
    past = list(history)
    return next((denied for denied in _denials(loop, target, inventory, past, now_us) if denied is not None), None)


def judge_again(loop: Loop, target: str, inventory: Inventory | None, now_us: int) -> Denied | None:
    """What forbids a further attempt: only a scale_in is called off, as long as its target still serves beside too few others."""
    module = None if inventory is None else inventory.module(target)
    if inventory is None or module is None or loop.action != "scale_in" or module.state != "ready":
        return None
    return _instances(loop, target, inventory, now_us)


def _denials(loop: Loop, target: str, inventory: Inventory | None, past: list[Past], now_us: int) -> Iterator[Denied | None]:
    if inventory is not None and loop.scope.target_type == "VF_MODULE":
        yield _target(loop, target, inventory, now_us)
    yield _blocked(loop, target, past, now_us)
    for window in loop.guards.blackout:
        yield _blackout(window, now_us)
    for frequency in loop.guards.frequency:
        yield _frequency(frequency, loop, target, past, now_us)
    if inventory is not None:
        yield _instances(loop, target, inventory, now_us)


def _target(loop: Loop, target: str, inventory: Inventory, now_us: int) -> Denied | None:
    """An alert may come late, or be of what another operation has removed meanwhile."""
    if inventory.module(target) is not None:
        return None
    reason = "no VF module of this name is placed, so there is nothing to act upon"
    return Denied(guard="target", reason=reason, until_us=_recheck(loop, now_us))


def _blocked(loop: Loop, target: str, past: list[Past], now_us: int) -> Denied | None:
    if not any(operation.blocks and operation.loop == loop.name and operation.target == target for operation in past):
        return None
    reason = "an operation on it failed; look into it, then acknowledge that operation"
    return Denied(guard="blocked", reason=reason, until_us=_recheck(loop, now_us))


def _frequency(rule: Frequency, loop: Loop, target: str, past: list[Past], now_us: int) -> Denied | None:
    within_us = round(rule.within_s * MICROSECONDS)
    starts = sorted(
        operation.started_us
        for operation in past
        if operation.started_us is not None
        and operation.loop == loop.name
        and (rule.per == "loop" or operation.target == target)
        and operation.started_us > now_us - within_us
    )
    if len(starts) < rule.operations:
        return None
    reason = f"{len(starts)} operations of this {rule.per} in {rule.within_s:g} s; {rule.operations} are allowed"
    return Denied(guard="frequency", reason=reason, until_us=starts[-rule.operations] + within_us)


def _blackout(window: Blackout, now_us: int) -> Denied | None:
    now = datetime.fromtimestamp(now_us / MICROSECONDS, UTC)
    start, end = time.fromisoformat(window.start), time.fromisoformat(window.end)
    for days_ago in (0, 1):
        day = now.date() - timedelta(days=days_ago)
        if WEEKDAYS[day.weekday()] not in window.days:
            continue
        begins = datetime.combine(day, start, UTC)
        ends = datetime.combine(day if end > start else day + timedelta(days=1), end, UTC)
        if begins <= now < ends:
            reason = f"from {window.start} to {window.end} UTC this loop does not act"
            return Denied(guard="blackout", reason=reason, until_us=round(ends.timestamp() * MICROSECONDS))
    return None


def _instances(loop: Loop, target: str, inventory: Inventory, now_us: int) -> Denied | None:
    group = inventory.group_of(target)
    members = [module for module in inventory.modules if module.group == group]
    guard, until_us = "instances", _recheck(loop, now_us)
    match loop.action:
        case "scale_in":
            left = sum(module.state == "ready" and module.name != target for module in members)
            if left < loop.guards.min_instances:
                reason = f"{left} ready modules would be left; min_instances is {loop.guards.min_instances}"
                return Denied(guard=guard, reason=reason, until_us=until_us)
        case "scale_out" | "failover":
            replaced = target if loop.action == "failover" else None
            others = sum(module.state != "failed" and module.name != replaced for module in members)
            if others + 1 > loop.guards.max_instances:
                reason = f"there would be {others + 1} modules; max_instances is {loop.guards.max_instances}"
                return Denied(guard=guard, reason=reason, until_us=until_us)
        case "rebalance":
            ready = sum(module.state == "ready" for module in members)
            if ready < 2:
                return Denied(guard=guard, reason=f"{ready} ready modules; two are needed to move nodes between", until_us=until_us)
    return None


def _recheck(loop: Loop, now_us: int) -> int:
    return now_us + round(loop.guards.recheck_s * MICROSECONDS)
