"""The steps of the reaction playbooks, in the order of playbooks/tasks/. Plans are the collection's own (plugin_utils/)."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Final

from closedloop_nf.ha_b import commands

from tests.simulation.closed_loop.placement import REGIONS, balance_plan, failover_plan, scale_in_plan, scale_out_plan
from tests.simulation.closed_loop.tasks import Agents, Tasks, serves


def failover(tasks: Tasks) -> Generator[float]:
    failed, placement = tasks.operation.target, tasks.placement
    yield tasks.pause()
    seen = list(tasks.seen().values())
    planned = failover_plan(placement.declared, placement.files, seen, REGIONS, placement.redundancy, failed, tasks.operation.region or "")
    if not planned:
        if failed not in placement.present:
            yield from tasks.order("forget", commands.Forget(failed))
        return
    tasks.plans(planned)
    successor, standby = planned["successor"], planned["standby"]
    yield tasks.pause()
    if planned["deploy"]:
        tasks.act("deploy", lambda: placement.place(successor, replaces=failed))
        yield tasks.pause()
    if planned["ordered"]:
        yield from _ready(tasks, successor["name"])
        yield from tasks.order("hand over", commands.Promote(successor["name"], planned["owner"]))
    if planned["awaited"]:
        yield from _serving(tasks, successor["name"])
    tasks.reach("function_ready")
    yield tasks.pause()
    yield from tasks.until(f"{failed} has bindings", lambda seen: not seen.get(failed, {}).get("bindings"))
    tasks.act("remove", lambda: placement.remove(failed))
    yield tasks.pause()
    yield from tasks.order("forget", commands.Forget(failed))
    if standby:
        tasks.act("standby", lambda: placement.place(standby))
        yield tasks.pause()
        yield from _ready(tasks, standby["name"])
    if planned["abandoned"]:
        tasks.act("abandon", lambda: placement.remove(planned["abandoned"]))
        yield tasks.pause()
        yield from tasks.order("forget", commands.Forget(planned["abandoned"]))
    for module in planned["placed"]:
        tasks.act("placed", lambda module=module: placement.place(module))


def scale_out(tasks: Tasks) -> Generator[float]:
    operation, placement = tasks.operation, tasks.placement
    yield tasks.pause()
    agents, bindings = tasks.load()
    region = operation.region or ""
    planned = scale_out_plan(placement.declared, placement.files, agents, bindings, REGIONS, placement.redundancy, operation.target, region)
    tasks.plans(planned)
    added, standby = planned["added"], planned["standby"]
    yield tasks.pause()
    tasks.act("add", lambda: placement.place(added, relieves=planned["overloaded"]))
    yield tasks.pause()
    if planned["deploy"]:
        yield from _ready(tasks, added["name"])
        tasks.reach("function_ready")
        yield tasks.pause()
        agents, bindings = tasks.load()
        planned = scale_out_plan(
            placement.declared, placement.files, agents, bindings, REGIONS, placement.redundancy, operation.target, region
        )
    yield from tasks.order("activate", commands.Activate(added["name"]))
    yield from tasks.move(bindings, planned["moves"])
    tasks.reach("nodes_moved")
    if standby:
        tasks.act("standby", lambda: placement.place(standby))
        yield tasks.pause()
        yield from _ready(tasks, standby["name"])
    tasks.act("placed", lambda: placement.place(added))


def scale_in(tasks: Tasks) -> Generator[float]:
    placement = tasks.placement
    yield tasks.pause()
    agents, bindings = tasks.load()
    planned = scale_in_plan(placement.files, agents, bindings, tasks.operation.target)
    tasks.plans(planned)
    if not planned:
        return
    leaving = planned["leaving"]
    if planned["drain"]:
        yield from tasks.move(bindings, planned["moves"])
        yield from tasks.order("drain", commands.Drain(leaving))

        def empty(seen: Agents) -> bool:
            agent = seen.get(leaving)
            return agent is None or agent["bindings"] == agent["lingering"] == 0

        yield from tasks.until(f"{leaving} has bindings", empty)
        tasks.reach("nodes_moved")
    tasks.act("leave", lambda: placement.leave(leaving))
    yield tasks.pause()
    yield from tasks.order("forget", commands.Forget(leaving))
    tasks.act("gone", lambda: placement.gone(leaving))


def rebalance(tasks: Tasks) -> Generator[float]:
    yield tasks.pause()
    agents, bindings = tasks.load()
    moves = balance_plan(bindings, agents)
    tasks.plans(moves)
    yield from tasks.move(bindings, moves)


def _ready(tasks: Tasks, name: str) -> Generator[float]:
    return tasks.until(f"{name} is not ready", lambda seen: seen.get(name, {}).get("state") == "ready")


def _serving(tasks: Tasks, name: str) -> Generator[float]:
    return tasks.until(f"{name} does not serve", lambda seen: serves(seen.get(name, {})))


REACTIONS: Final[dict[str, Callable[[Tasks], Generator[float]]]] = {
    "failover": failover,
    "scale_out": scale_out,
    "scale_in": scale_in,
    "rebalance": rebalance,
}
