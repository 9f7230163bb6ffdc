"""The policies of histories: two loops that both see an HA-PP die, and where the load changes, three that scale."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from closedloop_loop.policy.model import Policy

FAULT_LOOP: Final = "home-agent-failover"
MAX_INSTANCES: Final = 4

_DAMPING: Final = {"onsets": 1000}
_LOOP: Final[dict[str, Any]] = {"scope": {"sources": ["ha-pp-*"]}, "timeout_s": 40.0, "retries": 50, "retry_delay_s": 1.0}
_FIGURE: Final[dict[str, Any]] = {
    "figure": "served_mbps",
    "window_s": 3.0,
    "samples": 2,
    "hold_s": 1.0,
    "quiet_s": 1.0,
    "repeat_s": 10.0,
    "damping": _DAMPING,
}
_HEALING: Final[list[dict[str, Any]]] = [
    {
        "name": FAULT_LOOP,
        "condition": {"kind": "fault", "alarms": ["homeAgentLost", "mobilitySocketClosed"], "damping": _DAMPING},
        "action": "failover",
        **_LOOP,
    },
    {"name": "home-agent-silent", "condition": {"kind": "heartbeat_lost", "missed": 2, "damping": _DAMPING}, "action": "failover", **_LOOP},
]


def _scaling(least: int) -> list[dict[str, Any]]:
    return [
        {
            "name": "home-agent-overload",
            "condition": {"kind": "threshold", "above": 800.0, "clear": 700.0, **_FIGURE},
            "action": "scale_out",
            "guards": {"max_instances": MAX_INSTANCES, "frequency": [{"operations": 1, "within_s": 15.0, "per": "loop"}], "recheck_s": 3.0},
            **_LOOP,
        },
        {
            "name": "home-agent-underload",
            "condition": {"kind": "threshold", "across": "all", "below": 50.0, "clear": 100.0, **_FIGURE},
            "action": "scale_in",
            "guards": {"min_instances": least, "recheck_s": 3.0},
            **_LOOP,
        },
        {
            "name": "home-agent-imbalance",
            "condition": {"kind": "imbalance", "above": 1.6, "clear": 1.55, "floor": 100.0, **_FIGURE},
            "action": "rebalance",
            "guards": {"recheck_s": 3.0},
            **_LOOP,
        },
    ]


HEALING: Final = msgspec.convert({"version": 1, "loops": _HEALING}, Policy)
SCALING: Final = {least: msgspec.convert({"version": 1, "loops": [*_HEALING, *_scaling(least)]}, Policy) for least in (1, 2)}
"""By the smallest number of VF modules."""
