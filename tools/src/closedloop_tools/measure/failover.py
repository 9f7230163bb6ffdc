"""One failover: the serving HA-PP is killed while packets go both ways; when each stage came, how long the traffic was gone."""

from __future__ import annotations

import os
import time

from closedloop_tools import scenes
from closedloop_tools.lab import Lab, PlaybookFailed
from closedloop_tools.measure.runs import Record
from closedloop_tools.scenes import Clock, NotHealed, Scene, Stage, Traffic, TrafficLost

SERIES = ("loop", "standby", "without_warm_runner", "by_hand")
"""loop: cold, by the rulebook and the warm runner. standby: the same with a warm standby. without_warm_runner: cold, the rulebook's own
`run_playbook`. by_hand: cold, the playbook is typed at the moment of the failure."""
STAGES = (
    "detection_ms",
    "accepted_ms",
    "onset_ms",
    "rule_matched_ms",
    "first_task_ms",
    "function_ready_ms",
    "first_bu_ms",
    "first_packet_ms",
)
"""In the order in which they come; milliseconds after the kill."""
MOBILE_NODE = "mn1"
_REST_TIMEOUT_S = 60.0
_OF_THE_LOOP = {"event accepted": "accepted_ms", "accepted": "onset_ms", "rule matched": "rule_matched_ms", "started": "first_task_ms"}
"""Stages of an operation."""


def run(lab: Lab, series: str, number: int) -> Record:
    """The record of a run. One that fails is a record too: `failed` and `error`, without figures."""
    record: Record = {"series": series, "run": str(number), "failed": False, "load_average": round(os.getloadavg()[0], 2)}
    try:
        wait_until_at_rest(lab)
        with Traffic(lab, MOBILE_NODE) as traffic:
            clock = Clock()
            scene = scenes.failover(lab, traffic) if series == "by_hand" else scenes.healed(lab, traffic)
        return record | {"scene": scene.title, **figures(lab, scene, clock)}
    except (NotHealed, PlaybookFailed, TrafficLost, RuntimeError, OSError) as error:
        return record | {"failed": True, "error": str(error)[:500]}


def wait_until_at_rest(lab: Lab) -> None:
    """Until no operation goes on, one HA-PP serves and none is lost. Raises NotHealed."""
    end = time.monotonic() + _REST_TIMEOUT_S
    while True:
        agents = lab.home_agents()
        ready = [agent for agent in agents if agent["state"] == "ready"]
        busy = lab.busy()
        if not busy and ready and len(ready) == len(agents) and sum(bool(agent["serving"]) for agent in ready) == 1:
            return
        if time.monotonic() > end:
            states = ", ".join(f"{agent['name']} {agent['state']}" for agent in agents)
            raise NotHealed(
                f"not at rest after {_REST_TIMEOUT_S:g} s: {states or 'no home agent'}{'; an operation goes on' if busy else ''}"
            )
        time.sleep(0.05)


def figures(lab: Lab, scene: Scene, clock: Clock) -> Record:
    return {
        "service_outage_s": scene.outage_ms / 1e3,
        "redundancy_restored_s": restored_ms(lab, scene, clock) / 1e3,
        **stages(scene),
        "packets_sent": scene.sent,
        "packets_lost": scene.lost,
    }


def restored_ms(lab: Lab, scene: Scene, clock: Clock) -> float:
    """From the failure until as many HA-PPs are ready as before: one was killed, so the first that becomes ready restores the number."""
    for event in lab.backend_events(clock.wall_us(scene.cause_ns) / 1e6):
        if event["kind"] == "ready":
            return (clock.mono_ns(round(event["wall"] * 1e6)) - scene.cause_ns) / 1e6
    raise NotHealed("no HA-PP became ready after the failure")


def stages(scene: Scene) -> Record:
    """When each of STAGES came; None for what this run did not have (by hand there is no onset, a standby is ready before)."""
    found: dict[str, float] = {}
    for stage in scene.stages:
        name = _name(stage)
        if name is not None and stage.at_ns <= scene.resumed_ns:
            found.setdefault(name, (stage.at_ns - scene.cause_ns) / 1e6)
    if scene.tasks:  # typed by hand: the first is the start of ansible-playbook itself
        found["first_task_ms"] = (scene.tasks[1].begin_ns - scene.cause_ns) / 1e6
    found["first_packet_ms"] = (scene.resumed_ns - scene.cause_ns) / 1e6
    return {name: found.get(name) for name in STAGES}


def _name(stage: Stage) -> str | None:
    """The figure that a stage of the scene gives."""
    told = {
        "HA-B": {scenes.BACKEND_TOLD["lost"]: "detection_ms", scenes.BACKEND_TOLD["ready"]: "function_ready_ms"},
        "mobile node": {scenes.MOBILE_NODE_TOLD["bu_sent"]: "first_bu_ms"},
        "loop": _OF_THE_LOOP,
    }
    what = stage.what.partition(" ")[2] if stage.source in ("HA-B", "loop") else stage.what
    return told.get(stage.source, {}).get(what)
