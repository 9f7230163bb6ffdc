# Copyright (c) 2026, The closedloop.mobility contributors
# SPDX-License-Identifier: Apache-2.0
"""One call of the module closedloop.mobility.openstack_project."""

from __future__ import annotations

import time
from typing import Any

from ansible_collections.closedloop.mobility.plugins.module_utils.openstack_connection import connected
from ansible_collections.closedloop.mobility.plugins.module_utils.outcome import MobilityError, Outcome
from ansible_collections.closedloop.mobility.plugins.plugin_utils.openstack_project import api_clock, compare, removal
from ansible_collections.closedloop.mobility.plugins.plugin_utils.openstack_project.calls import Calls
from ansible_collections.closedloop.mobility.plugins.plugin_utils.openstack_project.declaration import Declaration, problems
from ansible_collections.closedloop.mobility.plugins.plugin_utils.openstack_project.hosts import hosts
from ansible_collections.closedloop.mobility.plugins.plugin_utils.openstack_project.records import WrongDeclaration, argument_spec
from ansible_collections.closedloop.mobility.plugins.plugin_utils.openstack_project.snapshot import Snapshot, read
from ansible_collections.closedloop.mobility.plugins.plugin_utils.openstack_project.steps import Done, Plan, carry_out
from ansible_collections.closedloop.mobility.plugins.plugin_utils.openstack_project.times import times

DECLARED: dict[str, Any] = {
    name: {key: value for key, value in option.items() if key != "record"} for name, option in argument_spec(Declaration).items()
}
"""What lists hold is looked at when it is taken, which tells the field by the role's name for it."""
ARGUMENT_SPEC: dict[str, Any] = {
    **DECLARED,
    "state": {"type": "str", "default": "present", "choices": ["present", "absent"]},
    "server_timeout_s": {"type": "int", "default": 300},
    "parallel": {"type": "int", "default": 4},
}


def run(params: dict[str, Any], *, check_mode: bool) -> Outcome:
    """Reads the project, and makes the differences unless in check mode. Raises MobilityError."""
    begun = time.monotonic()
    state, timeout_s, parallel = params["state"], params["server_timeout_s"], params["parallel"]
    if parallel < 1:
        raise MobilityError(f"openstack_project_parallel is {parallel}; give 1 or more")
    declared = _declaration(params)
    with api_clock.measured() as clock:
        connection = connected(declared.cloud)
        found = read(connection, declared)
    read_wall_s, read_api_s = time.monotonic() - begun, clock.seconds
    plan = _plan(declared, found, state, timeout_s)
    if plan.problems:
        raise MobilityError("; ".join(plan.problems))
    done: list[Done] = []
    if plan.steps and not check_mode:
        calls = Calls(connection)
        done = carry_out(plan.steps, compare.ids(found, declared), calls.start, calls.wait, parallel=parallel)
        _complain(declared, plan, done)
        if state == "present":
            with api_clock.measured() as clock:
                found = read(connection, declared)
            read_api_s += clock.seconds
    return Outcome(
        before=plan.before,
        after=plan.after,
        extra_change=bool(plan.steps),
        values={
            "steps": [step.shown() for step in plan.steps],
            "undeclared": plan.undeclared,
            "hosts": hosts(declared, found) if state == "present" else [],
            "times": times(done, read_api_s=read_api_s, read_wall_s=read_wall_s, wall_s=time.monotonic() - begun),
        },
    )


def _declaration(params: dict[str, Any]) -> Declaration:
    only = ("cloud", "deployment") if params["state"] == "absent" else tuple(DECLARED)
    try:
        declared = Declaration.of({name: params[name] for name in only})
        wrong = problems(declared)
    except (WrongDeclaration, TypeError, AttributeError) as error:
        raise MobilityError(f"cloud {params['cloud']}: {error}") from None
    if wrong:
        raise MobilityError("; ".join(f"cloud {declared.cloud}: {text}" for text in wrong))
    return declared


def _plan(declared: Declaration, found: Snapshot, state: str, timeout_s: int) -> Plan:
    if state == "absent":
        return removal.remove(declared, found, server_timeout_s=timeout_s)
    return compare.compare(declared, found, server_timeout_s=timeout_s)


def _complain(declared: Declaration, plan: Plan, done: list[Done]) -> None:
    failures = [call for call in done if call.message is not None]
    if failures:
        ended = {call.step.key for call in done}
        left = sum(step.key not in ended for step in plan.steps)
        told = "; ".join(f"{call.step.kind} {call.step.name} could not be {PAST[call.step.verb]}: {call.message}" for call in failures)
        raise MobilityError(
            f"cloud {declared.cloud}: {told}. {len(done) - len(failures)} of {len(plan.steps)} steps are done and {left} were not begun; "
            "correct what the cloud says and run this again, it goes on from here"
        )


PAST = {
    "create": "made",
    "change": "changed",
    "remove": "removed",
    "attach": "attached",
    "start": "started",
    "wait for": "waited for",
}
