# Copyright (c) 2026, The closedloop.mobility contributors
# SPDX-License-Identifier: Apache-2.0
"""What the modules home_agent_info, binding_info, home_agent and mobile_node ask of HA-B's API."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ansible_collections.closedloop.mobility.plugins.module_utils.backend_api import (
    API_ARGUMENTS,
    ApiError,
    BackendApi,
    Unreachable,
    wait_until,
)
from ansible_collections.closedloop.mobility.plugins.module_utils.links import plain_address
from ansible_collections.closedloop.mobility.plugins.module_utils.outcome import MobilityError, Outcome
from ansible_collections.closedloop.mobility.plugins.module_utils.processes import running

LAST_WORDS = 600

HOME_AGENT_INFO_ARGUMENTS: dict[str, Any] = {
    **API_ARGUMENTS,
    "name": {"type": "str"},
    "bindings": {"type": "bool", "default": False},
    "process_record": {"type": "path"},
    "wait_for": {"type": "str", "choices": ["answer", "ready", "serving", "stopped", "empty"], "default": "answer"},
    "timeout_ms": {"type": "int", "default": 10000},
}
HOME_AGENT_INFO_CHECKS: dict[str, Any] = {
    "required_if": [("wait_for", "ready", ("name",)), ("wait_for", "stopped", ("name",)), ("wait_for", "empty", ("name",))],
}

BINDING_INFO_ARGUMENTS: dict[str, Any] = {
    **API_ARGUMENTS,
    "home_address": {"type": "str"},
    "home_addresses": {"type": "list", "elements": "str"},
    "owner": {"type": "str"},
    "care_of_prefix": {"type": "str"},
    "wait_for": {"type": "str", "choices": ["answer", "bound", "unbound"], "default": "answer"},
    "timeout_ms": {"type": "int", "default": 10000},
}
BINDING_INFO_CHECKS: dict[str, Any] = {
    "required_if": [("wait_for", "unbound", ("home_address", "home_addresses"), True)],
    "mutually_exclusive": [("home_address", "home_addresses")],
}

MOVE: dict[str, Any] = {
    "name": {"type": "str", "required": True},
    "to": {"type": "str", "required": True},
    "home_addresses": {"type": "list", "elements": "str", "required": True},
    "bit_per_s": {"type": "int"},
}
HOME_AGENT_ARGUMENTS: dict[str, Any] = {
    **API_ARGUMENTS,
    "name": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["serving", "active", "switched", "fenced", "drained", "absent"], "required": True},
    "to": {"type": "str"},
    "home_addresses": {"type": "list", "elements": "str"},
    "moves": {"type": "list", "elements": "dict", "default": [], "options": MOVE},
    "previous_owner": {"type": "str", "default": ""},
    "stopped": {"type": "bool", "default": False},
}

HOME_AGENT_CHECKS: dict[str, Any] = {"required_if": [("state", "switched", ("to", "home_addresses"))]}

MOBILE_NODE_ARGUMENTS: dict[str, Any] = {
    **API_ARGUMENTS,
    "home_address": {"type": "str", "required": True},
    "spi": {"type": "int"},
    "key": {"type": "str", "no_log": True},
    "key_file": {"type": "path", "no_log": False},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
}
MOBILE_NODE_CHECKS: dict[str, Any] = {
    "required_if": [("state", "present", ("spi",)), ("state", "present", ("key", "key_file"), True)],
    "mutually_exclusive": [("key", "key_file")],
}


def home_agent_info(params: dict[str, Any], *, check_mode: bool) -> Outcome:
    """The home agents, once the condition is met. In check mode what there is at the moment, perhaps nothing."""
    name, condition = params["name"], "answer" if check_mode else params["wait_for"]
    record = Path(params["process_record"]) if params["process_record"] else None
    found: list[dict[str, Any]] = []

    def met() -> tuple[bool, str]:
        agents = api.pages("/v1/home-agents", "home_agents")
        found[:] = [agent for agent in agents if name in (None, agent["name"])]
        return _agent_condition(condition, found), _agents_text(name, found)

    def met_or_ended() -> tuple[bool, str]:
        try:
            done, text = met()
        except Unreachable:
            still_runs(record)
            raise
        if not done:
            still_runs(record)
        return done, text

    with BackendApi(params) as api:
        waited_ms = _wait(met_or_ended, params, f"home agent {name or '(any)'} {condition}", check_mode=check_mode)
        values: dict[str, Any] = {"home_agents": found, "waited_ms": waited_ms}
        if params["bindings"]:
            values["bindings"] = _bindings(api, None, name) if found else []
    return Outcome(values=values)


def still_runs(record: Path | None) -> None:
    """Raise what the process said last where it has ended: there is nothing more to wait for."""
    if record is None or running(record.parent, record.stem) is not None:
        return
    log = record.with_suffix(".log")
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-1:]
    except OSError:
        lines = []
    last = lines[0][-LAST_WORDS:] if lines else ""
    raise MobilityError(f"process {record.stem} has ended instead of getting ready; the last line of {log} is {last!r}")


def _wait(met: Any, params: dict[str, Any], what: str, *, check_mode: bool) -> int:
    try:
        return wait_until(met, 0 if check_mode else params["timeout_ms"], what)
    except ApiError:
        raise
    except MobilityError:
        if not check_mode:  # a dry run may precede HA-B
            raise
        return 0


def _agent_condition(condition: str, found: list[dict[str, Any]]) -> bool:
    match condition:
        case "ready":
            return any(agent["state"] == "ready" for agent in found)
        case "serving":
            return any(agent["state"] == "ready" and agent["role"] == "active" for agent in found)
        case "stopped":
            return all(agent["state"] == "stopped" for agent in found)
        case "empty":
            return all(agent["bindings"] == agent["lingering"] == 0 for agent in found)
        case _:
            return True


def _agents_text(name: str | None, found: list[dict[str, Any]]) -> str:
    if not found:
        return f"HA-B knows no home agent {name}; look at its log" if name else "HA-B knows no home agent yet"
    return ", ".join(
        f"{agent['name']} is {agent['state']} ({agent['role']}, {agent['bindings']} bindings, {agent['lingering']} lingering)"
        for agent in found
    )


def binding_info(params: dict[str, Any], *, check_mode: bool) -> Outcome:
    """The bindings, once the condition is met. In check mode what there is at the moment, perhaps nothing."""
    home_address = plain_address("home_address", params["home_address"]) if params["home_address"] else None
    several = None if params["home_addresses"] is None else {plain_address("home_addresses", text) for text in params["home_addresses"]}
    prefix = _prefix(params["care_of_prefix"])
    condition = "answer" if check_mode else params["wait_for"]
    found: list[dict[str, Any]] = []

    def met() -> tuple[bool, str]:
        rows = [row for row in _bindings(api, home_address, params["owner"]) if several is None or row["home_address"] in several]
        found[:] = [row for row in rows if prefix is None or ipaddress.IPv6Address(row["care_of_address"]) in prefix]
        text = ", ".join(f"{row['home_address']} at {row['care_of_address']} by {row['owner']}" for row in rows[:3]) or "no binding"
        complete = len(found) == len(several) if several and condition == "bound" else bool(found)
        return condition == "answer" or complete == (condition == "bound"), f"there is {text}"

    with BackendApi(params) as api:
        waited_ms = _wait(met, params, f"home address {home_address or _named(several)} {condition}", check_mode=check_mode)
    return Outcome(values={"bindings": found, "waited_ms": waited_ms})


def _named(addresses: set[str] | None) -> str:
    """For an error: some of them."""
    return ", ".join(sorted(addresses)[:3]) if addresses else "(any)"


def _prefix(text: str | None) -> ipaddress.IPv6Network | None:
    try:
        return ipaddress.IPv6Network(text) if text else None
    except ValueError as error:
        raise MobilityError(f"care_of_prefix {text!r} is not an IPv6 prefix ({error}); write 2001:db8:1::/64") from error


def _bindings(api: BackendApi, home_address: str | None, owner: str | None) -> list[dict[str, Any]]:
    if home_address is None:
        return api.pages("/v1/bindings", "bindings", **({"owner": owner} if owner else {}))
    try:
        row = api.get(f"/v1/bindings/{home_address}")
    except ApiError as error:
        if error.status != 404:
            raise
        return []
    return [row] if owner in (None, row["owner"]) else []


def home_agent(params: dict[str, Any], *, check_mode: bool) -> Outcome:
    """Order a home agent's state. A home agent that HA-B does not know is an error, except for `absent`.

    In check mode an unknown one may be one that the same play would have deployed: it would serve."""
    name, state = params["name"], params["state"]
    path = f"/v1/home-agents/{quote(name, safe='')}"
    with BackendApi(params) as api:
        found = _agent(api, name)
        if found is None:
            if state == "absent":
                if not check_mode:
                    _tell_gone(api, path)
                return Outcome(values={"home_agent": {}})
            if check_mode and state in ("serving", "active"):
                return Outcome({}, {"name": name, "ordered": state}, {"home_agent": {}})
            raise MobilityError(f"HA-B knows no home agent {name!r}; deploy it first, or correct the name")
        if state == "switched":
            before, after = _switch(api, params, check_mode=check_mode)
            return Outcome(before, after, {"home_agent": found})
        before, after, answer, ordered = {}, {}, found, not _already(found, state)
        if ordered:
            if not check_mode:
                _order(api, path, params)
                answer = _agent(api, name) or {}
            before = {"name": name, "state": found["state"], "role": found["role"]}
            after = {} if state == "absent" else {"name": name, "ordered": state}
        for move in params["moves"]:
            was, becomes = _switch(api, move, check_mode=check_mode)
            before, after = before | was, after | becomes
    return Outcome(before, after, {"home_agent": answer}, extra_change=ordered)


def _tell_gone(api: BackendApi, path: str) -> None:
    """HA-B tells the control loop of the end also of a home agent that has never reached it."""
    try:
        api.request("DELETE", path)
    except ApiError as error:
        if error.status != 404:
            raise


def _switch(api: BackendApi, move: dict[str, Any], *, check_mode: bool) -> tuple[dict[str, str], dict[str, str]]:
    """Ask those of the mobile nodes to move that are still bound to the home agent; who serves each before and after."""
    name, to = move["name"], move["to"]
    wanted = {plain_address("home_addresses", text) for text in move["home_addresses"]}
    moving = sorted(row["home_address"] for row in _bindings(api, None, name) if row["home_address"] in wanted)
    if moving and not check_mode:
        api.request("POST", f"/v1/home-agents/{quote(name, safe='')}/switch", {"to": to, "home_addresses": moving})
    return dict.fromkeys(moving, name), dict.fromkeys(moving, to)


def _agent(api: BackendApi, name: str) -> dict[str, Any] | None:
    return next((agent for agent in api.pages("/v1/home-agents", "home_agents") if agent["name"] == name), None)


def _already(found: dict[str, Any], state: str) -> bool:
    match state:
        case "serving":
            return bool(found["role"] == "active" and found["state"] == "ready")
        case "active":
            return bool(found["role"] == "active" and found["state"] == "ready" and not found["draining"])
        case "fenced":
            return bool(found["proof"])
        case "drained":
            return bool(found["draining"])
        case _:
            return False


def _order(api: BackendApi, path: str, params: dict[str, Any]) -> None:
    match params["state"]:
        case "serving":
            api.request("POST", f"{path}/promote", {"previous_owner": params["previous_owner"]})
        case "active":
            api.request("POST", f"{path}/activate", {})
        case "fenced":
            api.request("POST", f"{path}/fence", {"stopped": params["stopped"]})
        case "drained":
            api.request("POST", f"{path}/drain", {})
        case _:
            api.request("DELETE", path)


def mobile_node(params: dict[str, Any], *, check_mode: bool) -> Outcome:
    """Store or remove a mobile node's security association. Its key is compared by HA-B, which never shows it."""
    home_address = plain_address("home_address", params["home_address"])
    path, present = f"/v1/mobile-nodes/{home_address}", params["state"] == "present"
    body = {"security_associations": [{"spi": params["spi"], "key": _key(params, check_mode=check_mode)}]} if present else None
    values = {"home_address": home_address}
    with BackendApi(params) as api:
        try:
            found = api.get(path)
        except ApiError as error:
            if error.status != 404:
                raise
            found = None
        except MobilityError:
            if not check_mode:  # a dry run may precede HA-B
                raise
            found = None
        before = {"home_address": home_address, "spis": found["spis"]} if found else {}
        after = {"home_address": home_address, "spis": [params["spi"]]} if present else {}
        if check_mode:
            return Outcome(before, after, values)
        if present:
            answer = api.request("PUT", path, body)
            return Outcome(before, after, values, extra_change=bool(answer["changed"]))
        if found:
            api.request("DELETE", path)
    return Outcome(before, after, values)


def _key(params: dict[str, Any], *, check_mode: bool) -> str:
    if params["key"]:
        return str(params["key"])
    try:
        return Path(params["key_file"]).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        if check_mode:  # a dry run may precede the file
            return ""
        raise MobilityError(
            f"key_file {params['key_file']}: cannot be read ({type(error).__name__}); name the mobile node's key"
        ) from error
