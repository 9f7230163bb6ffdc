"""What is done to the loop, besides what is done to functions: playbooks and keepers killed, alarms of functions that do not exist; and
which fault comes when."""

from __future__ import annotations

import os
import random
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ansible_collections.closedloop.mobility.plugins.module_utils import namespaces
from closedloop_loop.operations.model import State

from tests.faults import injections
from tests.faults.injections import Cut, Hang, Kill
from tests.faults.lab import HA_B, Service, descendants
from tests.faults.loop import journal
from tests.faults.loop.clocks import ClockStep
from tests.faults.loop.disks import DISKS, FullDisk
from tests.faults.loop.lab import RULEBOOK, RUNNER, LoopLab

KEEPER: Final = "op-keeper"
EVENTS_PORT: Final = 8443


@dataclass(frozen=True)
class KillPlaybook:
    """kill -9 of the playbook that carries out an operation, of its workers too or not, and of its keeper too or not."""

    workers: bool
    keeper: bool

    @property
    def kind(self) -> str:
        return "kill_playbook_and_keeper" if self.keeper else "kill_playbook"

    def begin(self, lab: LoopLab) -> bool:
        """At once, or as soon as one runs."""
        deadline = time.monotonic() + 2
        while (pid := _playbook(lab)) is None:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.01)
        doomed = [*(keepers(lab) if self.keeper else []), *(list(descendants(pid)) if self.workers else []), pid]
        for victim in doomed:
            with suppress(ProcessLookupError):
                os.kill(victim, signal.SIGKILL)
        return True

    def end(self, lab: LoopLab) -> None:
        """Nobody starts it again but the loop."""


@dataclass(frozen=True)
class Return:
    """kill -9 of an HA-PP whose host starts it again, while the loop is at replacing it."""

    service: Service

    kind = "kill_ha-pp_which_returns"

    def begin(self, lab: LoopLab) -> bool:
        return Kill(self.service).begin(lab)

    def end(self, lab: LoopLab) -> None:
        lab.start(self.service)


Injection = injections.Injection | KillPlaybook | Return | FullDisk | ClockStep


def _playbook(lab: LoopLab) -> int | None:
    """Process id of who carries out an operation now."""
    for operation in journal.read(lab.journal):
        if operation.state is State.RUNNING:
            pid = int(operation.actor.split(":")[2])
            return pid if Path(f"/proc/{pid}").exists() else None
    return None


def keepers(lab: LoopLab) -> list[int]:
    found = []
    for pid in namespaces.processes_inside(namespaces.identity(lab.namespace("control"))):
        with suppress(OSError):
            if Path(f"/proc/{pid}/comm").read_text(encoding="utf-8").strip() == KEEPER:
                found.append(pid)
    return found


def choose(rng: random.Random, lab: LoopLab) -> tuple[Injection, float]:
    """A fault of the loop or of who it depends on, and how long it lasts."""
    roll = rng.random()
    soon = rng.uniform(0.0, 1.0)
    if roll < 0.13:
        return Kill(RULEBOOK), soon
    if roll < 0.22:
        return Kill(RUNNER), soon
    if roll < 0.46:
        return KillPlaybook(workers=rng.random() < 0.5, keeper=rng.random() < 0.3), 0.0
    if roll < 0.60:
        return Kill(HA_B), rng.uniform(0.0, 0.4)
    if roll < 0.66:
        return Kill(Service(rng.choice(lab.mobile_nodes), "mobile-node")), rng.uniform(0.0, 0.4)
    if roll < 0.70:
        return Hang(rng.choice((RULEBOOK, RUNNER, HA_B))), rng.uniform(0.1, 2.5)
    if roll < 0.82:
        return FullDisk(rng.choice(sorted(DISKS))), rng.uniform(0.5, 4.0)
    if roll < 0.92:
        return ClockStep(rng.choice(("control", "ha-b")), rng.randint(-600, 3600)), 0.0
    return Cut(rng.choice(("ha-b", *lab.placed())), rng.choice(("silent", "reset")), EVENTS_PORT), rng.uniform(0.2, 4.0)


def alarm(source: str, number: int, begun_us: int, raised: bool) -> dict[str, Any]:
    """As HA-B tells that it is raised, or cleared a moment later."""
    header = {
        "domain": "fault",
        "eventId": f"stray-{number}",
        "eventName": "Fault_closedloop-ha-b_homeAgentLost",
        "lastEpochMicrosec": begun_us + (not raised),
        "priority": "High",
        "reportingEntityName": "ha-b",
        "sequence": int(not raised),
        "sourceName": source,
        "startEpochMicrosec": begun_us,
        "version": "4.1",
        "vesEventListenerVersion": "7.2.1",
    }
    fields = {
        "alarmCondition": "homeAgentLost",
        "eventSeverity": "CRITICAL" if raised else "NORMAL",
        "eventSourceType": "virtualMachine",
        "faultFieldsVersion": "4.0",
        "specificProblem": "Home agent packet processor does not answer",
        "vfStatus": "Idle" if raised else "Active",
    }
    return {"commonEventHeader": header, "faultFields": fields}
