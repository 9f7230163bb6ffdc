# Copyright (c) 2026, The closedloop.mobility contributors
# SPDX-License-Identifier: Apache-2.0
"""The module closedloop.mobility.operation: what it takes, and what it asks of the operations journal of the package closedloop_loop."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import PurePath
from typing import Any

from ansible_collections.closedloop.mobility.plugins.module_utils.outcome import MobilityError, Outcome

try:
    # Here and not where it is used: Ansible loads an action plug-in once before it forks a process for each task.
    from closedloop_loop.errors import CommandError
    from closedloop_loop.operations.actor import Actor, BadInput, parse_onset, parse_order
    from closedloop_loop.operations.model import Operation, Refused
except ImportError as error:
    MISSING = str(error)
else:
    MISSING = ""

_NAMES = {"type": "str", "required": True}
ONSET = {
    "closedLoopControlName": _NAMES,
    "requestID": _NAMES,
    "closedLoopEventStatus": {"type": "str", "required": True, "choices": ["ONSET", "ABATED"]},
    "closedLoopAlarmStart": {"type": "int", "required": True},
    "closedLoopAlarmEnd": {"type": "int"},
    "target": _NAMES,
    "targetType": {"type": "str", "choices": ["VF_MODULE", "VNF", "VM"], "default": "VF_MODULE"},
    "reason": _NAMES,
    "severity": {"type": "str"},
    "value": {"type": "float"},
    "limit": {"type": "float"},
    "aai_cloud_region_id": {"type": "str"},
    "aai_generic_vnf_vnf_name": {"type": "str"},
    "aai_vf_module_vf_module_name": {"type": "str"},
    "aai_vserver_vserver_name": {"type": "str"},
    "from": {"type": "str"},
    "version": {"type": "str"},
}
ORDER = {
    "action": {"type": "str", "required": True, "choices": ["failover", "scale_out", "scale_in", "rebalance"]},
    "target": _NAMES,
    "region": {"type": "str", "default": ""},
    "reason": {"type": "str", "default": "ordered by hand"},
}
ARGUMENT_SPEC: dict[str, Any] = {
    "journal": {"type": "str", "required": True},
    "state": {"type": "str", "required": True, "choices": ["begun", "staged", "finished"]},
    "onset": {"type": "dict", "options": ONSET},
    "order": {"type": "dict", "options": ORDER},
    "request_id": {"type": "str"},
    "token": {"type": "int", "no_log": False},
    "stage": {"type": "str"},
    "succeeded": {"type": "bool"},
    "message": {"type": "str", "default": ""},
}
FURTHER_CHECKS: dict[str, Any] = {
    "mutually_exclusive": [("onset", "order")],
    "required_if": [
        ("state", "begun", ("onset", "order"), True),
        ("state", "staged", ("request_id", "token", "stage")),
        ("state", "finished", ("request_id", "token", "succeeded")),
    ],
}


def run(params: dict[str, Any], *, check_mode: bool) -> Outcome:
    """One call of the module. Raises MobilityError."""
    if MISSING:
        raise MobilityError(f"the Python package closedloop_loop is not installed beside Ansible ({MISSING}); install loop/")
    params = _plain(params)
    journal = params["journal"]
    if "://" not in journal and not PurePath(journal).is_absolute():
        raise MobilityError(f"journal: {journal!r} is not absolute; give the path of an SQLite file, or a postgresql:// URL")
    try:
        if params["state"] == "begun":
            return _begun(journal, params, check_mode)
        return _noted(journal, params, check_mode)
    except (BadInput, CommandError) as error:
        raise MobilityError(str(error)) from None


def _begun(journal: str, params: dict[str, Any], check_mode: bool) -> Outcome:
    onset = order = None
    if params.get("onset") is not None:
        onset = parse_onset(_given(params["onset"]))
    else:
        order = parse_order(_given(params["order"]))
    with Actor(journal, _playbook(), dry=check_mode) as actor:
        answer = actor.claim(onset) if onset is not None else actor.order(order)
    if isinstance(answer, Refused):
        other = answer.operation
        if other is None:
            raise MobilityError(f"operation {params['onset']['requestID'] if onset is not None else 'ordered'}: {answer.reason}")
        if order is not None and (other.target, other.action) != (order.target, order.action):
            raise MobilityError(f"{order.action} of {order.target}: {answer.reason}; wait until that has ended")
        return Outcome(values={"begun": False, "reason": answer.reason, "operation": _told(other)})
    told = _told(answer)
    return Outcome(before={}, after=told, values={"begun": True, "reason": answer.reason, "operation": told})


def _noted(journal: str, params: dict[str, Any], check_mode: bool) -> Outcome:
    request_id, token = params["request_id"], params["token"]
    if params["state"] == "staged":
        after = {"request_id": request_id, "stage": params["stage"]}
    else:
        after = {"request_id": request_id, "succeeded": params["succeeded"], "message": params["message"]}
    if check_mode:  # what the begin of this run would have written is not there
        return Outcome(before={}, after=after)
    with Actor(journal, _playbook()) as actor:
        if params["state"] == "staged":
            answer = actor.stage(request_id, token, params["stage"])
        else:
            answer = actor.finish(request_id, token, succeeded=params["succeeded"], message=params["message"])
    if isinstance(answer, Refused):
        raise MobilityError(f"operation {request_id}: {answer.reason}")
    return Outcome(before={}, after=after, values={"operation": _told(answer)})


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """Text and numbers from Ansible are of kinds of their own, which know where they come from; the journal takes plain ones."""
    return {str(name): _plain_value(value) for name, value in values.items()}


def _plain_value(value: Any) -> Any:
    kind = next((kind for kind in (bool, str, int, float) if isinstance(value, kind)), None)
    return value if kind is None else kind(value)


def _given(values: dict[str, Any]) -> dict[str, Any]:
    """Without the fields that were left out."""
    return {name: value for name, value in _plain(values).items() if value not in (None, "")}


def _told(operation: Operation) -> dict[str, Any]:
    onset = operation.onset
    return {
        "request_id": operation.request_id,
        "token": operation.token,
        "action": operation.action,
        "target": operation.target,
        "region": operation.region or "",
        "loop": operation.loop,
        "attempt": operation.attempt,
        "resumptions": operation.resumptions,
        "state": str(operation.state),
        "alarm": onset.reason,
        "severity": onset.severity or "",
        "value": onset.value,
        "limit": onset.limit,
    }


def _playbook() -> int:
    """Process id of ansible-playbook itself: a task runs in a process forked for it."""
    parent = multiprocessing.parent_process()
    return os.getpid() if parent is None or parent.pid is None else parent.pid
