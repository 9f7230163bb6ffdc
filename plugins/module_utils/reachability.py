# Copyright (c) 2026, The closedloop.mobility contributors
# SPDX-License-Identifier: Apache-2.0
"""Wait until echo requests from namespaces are answered: what the module closedloop.mobility.netns_reachable does."""

from __future__ import annotations

import subprocess
import time
from dataclasses import dataclass
from typing import Any

from ansible_collections.closedloop.mobility.plugins.module_utils import namespaces
from ansible_collections.closedloop.mobility.plugins.module_utils.links import plain_address
from ansible_collections.closedloop.mobility.plugins.module_utils.outcome import MobilityError, Outcome

ARGUMENT_SPEC: dict[str, Any] = {
    "paths": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "namespace": {"type": "str", "required": True},
            "to": {"type": "str", "required": True},
            "from": {"type": "str"},
        },
    },
    "timeout_ms": {"type": "int", "default": 5000},
}

ANSWER_WAIT_S = 0.25


@dataclass(frozen=True)
class Path:
    """From a namespace, perhaps with a given source address, to an address."""

    namespace: str
    to: str
    source: str

    def __str__(self) -> str:
        return f"{self.namespace}{' (' + self.source + ')' if self.source else ''} -> {self.to}"


def run(params: dict[str, Any], *, check_mode: bool) -> Outcome:
    """Raises MobilityError naming every path that did not answer in time. In check mode nothing is sent."""
    paths = [_path(entry) for entry in params["paths"]]
    started = time.monotonic()
    missing = [] if check_mode else paths
    while missing:
        missing = _silent(missing)
        if missing and time.monotonic() - started > params["timeout_ms"] / 1000:
            raise MobilityError(
                f"no answer within {params['timeout_ms']} ms: {'; '.join(str(path) for path in missing)}; "
                "look at the routes and neighbours on the way (ip netns exec NAMESPACE ip -6 route)"
            )
    return Outcome(values={"paths": [str(path) for path in paths], "waited_ms": round((time.monotonic() - started) * 1000)})


def _path(entry: dict[str, Any]) -> Path:
    where = f"paths: {entry['namespace']}"
    namespaces.path(entry["namespace"])
    source = entry.get("from")
    return Path(entry["namespace"], plain_address(f"{where}, to", entry["to"]), plain_address(f"{where}, from", source) if source else "")


def _silent(paths: list[Path]) -> list[Path]:
    """Send one echo request on each path, all at the same time, and return the paths without an answer."""
    children = []
    for path in paths:
        command = ["ping", "-6", "-n", "-q", "-c", "1", "-W", str(ANSWER_WAIT_S)]
        with namespaces.entered(path.namespace):
            children.append(
                subprocess.Popen(
                    [*command, *(["-I", path.source] if path.source else []), path.to],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                )
            )
    return [path for path, child in zip(paths, children, strict=True) if child.wait() != 0]
