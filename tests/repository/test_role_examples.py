"""Every role has an example, and the role would take it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from tests.repository.test_layout import ROOT

SPECIFICATIONS = sorted(ROOT.glob("roles/*/meta/argument_specs.yml"))


def specification(role: str) -> dict[str, Any]:
    text = (ROOT / "roles" / role / "meta/argument_specs.yml").read_text(encoding="utf-8")
    entries: dict[str, Any] = yaml.safe_load(text)["argument_specs"]
    return entries


def included(example: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Role, entry point and variables of each task that enters a role of this collection."""
    for play in yaml.safe_load(example):
        for task in play["tasks"]:
            entered = task.get("ansible.builtin.include_role")
            if entered:
                yield entered["name"].removeprefix("closedloop.mobility."), entered.get("tasks_from", "main"), task["vars"]


@pytest.mark.parametrize("role", [file.parent.parent.name for file in SPECIFICATIONS])
def test_the_role_takes_its_example(role: str) -> None:
    examples = [entry["examples"] for entry in specification(role).values() if entry.get("examples")]
    entered = [found for example in examples for found in included(example)]
    assert role in [name for name, _, _ in entered]
    for name, entry, variables in entered:
        options = specification(name)[entry]["options"]
        outcome = ArgumentSpecValidator(options).validate(variables)
        assert outcome.error_messages == [], f"{name} {entry}"
