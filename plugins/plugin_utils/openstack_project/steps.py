# Copyright (c) 2026, The closedloop.mobility contributors
# SPDX-License-Identifier: Apache-2.0
"""What is to be done in a project: steps that name what must be done before them, and the order in which they are carried out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Ref:
    """The id of something that may not be there yet, in a step's arguments."""

    kind: str
    name: str


@dataclass(frozen=True)
class Step:
    """One call: of a module of openstack.cloud, or of a function of `own_calls` where there is no such module."""

    kind: str
    name: str
    verb: str
    call: str
    arguments: dict[str, Any]
    needs: frozenset[str] = frozenset()
    part: str = ""
    """Tells apart the steps of one thing."""

    @property
    def key(self) -> str:
        return f"{self.kind}/{self.name}" + (f"/{self.part}" if self.part else "")

    def shown(self) -> dict[str, str]:
        """Without the arguments, which may hold a secret."""
        return {"kind": self.kind, "name": self.name, "verb": self.verb}


@dataclass
class Plan:
    """What is to be done, why it cannot be, and the managed state before and after."""

    problems: list[str] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    before: dict[str, Any] = field(default_factory=dict)
    after: dict[str, Any] = field(default_factory=dict)
    undeclared: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Done:
    """What a call did. `api_s` is the time that it waited for the cloud, in requests and between them."""

    step: Step
    message: str | None
    id: str | None
    api_s: float
    wall_s: float


Ids = dict[tuple[str, str], str]


def resolved(value: Any, ids: Ids) -> Any:
    """The arguments with ids in place of references."""
    if isinstance(value, Ref):
        return ids[(value.kind, value.name)]
    if isinstance(value, dict):
        return {key: resolved(item, ids) for key, item in value.items()}
    if isinstance(value, list):
        return [resolved(item, ids) for item in value]
    return value


def carry_out(
    steps: Iterable[Step],
    ids: Ids,
    start: Callable[[Step, dict[str, Any]], None],
    wait: Callable[[], Done],
    *,
    parallel: int,
) -> list[Done]:
    """Starts each step as soon as nothing that it needs is still to be done, `parallel` at a time.

    After a failure nothing new is started; what runs is waited for. A step that is left out because of that is in no result.
    """
    waiting = list(steps)
    running: set[str] = set()
    done: list[Done] = []
    known = dict(ids)
    failed = False
    while waiting or running:
        open_keys = running | {step.key for step in waiting}
        ready = [] if failed else [step for step in waiting if not step.needs & open_keys]
        for step in ready[: max(0, parallel - len(running))]:
            start(step, resolved(step.arguments, known))
            waiting.remove(step)
            running.add(step.key)
        if not running:
            if not failed and waiting:
                raise ValueError(f"steps wait for each other: {', '.join(step.key for step in waiting)}")
            break
        ended = wait()
        running.discard(ended.step.key)
        done.append(ended)
        failed = failed or ended.message is not None
        if ended.id is not None:
            known[(ended.step.kind, ended.step.name)] = ended.id
    return done
