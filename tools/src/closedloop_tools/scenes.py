"""What happens to a mobile node's traffic: a handover, and the death of its home agent. Used by the demo and by the bench.

A scene plays while packets go both ways between correspondent node and mobile node, one per millisecond. All its times are CLOCK_MONOTONIC
nanoseconds, also those of HA-B's events, which tell wall-clock time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from closedloop_loop.operations.model import Operation, State

from closedloop_tools.flow import Flow, Packet, Silence
from closedloop_tools.lab import Lab, Task

Kind = Literal["handover", "failover"]
Progress = Callable[[str], None]

BEFORE_NS = 200_000_000
"""How much of the time before its cause belongs to a scene: the stream has to be seen whole."""
AFTER_NS = 400_000_000
_FLOWING = 100
"""Packets in each direction that have to arrive before a scene begins or ends."""
_TRAFFIC_TIMEOUT_S = 20.0
_WAIT_S = 0.02
_HEALING_TIMEOUT_S = 60.0


class Stage(NamedTuple):
    """A moment of a scene, and who told."""

    at_ns: int
    what: str
    source: Literal["playbook", "HA-B", "loop", "mobile node", "packets", "cause"]


class Direction(NamedTuple):
    """One of the two packet streams during a scene."""

    packets: list[Packet]
    silence: Silence

    @property
    def sent(self) -> int:
        return len(self.packets)

    @property
    def lost(self) -> int:
        return sum(1 for packet in self.packets if packet.received_ns is None)


@dataclass(frozen=True)
class Scene:
    """What was measured. begin_ns, end_ns: the window; cause_ns: link taken away, or process killed."""

    kind: Kind
    title: str
    begin_ns: int
    cause_ns: int
    end_ns: int
    to_mobile_node: Direction
    from_mobile_node: Direction
    stages: list[Stage]
    tasks: list[Task] = field(default_factory=list)

    @property
    def outage_ms(self) -> float:
        """Longest silence of the worse direction, beyond the packets' interval."""
        return max(self.to_mobile_node.silence.outage_ms, self.from_mobile_node.silence.outage_ms)

    @property
    def sent(self) -> int:
        return self.to_mobile_node.sent + self.from_mobile_node.sent

    @property
    def lost(self) -> int:
        return self.to_mobile_node.lost + self.from_mobile_node.lost

    @property
    def resumed_ns(self) -> int:
        """When both directions worked again: the end of the longer silence."""
        return _resumed_ns(self.to_mobile_node, self.from_mobile_node)


class TrafficLost(Exception):
    """Packets do not come through, and should."""


class Traffic:
    """Both packet streams between the correspondent node `cn` and a mobile node. A context manager; entering waits until they flow."""

    def __init__(self, lab: Lab, mobile_node: str, port: int = 9000) -> None:
        """port: UDP port of the packets to the mobile node; the other direction has the next one."""
        self.mobile_node = mobile_node
        home_address, peer = lab.home_address(mobile_node), lab.address("cn")
        here, there = lab.namespace("cn"), lab.namespace(mobile_node)
        self.to_mobile_node = Flow(here, there, home_address, source=peer, port=port)
        self.from_mobile_node = Flow(there, here, peer, source=home_address, port=port + 1)
        self._flows = (self.to_mobile_node, self.from_mobile_node)

    def __enter__(self) -> Traffic:
        for flow in self._flows:
            flow.start()
        self.wait_until_it_flows()
        return self

    def __exit__(self, *_: object) -> None:
        for flow in self._flows:
            flow.stop()

    def wait_until_it_flows(self) -> None:
        """Until packets sent from now on have arrived in both directions. Raises TrafficLost after 20 s."""
        begin_ns = time.monotonic_ns()
        end = time.monotonic() + _TRAFFIC_TIMEOUT_S
        while any(flow.arrived_since(begin_ns) < _FLOWING for flow in self._flows):
            if time.monotonic() > end:
                arrived = [flow.arrived_since(begin_ns) for flow in self._flows]
                raise TrafficLost(
                    f"{self.mobile_node}: of the packets of {_TRAFFIC_TIMEOUT_S:g} s {arrived[0]} arrived there and {arrived[1]} came back"
                )
            time.sleep(_WAIT_S)

    def directions(self, begin_ns: int, end_ns: int) -> tuple[Direction, Direction]:
        """To and from the mobile node in the window."""
        to, back = (Direction(flow.packets(begin_ns, end_ns), flow.silence(begin_ns, end_ns)) for flow in self._flows)
        return to, back


