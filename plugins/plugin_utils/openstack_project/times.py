# Copyright (c) 2026, The closedloop.mobility contributors
# SPDX-License-Identifier: Apache-2.0
"""Where the time of a run went: waiting for the cloud, by kind of thing, and the rest. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ansible_collections.closedloop.mobility.plugins.plugin_utils.openstack_project.steps import Done


def times(done: Iterable[Done], *, read_api_s: float, read_wall_s: float, wall_s: float) -> dict[str, Any]:
    """`api_ms` is the sum over all calls, as if they had been made one after the other; `wall_ms` is what it took."""
    kinds: dict[str, dict[str, int]] = {"read": {"calls": 1, "api_ms": _ms(read_api_s), "own_ms": _ms(max(0.0, read_wall_s - read_api_s))}}
    for call in done:
        entry = kinds.setdefault(call.step.kind, {"calls": 0, "api_ms": 0, "own_ms": 0})
        entry["calls"] += 1
        entry["api_ms"] += _ms(call.api_s)
        entry["own_ms"] += _ms(call.wall_s - call.api_s)
    api_ms = sum(entry["api_ms"] for entry in kinds.values())
    ratio = round(_ms(wall_s) / api_ms, 2) if api_ms else None
    told = {"kinds": kinds, "api_ms": api_ms, "wall_ms": _ms(wall_s), "wall_to_api_ratio": ratio}
    return told | {"lines": _lines(told)}


def _lines(told: dict[str, Any]) -> list[str]:
    rows = sorted(told["kinds"].items(), key=lambda item: -item[1]["api_ms"])
    return [
        f"{told['wall_ms'] / 1000:.1f} s; waiting for the cloud, one call after the other, would be {told['api_ms'] / 1000:.1f} s",
        *(
            f"{kind:15} {entry['calls']:3} calls  cloud {entry['api_ms'] / 1000:6.1f} s  own {entry['own_ms'] / 1000:6.1f} s"
            for kind, entry in rows
        ),
    ]


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
