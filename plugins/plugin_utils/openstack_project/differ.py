# Copyright (c) 2026, The closedloop.mobility contributors
# SPDX-License-Identifier: Apache-2.0
"""One thing of the declaration held against its like in the project."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.closedloop.mobility.plugins.plugin_utils.openstack_project.declaration import Declaration
from ansible_collections.closedloop.mobility.plugins.plugin_utils.openstack_project.ownership import is_own
from ansible_collections.closedloop.mobility.plugins.plugin_utils.openstack_project.steps import Plan, Step


@dataclass
class Thing:
    """`wanted` is its managed state, `seen` gives the same of a row of the project. `fixed` cannot be changed once it is there."""

    kind: str
    name: str
    where: str
    wanted: dict[str, Any]
    seen: Callable[[dict[str, Any]], dict[str, Any]]
    create: Step
    change: Step | None = None
    fixed: Sequence[str] = ()


def hold(plan: Plan, declared: Declaration, rows: list[dict[str, Any]], thing: Thing) -> dict[str, Any] | None:
    """Adds what the thing needs to the plan. Returns its row, if it is there and the deployment's."""
    key = thing.create.key
    alike = [row for row in rows if row["name"] == thing.name]
    own = [row for row in alike if is_own(declared, thing.kind, row)]
    plan.after[key] = thing.wanted
    if alike and not own:
        plan.problems.append(
            f"cloud {declared.cloud}: {thing.where}: there is a {_words(thing.kind)} {thing.name} that deployment {declared.deployment} "
            "did not make; remove it, or choose another openstack_project_deployment"
        )
        return None
    if len(own) > 1:
        plan.problems.append(
            f"cloud {declared.cloud}: {thing.where}: there are {len(own)} {_words(thing.kind)}s {thing.name} of deployment "
            f"{declared.deployment}; run the verb absent, or remove all but one"
        )
        return None
    if not own:
        plan.steps.append(thing.create)
        return None
    row = own[0]
    before = thing.seen(row)
    plan.before[key] = before
    different = [name for name, value in thing.wanted.items() if before[name] != value]
    for name in (entry for entry in different if entry in thing.fixed):
        plan.problems.append(
            f"cloud {declared.cloud}: {thing.where}.{name} is {thing.wanted[name]!r}, and {_words(thing.kind)} {thing.name} was made "
            f"with {before[name]!r}, which cannot be changed; put it back, give it another name, or run the verb absent first"
        )
    if thing.change is not None and any(name not in thing.fixed for name in different):
        plan.steps.append(thing.change)
    return row


def _words(kind: str) -> str:
    return kind.replace("_", " ")