def handover(lab: Lab, traffic: Traffic, link: str, progress: Progress | None = None) -> Scene:
    """playbooks/move.yml attaches the mobile node to another link."""
    traffic.wait_until_it_flows()
    begin_ns = time.monotonic_ns()
    tasks = lab.playbook("move", progress, move_mobile_node=traffic.mobile_node, move_link=link).wait()
    traffic.wait_until_it_flows()
    time.sleep(AFTER_NS / 1e9)
    events = lab.mobile_node_events(traffic.mobile_node, begin_ns)
    gone = next((event["mono_ns"] for event in events if event["name"] == "link_down"), begin_ns)
    stages = [Stage(gone, "link taken away", "cause"), *_mobile_node_stages(events)]
    return _scene("handover", f"{traffic.mobile_node} moves to {link}", traffic, gone, stages, tasks)


def failover(lab: Lab, traffic: Traffic, progress: Progress | None = None) -> Scene:
    """The serving HA-PP is killed, and playbooks/failover.yml is started at that moment."""
    traffic.wait_until_it_flows()
    victim = lab.serving()
    clock = Clock()
    killed_ns = lab.kill(victim)
    tasks = lab.playbook("failover", progress).wait()
    return _failed_over(lab, traffic, victim, killed_ns, clock, _playbook_stages(tasks), tasks)


def healed(lab: Lab, traffic: Traffic) -> Scene:
    """The serving HA-PP is killed, and nobody does anything: the loop's operation is waited for. Raises NotHealed."""
    traffic.wait_until_it_flows()
    victim = lab.serving()
    clock = Clock()
    killed_ns = lab.kill(victim)
    operation = _operation_on(lab, victim, clock.wall_us(killed_ns))
    stages = _loop_stages(operation, clock)
    matched = lab.rule_matched(clock.wall_us(killed_ns) / 1e6)
    if matched is not None:
        stages.append(Stage(clock.mono_ns(round(matched * 1e6)), "operation rule matched", "loop"))
    return _failed_over(lab, traffic, victim, killed_ns, clock, stages)


class NotHealed(Exception):
    """The loop did not do what it should; the text says what the journal has."""


class Clock:
    """From wall-clock time to CLOCK_MONOTONIC, by the distance between the two when this was made."""

    def __init__(self) -> None:
        self._offset_ns = time.time_ns() - time.monotonic_ns()

    def mono_ns(self, wall_us: int) -> int:
        return wall_us * 1000 - self._offset_ns

    def wall_us(self, mono_ns: int) -> int:
        return (mono_ns + self._offset_ns) // 1000


def _operation_on(lab: Lab, target: str, since_us: int) -> Operation:
    """The operation on `target` that succeeded, once its onset has been abated and nothing is open any more."""
    end = time.monotonic() + _HEALING_TIMEOUT_S
    while True:
        operations = lab.operations(since_us)
        done = [known for known in operations if known.target == target and known.state is State.SUCCEEDED and known.abated_us is not None]
        if done and not any(known.open for known in operations):
            return done[0]
        if time.monotonic() > end:
            told = "; ".join(f"{known.action} of {known.target} is {known.state}, {known.message or known.reason}" for known in operations)
            raise NotHealed(f"{target}: after {_HEALING_TIMEOUT_S:g} s the loop has not healed it: {told or 'there is no operation'}")
        time.sleep(_WAIT_S)


