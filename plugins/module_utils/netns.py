# Copyright (c) 2026, The closedloop.mobility contributors
# SPDX-License-Identifier: Apache-2.0
"""Desired state of named network namespaces: what the module closedloop.mobility.netns does."""

from __future__ import annotations

from typing import Any

from ansible_collections.closedloop.mobility.plugins.module_utils import namespaces
from ansible_collections.closedloop.mobility.plugins.module_utils.outcome import MobilityError, Outcome
from ansible_collections.closedloop.mobility.plugins.module_utils.pyroute2_library import pyroute2

ARGUMENT_SPEC: dict[str, Any] = {
    "namespaces": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {"name": {"type": "str", "required": True}, "sysctls": {"type": "dict", "default": {}}},
    },
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "grace_ms": {"type": "int", "default": 2000},
}


def run(params: dict[str, Any], *, check_mode: bool) -> Outcome:
    """Bring every namespace to the wanted state. Raises MobilityError."""
    wanted = params["namespaces"]
    names = [entry["name"] for entry in wanted]
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise MobilityError(f"namespaces: {', '.join(doubled)} is named more than once; name each namespace once")
    if params["state"] == "absent":
        return _absent(names, grace_s=params["grace_ms"] / 1000, check_mode=check_mode)
    return _present(wanted, check_mode=check_mode)


def _present(wanted: list[dict[str, Any]], *, check_mode: bool) -> Outcome:
    before: dict[str, Any] = {}
    after: dict[str, Any] = {}
    for entry in wanted:
        name = entry["name"]
        sysctls = {key: sysctl_text(value) for key, value in (entry.get("sysctls") or {}).items()}
        for key in sysctls:
            namespaces.sysctl_path(key)  # a bad name is refused before anything changes
        after[name] = {"loopback": "up", "sysctls": sysctls}
        if namespaces.exists(name):
            with namespaces.entered(name):
                found = {key: namespaces.read_sysctl(key) for key in sysctls}
                before[name] = {"loopback": "up" if _loopback_up() else "down", "sysctls": found}
    if not check_mode:
        for name, state in after.items():
            if before.get(name) != state:
                _apply(name, state["sysctls"], missing=name not in before)
    return Outcome(before, after, {"namespaces": sorted(after)})


def _apply(name: str, sysctls: dict[str, str], *, missing: bool) -> None:
    if missing:
        namespaces.create(name)
    with namespaces.entered(name):
        for key, value in sysctls.items():
            if namespaces.read_sysctl(key) != value:
                namespaces.write_sysctl(key, value)
        if not _loopback_up():
            _set_loopback_up()


def _absent(names: list[str], *, grace_s: float, check_mode: bool) -> Outcome:
    present = [name for name in names if namespaces.exists(name)]
    if not check_mode:
        for name in present:
            inode = namespaces.identity(name)
            if inode == namespaces.own_identity():
                raise MobilityError(f"namespace {name!r} is the one this task runs in: it cannot be removed; check the name")
            namespaces.end_processes(inode, grace_s)
            namespaces.remove(name)
    return Outcome({name: "present" for name in present}, {}, {"namespaces": sorted(present)})


def _loopback_up() -> bool:
    """Loopback has its address exactly while it is up."""
    table = namespaces.PROC / "thread-self/net/if_inet6"
    try:
        return any(line.split()[-1] == "lo" for line in table.read_text(encoding="ascii").splitlines())
    except FileNotFoundError as error:
        raise MobilityError(f"this kernel has no IPv6 ({table} is missing): boot one with CONFIG_IPV6") from error


def _set_loopback_up() -> None:
    with pyroute2().IPRoute() as netlink:
        netlink.link("set", index=1, state="up")


def sysctl_text(value: Any) -> str:
    """YAML's true, 1 and '1' are the same sysctl value."""
    return str(int(value)) if isinstance(value, bool) else " ".join(str(value).split())
