"""One scale-out and the scale-in after it: what two mobile nodes get through one home agent and through two, and what the moved one loses.

TCP to both as fast as it goes -> UDP below the limit until the loop has scaled out, with probes 1 ms apart -> TCP to both again -> nothing
until the loop has scaled in
"""

from __future__ import annotations

import os
import time
from contextlib import ExitStack
from dataclasses import dataclass

from closedloop_loop.operations.model import Operation, State

from closedloop_tools.lab import Lab
from closedloop_tools.measure.load import Servers
from closedloop_tools.measure.runs import Record
from closedloop_tools.measure.tunnel_watch import TunnelWatch
from closedloop_tools.scenes import Clock, NotHealed, Traffic, TrafficLost

SERIES = ("cold", "standby")
MOBILE_NODES = ("mn1", "mn2")
LINK = "eth0"
"""The mobile nodes' interface."""
STEADY_MBPS = 250.0
"""To each mobile node while the loop scales out: 500 Mbit/s in all, where a home agent with a limit of 1 Gbit/s is to get help."""
_TIMEOUT_S = 90.0
_SETTLE_S = 0.5
"""The moved node's packets are watched so long after the operation has ended."""


def run(lab: Lab, series: str, number: int) -> Record:
    """The record of a run. One that fails is a record too: `failed` and `error`, without figures."""
    record: Record = {"series": series, "run": str(number), "failed": False, "load_average": round(os.getloadavg()[0], 2)}
    try:
        _wait_for_one(lab)
        with Servers(lab, MOBILE_NODES) as servers:
            before = servers.saturate()
            moved = _scaled_out(lab, servers)
            after = servers.saturate()
        _operation(lab, "scale_in", moved.ended_us)
    except (NotHealed, TrafficLost, RuntimeError, OSError) as error:
        return record | {"failed": True, "error": str(error)[:500]}
    return record | gains(before, after) | moved.figures


@dataclass(frozen=True)
class Moved:
    """What was seen of the scale-out. ended_us: when its operation ended, UNIX microseconds."""

    figures: Record
    ended_us: int


def gains(before: dict[str, float], after: dict[str, float]) -> Record:
    """For each mobile node what it got through one home agent and through two, Mbit/s, and the difference."""
    record: Record = {}
    for name in MOBILE_NODES:
        gain = after[name] - before[name]
        record |= {
            f"{name}_before_mbit_per_s": before[name],
            f"{name}_after_mbit_per_s": after[name],
            f"{name}_gain_mbps": gain,
            f"{name}_gain_percent": 100.0 * gain / before[name],
        }
    return record


def _scaled_out(lab: Lab, servers: Servers) -> Moved:
    owners = lab.owners()
    addresses = {str(agent["name"]): str(agent["address"]) for agent in lab.home_agents()}
    clock = Clock()
    begun_us = clock.wall_us(time.monotonic_ns())
    with ExitStack() as stack:
        watches = {
            name: stack.enter_context(TunnelWatch(lab.namespace(name), LINK, addresses[owners[lab.home_address(name)]]))
            for name in MOBILE_NODES
        }
        traffic = {name: stack.enter_context(Traffic(lab, name, port=9000 + 2 * place)) for place, name in enumerate(MOBILE_NODES)}
        stack.enter_context(servers.loaded(dict.fromkeys(MOBILE_NODES, STEADY_MBPS)))
        operation = _operation(lab, "scale_out", begun_us)
        time.sleep(_SETTLE_S)
        now_owners = lab.owners()
        moved = [name for name in MOBILE_NODES if now_owners[lab.home_address(name)] != owners[lab.home_address(name)]]
        if len(moved) != 1:
            raise NotHealed(f"{moved or 'no mobile node'} moved; of two equally loaded ones exactly one is expected to")
        (staying,) = (name for name in MOBILE_NODES if name not in moved)
        first_ns = watches[moved[0]].first_ns()
        if first_ns is None:
            raise NotHealed(f"{moved[0]} has got no packet through another home agent")
        traffic[moved[0]].wait_until_it_flows()
        begin_ns, end_ns = clock.mono_ns(operation.created_us), time.monotonic_ns() - 100_000_000
        directions = traffic[moved[0]].directions(begin_ns, end_ns)
    assert operation.finished_us is not None, "it has succeeded"
    figures: Record = {
        "moved": moved[0],
        "moved_lost_packets": sum(direction.lost for direction in directions),
        "moved_sent_packets": sum(direction.sent for direction in directions),
        "staying_lost_packets": sum(direction.lost for direction in traffic[staying].directions(begin_ns, end_ns)),
        "moved_silence_ms": max(direction.silence.outage_ms for direction in directions),
        "scale_out_first_packet_s": (first_ns - begin_ns) / 1e9,
        "scale_out_done_s": (operation.finished_us - operation.created_us) / 1e6,
    }
    return Moved(figures, operation.finished_us)


def _operation(lab: Lab, action: str, since_us: int) -> Operation:
    """The operation of that kind accepted since then, once it has succeeded. Raises NotHealed."""
    end = time.monotonic() + _TIMEOUT_S
    while True:
        operations = [known for known in lab.operations(since_us) if known.action == action]
        done = [known for known in operations if known.state is State.SUCCEEDED]
        if done:
            return done[0]
        if time.monotonic() > end:
            told = "; ".join(f"{known.target} is {known.state}, {known.message or known.reason}" for known in operations)
            raise NotHealed(f"no {action} within {_TIMEOUT_S:g} s: {told or 'there is no operation'}")
        time.sleep(0.05)


def _wait_for_one(lab: Lab) -> None:
    """Until one HA-PP serves all mobile nodes and no operation goes on. Raises NotHealed."""
    end = time.monotonic() + _TIMEOUT_S
    while True:
        owners = set(lab.owners().values())
        serving = [agent["name"] for agent in lab.home_agents() if agent["serving"]]
        if len(owners) == 1 and len(serving) == 1 and not lab.busy():
            return
        if time.monotonic() > end:
            raise NotHealed(
                f"after {_TIMEOUT_S:g} s {', '.join(serving)} serve, bindings are owned by {', '.join(sorted(owners)) or 'nobody'}"
            )
        time.sleep(0.1)