def _failed_over(
    lab: Lab, traffic: Traffic, victim: str, killed_ns: int, clock: Clock, stages: list[Stage], tasks: list[Task] | None = None
) -> Scene:
    """The scene, once the traffic is back: what the caller knows of it, and what HA-B and the mobile node tell."""
    traffic.wait_until_it_flows()
    time.sleep(AFTER_NS / 1e9)
    told = [
        Stage(clock.mono_ns(round(event["wall"] * 1e6)), f"{event['name']} {BACKEND_TOLD.get(event['kind'], event['kind'])}", "HA-B")
        for event in lab.backend_events(clock.wall_us(killed_ns) / 1e6)
    ]
    told += _mobile_node_stages(lab.mobile_node_events(traffic.mobile_node, killed_ns))
    return _scene(
        "failover", f"{victim} dies", traffic, killed_ns, [Stage(killed_ns, f"{victim} killed", "cause"), *told, *stages], tasks or []
    )


BACKEND_TOLD = {
    "hello": "connects",
    "ready": "has all bindings",
    "adopted": "takes over",
    "stopped": "is proven dead",
    "lost": "is missed",
}
"""HA-B's event kinds in plain words."""

MOBILE_NODE_TOLD = {
    "link_up": "link is up",
    "ra_received": "router advertisement",
    "bu_sent": "Binding Update sent",
    "bound": "Binding Acknowledgement",
    "switch_received": "Home Agent Switch",
}
"""Events of the mobile node that are stages; the rest is detail."""


_PLAYBOOK_TOLD = {
    "HA-B tells what it sees": "playbook begins",
    "The successor is started": "playbook knows what to do",
    "The VF module's host is on its links, its configuration and placement are written, and the HA-PP runs": "host and HA-PP are started",
}
"""Tasks whose beginning is a stage."""


def _playbook_stages(tasks: Iterable[Task]) -> list[Stage]:
    return [Stage(task.begin_ns, _PLAYBOOK_TOLD[task.name], "playbook") for task in tasks if task.name in _PLAYBOOK_TOLD]


def _loop_stages(operation: Operation, clock: Clock) -> list[Stage]:
    return [Stage(clock.mono_ns(stage.at_us), f"operation {stage.name.replace('_', ' ')}", "loop") for stage in operation.stages]


def _mobile_node_stages(events: Iterable[dict[str, Any]]) -> list[Stage]:
    """The first event of each kind, as advertisements repeat."""
    first: dict[str, int] = {}
    for event in events:
        if event["name"] in MOBILE_NODE_TOLD:
            first.setdefault(event["name"], event["mono_ns"])
    return [Stage(at, MOBILE_NODE_TOLD[name], "mobile node") for name, at in first.items()]


def _resumed_ns(*directions: Direction) -> int:
    return max((direction.silence for direction in directions), key=lambda silence: silence.outage_ms).end_ns


def stage_figures(scene: Scene) -> dict[str, float]:
    """When each stage came, milliseconds after the cause, as figures `after_..._ms` without the names of HA-PPs."""
    named = [(_figure(stage), (stage.at_ns - scene.cause_ns) / 1e6) for stage in scene.stages if stage.source != "cause"]
    return dict(named)


def _figure(stage: Stage) -> str:
    what = stage.what.lower().partition(" ")[2] if stage.source == "HA-B" else stage.what.lower()
    return f"after_{''.join(letter if letter.isalnum() else '_' for letter in what)}_ms"


def _scene(kind: Kind, title: str, traffic: Traffic, cause_ns: int, stages: list[Stage], tasks: list[Task]) -> Scene:
    begin_ns, now_ns = cause_ns - BEFORE_NS, time.monotonic_ns()
    to, back = traffic.directions(begin_ns, now_ns)
    resumed_ns = _resumed_ns(to, back)
    end_ns = min(now_ns, resumed_ns + AFTER_NS)
    to, back = traffic.directions(begin_ns, end_ns)
    stages = [*stages, Stage(resumed_ns, "traffic is back", "packets")]
    return Scene(kind, title, begin_ns, cause_ns, end_ns, to, back, sorted(s for s in stages if begin_ns <= s.at_ns <= end_ns), tasks)
