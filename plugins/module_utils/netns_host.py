# Copyright (c) 2026, The closedloop.mobility contributors
# SPDX-License-Identifier: Apache-2.0
"""A host of the lab and what runs in it, in one call: its namespace, its links, files, one process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.closedloop.mobility.plugins.module_utils import file_set, links, netns, processes
from ansible_collections.closedloop.mobility.plugins.module_utils.outcome import MobilityError, Outcome

ARGUMENT_SPEC: dict[str, Any] = {
    "netns": {"type": "dict", "required": True},
    "netns_link": {"type": "dict", "required": True},
    "file_set": {"type": "dict", "required": True},
    "netns_process": {"type": "dict"},
}
_STEPS: dict[str, tuple[dict[str, Any], list[Any], Callable[..., Outcome]]] = {
    "netns": (netns.ARGUMENT_SPEC, [], netns.run),
    "netns_link": (links.ARGUMENT_SPEC, [], links.run),
    "file_set": (file_set.ARGUMENT_SPEC, [], file_set.run),
    "netns_process": (processes.ARGUMENT_SPEC, processes.REQUIRED_IF, processes.run),
}
"""In the order in which they are taken: what each one takes, and what does it."""


def run(params: dict[str, Any], *, check_mode: bool) -> Outcome:
    """Take all steps. Raises MobilityError; arguments of all steps are checked before the first is taken."""
    steps = {name: step for name, step in _STEPS.items() if params.get(name) is not None}
    checked = {name: _checked(name, params[name]) for name in steps}
    before, after, values, extra = {}, {}, {}, False
    for name, (_spec, _required_if, function) in steps.items():
        outcome = function(checked[name], check_mode=check_mode)
        before[name], after[name], values[name] = outcome.before, outcome.after, {"changed": outcome.changed, **outcome.values}
        extra = extra or outcome.extra_change
    return Outcome(before, after, values, extra)


def _checked(name: str, given: dict[str, Any]) -> dict[str, Any]:
    spec, required_if, _function = _STEPS[name]
    if name == "file_set" and any("secret" in entry for entry in given.get("files") or [] if isinstance(entry, dict)):
        raise MobilityError(
            "file_set: a secret is not for this module, which shows its arguments; write it by closedloop.mobility.file_set"
        )
    result = ArgumentSpecValidator(spec, required_if=required_if).validate(given)
    if result.error_messages:
        raise MobilityError(f"{name}: {'; '.join(result.error_messages)}")
    return dict(result.validated_parameters)
