"""A bench for the loop's cores: records and policies in few words, a clock that is set by hand."""

from __future__ import annotations

from typing import Any

import msgspec
from closedloop_loop.clock import Instant
from closedloop_loop.onset import Onset, request_id
from closedloop_loop.policy.inventory import Inventory, Module, Region
from closedloop_loop.policy.model import Policy
from closedloop_loop.records import FaultCleared, FaultRaised, Heartbeat, Measurement

WALL = 1_795_230_000.0
"""2026-11-21 03:00:00 UTC, a Saturday."""


def at(seconds: float) -> Instant:
    """So long after the bench was switched on."""
    return Instant(1000.0 + seconds, WALL + seconds)


def us(seconds: float) -> int:
    """The same on the wall clock."""
    return at(seconds).wall_us


def world(**capacities: int) -> Inventory:
    """Regions (`region_a` is region-a) with so much room left, and every module that the tests name, in a region of its own."""
    names = ["ha-pp-a", "ha-pp-b", *(f"t{number}" for number in range(6))]
    regions = [Region(name=name.replace("_", "-"), capacity=capacity) for name, capacity in capacities.items()]
    return Inventory(regions=regions, modules=[Module(name=name, region="elsewhere") for name in names])


def policy(condition: dict[str, Any], **loop: Any) -> Policy:
    """A policy of one loop named `loop` over all sources."""
    fields = {"name": "loop", "scope": {"sources": ["*"]}, "action": "failover", "condition": condition, **loop}
    return msgspec.convert({"version": 1, "loops": [fields]}, Policy)


def raised(
    seconds: float, event_id: str = "f1", *, source: str = "ha-pp-a", sequence: int = 0, start: float | None = None, **more: Any
) -> FaultRaised:
    fields = {"alarm": "homeAgentLost", "severity": "CRITICAL", **more}
    begun = us(seconds if start is None else start)
    return FaultRaised(source=source, event_id=event_id, sequence=sequence, start_us=begun, time_us=us(seconds), **fields)


def cleared(
    seconds: float, event_id: str = "f1", *, source: str = "ha-pp-a", sequence: int = 1, start: float, alarm: str = "homeAgentLost"
) -> FaultCleared:
    return FaultCleared(source=source, event_id=event_id, sequence=sequence, start_us=us(start), time_us=us(seconds), alarm=alarm)


def heartbeat(seconds: float, *, source: str = "ha-pp-a", interval_s: float = 1.0) -> Heartbeat:
    return Heartbeat(
        source=source, event_id=f"h{us(seconds)}", sequence=0, start_us=us(seconds), time_us=us(seconds), interval_s=interval_s
    )


def measured(seconds: float, value: float, *, source: str = "ha-pp-a", figure: str = "cpu_percent") -> Measurement:
    time_us = us(seconds)
    return Measurement(
        source=source, event_id=f"m{time_us}", sequence=0, start_us=time_us, time_us=time_us, interval_s=1.0, figures={figure: value}
    )


def onset(number: int = 1, *, target: str = "ha-pp-a", loop: str = "loop", status: str = "ONSET", **more: Any) -> Onset:
    end = {"alarm_end_us": us(0)} if status == "ABATED" else {}
    fields = {"reason": "homeAgentLost", "alarm_start_us": us(0), **end, **more}
    return Onset(name=loop, request_id=request_id(loop, target, str(number)), status=status, target=target, **fields)  # type: ignore[arg-type] # test input
