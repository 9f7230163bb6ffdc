"""Parts `failover_cold`, `failover_standby`, `failover_per_instance` and `handover`: how long a mobile node's traffic is gone, in the lab.

Each run kills the serving HA-PP (SIGKILL) and starts playbooks/failover.yml at that moment, or starts playbooks/move.yml, while packets
1 ms apart go both ways. A run that fails is reported as failed, and the lab is built anew for the next one.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from closedloop_tools import scenes
from closedloop_tools.lab import Lab, PlaybookFailed
from closedloop_tools.report import Value
from closedloop_tools.scenes import Scene, Traffic, TrafficLost

LAB = "bench"
MOBILE_NODE = "mn1"
RUNS = 20
BUDGET_S = 130.0
"""A part begins no run after this time, so that the bench ends in bounded time on a busy machine too; the n of its figures tells."""
LINKS = ("visited2", "visited1")

Play = Callable[[Traffic, int], Scene]
"""Plays the scene of the run with that number."""


def failover_cold(_folder: Path) -> list[dict[str, Value]]:
    """No standby: the playbook deploys a new HA-PP in another region, and HA-B gives it the bindings."""
    return _failovers("failover_cold", "cold")


def failover_standby(_folder: Path) -> list[dict[str, Value]]:
    """HA-B promotes the standby by itself; the playbook restores the redundancy."""
    return _failovers("failover_standby", "standby")


def failover_per_instance(_folder: Path) -> list[dict[str, Value]]:
    """As with a standby, but every HA-PP has its own address: the mobile node is sent to the new one (RFC 5142) and registers there."""
    return _failovers("failover_per_instance", "standby", "per_instance")


def handover(_folder: Path) -> list[dict[str, Value]]:
    """The mobile node goes to and fro between the visited links."""
    with _lab(redundancy="cold", home_agent_address="shared") as lab:
        return _repeat("handover", lab, lambda traffic, number: scenes.handover(lab, traffic, LINKS[number % 2]))


def _failovers(part: str, redundancy: str, home_agent_address: str = "shared") -> list[dict[str, Value]]:
    with _lab(redundancy=redundancy, home_agent_address=home_agent_address) as lab:
        return _repeat(part, lab, lambda traffic, _number: scenes.failover(lab, traffic))


@contextmanager
def _lab(**variables: str) -> Iterator[Lab]:
    """A lab of our own, new and whole; torn down at the end."""
    lab = Lab(LAB, control_loop_enabled="false", **variables)
    lab.renew()
    try:
        yield lab
    finally:
        lab.playbook("teardown").wait()


def _repeat(part: str, lab: Lab, play: Play) -> list[dict[str, Value]]:
    end = time.monotonic() + BUDGET_S
    runs: list[dict[str, Value]] = []
    while len(runs) < RUNS and time.monotonic() < end:
        runs.append(_run(part, len(runs), lab, play))
    if len(runs) < RUNS:
        print(f"   {part}: {len(runs)} of {RUNS} runs, then {BUDGET_S:g} s were over", flush=True)
    return runs


def _run(part: str, number: int, lab: Lab, play: Play) -> dict[str, Value]:
    outcome: dict[str, Value] = {"part": part, "run": str(number + 1), "failed": False, "load_average": os.getloadavg()[0]}
    try:
        with Traffic(lab, MOBILE_NODE) as traffic:
            scene = play(traffic, number)
    except (PlaybookFailed, TrafficLost, RuntimeError, OSError) as error:
        print(f"bench: {part}, run {number + 1} failed: {error}", file=sys.stderr, flush=True)
        lab.renew()
        return outcome | {"failed": True, "error": str(error), f"{part}_outage_ms": None}
    return outcome | {
        "scene": scene.title,
        f"{part}_outage_ms": scene.outage_ms,
        f"{part}_to_mobile_node_ms": scene.to_mobile_node.silence.outage_ms,
        f"{part}_from_mobile_node_ms": scene.from_mobile_node.silence.outage_ms,
        f"{part}_packets_sent": scene.sent,
        f"{part}_packets_lost": scene.lost,
        **{f"{part}_{name}": value for name, value in scenes.stage_figures(scene).items()},
    }
