"""The lab with the loop: also what the loop consists of, and when nothing is left to do for it."""

from __future__ import annotations

import errno
import os
import signal
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import yaml
from ansible_collections.closedloop.mobility.plugins.module_utils import namespaces
from ansible_collections.closedloop.mobility.plugins.module_utils.outcome import MobilityError
from closedloop_loop.operations.model import State

from tests.faults.lab import HA_B, ROOT, Lab, Service
from tests.faults.loop import clocks, disks, journal

RUNNER: Final = Service("control", "runner")
RULEBOOK: Final = Service("control", "rulebook")
LOOP: Final = (RUNNER, RULEBOOK)
STANDING: Final = 2
"""VF modules: one serves, one is its standby."""


class LoopLab(Lab):
    """Its HA-PPs are left to the loop; all else is started again by the supervisor, with the command that the record names."""

    def __init__(self, name: str, folder: Path) -> None:
        super().__init__(name, folder)
        role = yaml.safe_load((ROOT / "roles/control_loop/vars/main.yml").read_text(encoding="utf-8"))
        self._capabilities = list(role["__control_loop_capabilities"])
        self.sending: Callable[[], int] = int
        """How many requests of functions are held back, or sent again."""
        self.unheard: Callable[[], list[str]] = list
        """What was acknowledged and has led to nothing so far."""
        self._commands: dict[Service, tuple[list[str], dict[str, str]]] = {}

    @property
    def journal(self) -> Path:
        return self.state / "operations.db"

    def bring_up(self) -> None:
        """By site.yml, on small disks; then everything with a clock that can step is started again with it."""
        disks.mount(self.state)
        self.run("site", control_loop_enabled=True)
        clocks.make(self)
        for service in (*LOOP, HA_B):
            record = self.record(service)
            assert record is not None, f"{service} does not run"
            pairs = Path(f"/proc/{record.pid}/environ").read_text(encoding="utf-8").split("\0")
            self._commands[service] = record.argv, dict(pair.split("=", 1) for pair in pairs if pair)

    def supervised(self) -> list[Service]:
        return [HA_B, *LOOP, *(Service(name, "mobile-node") for name in self.mobile_nodes)]

    def start(self, service: Service) -> None:
        """A full disk may forbid it: the supervisor comes again."""
        try:
            super().start(service)
        except MobilityError as error:
            if os.strerror(errno.ENOSPC) not in str(error):
                raise

    def process(self, service: Service) -> dict[str, Any]:
        if service not in self._commands:
            return super().process(service)
        argv, environment = self._commands[service]
        changes: dict[str, Any] = {"argv": argv, "environment": environment | clocks.environment(self, service.host)}
        if service in LOOP:
            known = {"name": service.program, "directory": str(self.state / service.host), "namespace": self.namespace(service.host)}
            changes |= known | {"state": "started", "capabilities": self._capabilities, "watch": [], "grace_ms": 5000}
            return changes
        return super().process(service) | changes

    def missing(self) -> str | None:
        self.supervise()
        for service in LOOP:
            if self.record(service) is None:
                return f"{service} does not run"
        return super().missing() or self._unfinished() or "; ".join(self.unheard()) or None

    def _unfinished(self) -> str | None:
        """Of the loop's work."""
        try:
            operations = journal.read(self.journal)
        except sqlite3.Error as error:
            return f"the operations journal: {error}"
        if self.sending():
            return "events are under way"
        for operation in operations:
            if operation.open:
                return f"operation {operation.number} of {operation.target} is {operation.state}: {operation.reason} {operation.message}"
            if operation.abated_us is None:
                return f"the onset of operation {operation.number}, {operation.reason} of {operation.target}, is not abated"
        placed = self.placed()
        if len(placed) != STANDING:
            return f"{placed} are placed"
        hosts = sorted(path.name.removeprefix(f"{self.name}-") for path in namespaces.RUN_DIRECTORY.glob(f"{self.name}-ha-pp-*"))
        if hosts != sorted(placed):
            return f"there are hosts {hosts}, placed are {placed}"
        known = sorted(agent["name"] for agent in self.api("/v1/home-agents")["home_agents"])
        return None if known == sorted(placed) else f"HA-B lists {known}, placed are {placed}"

    def failed(self) -> int:
        return sum(operation.state is State.FAILED for operation in journal.read(self.journal))

    def history(self) -> str:
        """The operations, for whoever looks for the reason."""
        lines = []
        for operation in journal.read(self.journal)[-12:]:
            stages = " ".join(f"{stage.name}#{stage.attempt}@{stage.at_us / 1e6 % 10000:.2f}" for stage in operation.stages)
            lines.append(
                f"{operation.number} {operation.loop} {operation.target} {operation.state} abated={operation.abated_us is not None}"
                f" token={operation.token} {operation.reason} {operation.message}: {stages}"
            )
        return "\n".join(lines)

    def remove(self) -> None:
        for name in disks.DISKS:
            (self.state / name / disks.FILLER).unlink(missing_ok=True)
        for service in LOOP if self.state.is_dir() else ():
            self.signal(service, signal.SIGCONT)
        self._teardown()
        disks.unmount(self.state)
        super().remove()
        clocks.remove(self)

    def _teardown(self) -> None:
        """Its processes end before their disks go."""
        deadline = time.monotonic() + 10
        for path in namespaces.RUN_DIRECTORY.glob(f"{self.name}-*"):
            namespaces.end_processes(path.stat().st_ino, max(0.1, min(1.0, deadline - time.monotonic())))
