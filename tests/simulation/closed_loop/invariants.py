"""What must hold in a history of the closed loop, besides what holds for the functions."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import msgspec
from closedloop_loop.analytics import engine
from closedloop_loop.clock import Instant
from closedloop_loop.intake.pipeline import STATE_INTERVAL_S
from closedloop_loop.onset import request_id
from closedloop_loop.operations.model import Operation, State
from closedloop_loop.policy.model import Policy
from closedloop_loop.records import Rejected, from_event

from tests.simulation.closed_loop.policies import FAULT_LOOP, MAX_INSTANCES
from tests.simulation.closed_loop.tasks import Effect
from tests.simulation.invariants import Broken, Watch

LATE_S = 3 * STATE_INTERVAL_S
"""An event that was taken in so long ago is finished, though new ones never cease."""

if TYPE_CHECKING:
    from tests.simulation.closed_loop.history import LoopHistory


class LoopWatch(Watch):
    """Also the one who counts what actors do."""

    def __init__(self, history: LoopHistory) -> None:
        super().__init__(history)
        self._loop = history
        self._effects: set[Effect] = set()
        self._finished: dict[str, int] = {}

    # --- what actors do ----------------------------------------------------------------------------------------------

    def acted(self, effect: Effect) -> None:
        """Only the actor that holds the latest token changes the world, and for one operation at a time. While nobody has taken over from
        one that was lost to sight, it does no harm."""
        operation = self._loop.operations.operations[effect.request_id]
        if operation.token != effect.token or not operation.open:
            raise Broken(f"a late actor acts: {effect.what} with token {effect.token} of operation {operation.number}")
        running = {other.number for other in self._loop.operations.operations.values() if other.state is State.RUNNING}
        if running - {operation.number}:
            raise Broken(f"operations {sorted(running | {operation.number})} of one group act at the same time")
        self._loop.seen[f"stage {effect.what}"] += 1
        self._effects.add(effect)

    def changed(self, effect: Effect) -> None:
        """There are never more VF modules than there may be, and none is taken away that leaves too few."""
        placement = self._loop.placement
        if placement.instances > MAX_INSTANCES or (effect.what == "leave" and placement.instances < placement.wanted):
            raise Broken(f"{sorted(placement.present)} are placed: from {placement.wanted} to {MAX_INSTANCES} there may be")

    def moves(self, bindings: list[dict[str, Any]], orders: list[dict[str, Any]]) -> None:
        """Every binding is one HA-PP's, and moves once, from there."""
        owners = {row["home_address"]: row["owner"] for row in bindings}
        moved = Counter((home, order["name"]) for order in orders for home in order["home_addresses"])
        if len(owners) != len(bindings) or any(count > 1 or owners[home] != name for (home, name), count in moved.items()):
            raise Broken(f"moves {orders} of {bindings}")
        self._loop.seen["mobile nodes asked to move"] += len(moved)

    def finished(self, operation: Operation) -> None:
        """No operation succeeds twice, and none does anything afterwards."""
        if operation.state is State.SUCCEEDED:
            self._finished[operation.request_id] = self._finished.get(operation.request_id, 0) + 1
            if self._finished[operation.request_id] > 1:
                raise Broken(f"operation {operation.number} was carried out twice")

    # --- the end -----------------------------------------------------------------------------------------------------

    def converged(self) -> str | None:
        """Service is back, redundancy is restored, every operation has ended, every onset is abated, every event was delivered."""
        loop = self._loop
        placement = loop.placement
        if len(placement.present) < placement.wanted or (loop.load is None and len(placement.present) > placement.wanted):
            return f"{sorted(placement.present)} are placed, there should be {placement.wanted}"
        for host in loop.hosts:
            if host.listening and host.name not in placement.present:
                return f"{host.name} runs"
        waiting = {name: reporter.waiting for name, reporter in loop.reporters.items() if reporter.alive and reporter.waiting}
        if waiting:
            return f"events of {sorted(waiting)} wait"
        still = [operation for operation in loop.operations.operations.values() if operation.open]
        if still:
            return f"operation {still[0].number} is {still[0].state}: {still[0].reason}, {still[0].message}"
        took, since = loop.collector.took, loop.world.time - LATE_S
        if loop.collector.process is None or any(took.get(number, 0.0) < since for number in loop.intake.events):
            return "the collector has a backlog"
        lasting = loop.collector.analytics.open()
        if lasting:
            return f"the onset of {lasting[0].target} is not abated"
        unabated = [operation for operation in loop.operations.operations.values() if operation.abated_us is None]
        if unabated:
            return f"operation {unabated[0].number} was not told that its onset is abated"
        views = loop.backend.home_agents() or []
        agents = {view.name: view.state for view in views}
        if not agents.keys() <= placement.present.keys():
            return f"HA-B lists {sorted(agents)}, placed are {sorted(placement.present)}"
        ready = [name for name, state in agents.items() if state == "ready"]
        if len(ready) < len(placement.present):
            return f"only {ready} are ready"
        bound = len(loop.backend.bound() or [])
        if sum(view.bindings for view in views) != bound:
            return f"HA-B counts {[(view.name, view.bindings) for view in views]} of {bound} bindings"
        return super().converged()

    def nothing_lost(self) -> None:
        """Every fault that was acknowledged has led to its onset, under the request id that follows from the event that began it."""
        loop = self._loop
        took = loop.collector.took
        records = [(took[number], from_event(msgspec.json.decode(body))) for number, body in sorted(loop.intake.bodies.items())]
        faults = [(at, record) for at, record in records if not isinstance(record, Rejected)]
        of_faults = loop.policy.loop(FAULT_LOOP)
        assert of_faults is not None
        alone = engine.Analytics(Policy(version=1, loops=[of_faults]), Instant(0.0, 0.0))
        causes = set()
        self._frequency()
        for at, fault in faults:
            causes.add(request_id(of_faults.name, fault.source, fault.identity))
            for onset in alone.handle(fault, Instant(at, at)):
                if onset.request_id not in loop.operations.operations:
                    raise Broken(f"{onset.reason} of {fault.source} was acknowledged and no onset of it is in the journal")
        for operation in loop.operations.operations.values():
            if operation.loop == of_faults.name and operation.request_id not in causes:
                raise Broken(f"operation {operation.number} has a request id that no event gives")
        loop.seen["operations"] += len(loop.operations.operations)
        for before, after in loop.operations.transitions:
            loop.seen[f"operation {before} -> {after}"] += 1
        for operation in loop.operations.operations.values():
            loop.seen[f"operation ended {operation.state}"] += 1
            loop.seen[f"action {operation.action or 'none'}"] += 1
            if operation.guard is not None:
                loop.seen[f"denied by {operation.guard}"] += 1
            loop.seen["operations resumed"] += operation.resumptions > 0
        for verdict, count in loop.collector.answers.items():
            loop.seen[f"intake {verdict}"] += count

    def _frequency(self) -> None:
        """No loop has begun more operations than it may; where the wall clock was stepped nobody can say."""
        if self._loop.control_clock.offset:
            return
        for rules in self._loop.policy.loops:
            operations = self._loop.operations.operations.values()
            begun = sorted(one.started_us for one in operations if one.loop == rules.name and one.started_us is not None)
            for rule in rules.guards.frequency:
                pairs = zip(begun, begun[rule.operations :], strict=False)
                if any(last - first < rule.within_s * 1e6 for first, last in pairs):
                    raise Broken(f"{rules.name} has begun operations at {begun}, at most {rule.operations} in {rule.within_s} s may be")
