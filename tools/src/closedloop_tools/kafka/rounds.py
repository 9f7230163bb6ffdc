"""How much goes through Kafka, and how soon an onset comes of it: load generator, intake, broker, workers and database on the same cores.

A round, while the workers work: batches of ten and single events as fast as they are accepted, each acknowledged when it is on the
broker's disk; then batches at half of what is aimed for, while a sender reports a fault now and then: from the moment at which it begins to
send until the onset is in the operations journal.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

import msgspec
from closedloop_loop.clock import now
from closedloop_loop.onset import Onset, request_id
from closedloop_loop.operations.journal import Journal
from closedloop_loop.operations.model import Operation
from closedloop_loop.operations.store.open import open_store
from closedloop_loop.policy.inventory import Inventory, Module, Region
from closedloop_loop.policy.model import Policy

from closedloop_tools.kafka.broker import Broker
from closedloop_tools.postgresql import Postgresql
from closedloop_tools.report import Aim, Value, at_least, at_most
from closedloop_tools.ves_source import rounds
from closedloop_tools.ves_source.listener import PASSWORD, USER, Authority, Listener

AIMED_PER_S: Final = 5_000
FAULTS_PER_S: Final = 5
WORKERS: Final = 2
PARTITIONS: Final = 4
PATIENCE_S: Final = 120.0
AIMS: dict[str, Aim] = {"batch_events_per_s": at_least(AIMED_PER_S), "source_to_onset_p99_ms": at_most(250)}


class Bed:
    """All that takes part; `close` ends it."""

    def __init__(self, folder: Path, database: Path) -> None:
        self._folder = folder
        authority = Authority(folder, "operator")
        self.broker = Broker(folder / "broker", authority)
        self.broker.start()
        self.broker.topic("ves", PARTITIONS)
        self._postgresql = Postgresql(database)
        self.operations = self._postgresql.database()
        (folder / "intake").mkdir()
        self.intake = Listener(folder / "intake", authority, kafka=self.broker.arguments("ves"))
        self.intake.start()
        self._workers: list[subprocess.Popen[bytes]] = []
        self._faults = 0

    def start_workers(self, modules: int) -> None:
        loop = {
            "name": "failover",
            "scope": {"sources": ["*"]},
            "condition": {"kind": "fault", "alarms": ["homeAgentLost"]},
            "action": "failover",
            "guards": {"max_instances": 100_000},
        }
        load = {
            **loop,
            "name": "load",
            "action": "scale_out",
            "condition": {"kind": "threshold", "figure": "cpu_percent", "above": 1000, "clear": 900, "window_s": 60},
        }
        files: dict[str, Any] = {
            "policy.yml": {"version": 1, "loops": [loop, load]},
            "inventory.yml": {
                "regions": [{"name": "region-a", "capacity": 100_000}],
                # Each in a group of its own, so that none waits for another.
                "modules": [
                    {"name": f"fault-{number:06d}", "region": "elsewhere", "group": f"group-{number}"} for number in range(modules)
                ],
            },
            "worker.json": {
                "kafka": self.broker.arguments("ves"),
                "policy": str(self._folder / "policy.yml"),
                "inventory": str(self._folder / "inventory.yml"),
                "operations": self.operations,
            },
        }
        for name, content in files.items():
            (self._folder / name).write_text(json.dumps(content))
        command = [sys.executable, "-m", "closedloop_tools.kafka.worker", str(self._folder / "worker.json")]
        self._workers = [subprocess.Popen(command) for _ in range(WORKERS)]

    def report_faults(self, count: int, per_s: float) -> subprocess.Popen[bytes]:
        """A sender in a process of its own, as the load generator is busy."""
        password = self._folder / "sender.password"
        password.touch(mode=0o600)
        password.write_text(PASSWORD)
        options = {
            "url": f"https://[::1]:{self.intake.port}",
            "ca-file": self.broker.authority.file,
            "user": USER,
            "password-file": password,
            "prefix": "fault",
            "first": self._faults,
            "count": count,
            "per-s": per_s,
            "acknowledged": self._folder / "acknowledged",
        }
        self._faults += count
        arguments = [f"--{name}={value}" for name, value in options.items()]
        return subprocess.Popen(
            [sys.executable, "-m", "closedloop_tools.ves_source.sender", "--faults", *arguments], stdout=subprocess.DEVNULL
        )

    def onsets(self, first: int) -> list[Operation]:
        """Of the faults from this number on, when all are in the journal."""
        deadline = time.monotonic() + PATIENCE_S
        store = open_store(self.operations)
        try:
            while True:
                found = [known for known in store.recent(100_000) if int(known.target.removeprefix("fault-")) >= first]
                if len(found) >= self._faults - first:
                    return found
                if time.monotonic() > deadline:
                    raise RuntimeError(f"{len(found)} onsets of {self._faults - first} faults")
                time.sleep(0.2)
        finally:
            store.close()

    def settle(self) -> None:
        """Until the workers have seen everything."""
        first = self._faults
        self.report_faults(PARTITIONS * 4, 1000.0).wait(PATIENCE_S)
        self.onsets(first)

    def faults_beside(self, load: Any, seconds: float) -> list[float]:
        """Milliseconds from source to onset while `load` runs."""
        first = self._faults
        sender = self.report_faults(round(seconds * FAULTS_PER_S), FAULTS_PER_S)
        load()
        if sender.wait(PATIENCE_S) != 0:
            raise RuntimeError("a fault was not acknowledged")
        return [(known.created_us - known.onset.alarm_start_us) / 1000 for known in self.onsets(first)]

    @property
    def cpu_s(self) -> dict[str, float]:
        """By part, since its start."""
        assert self.broker.process is not None, "it was started"
        return {
            "intake": self.intake.cpu_s,
            "broker": cpu_s(self.broker.process.pid),
            "workers": sum(cpu_s(worker.pid) for worker in self._workers),
        }

    def other_database(self) -> str:
        """Of the same server, empty."""
        return self._postgresql.database()

    def close(self) -> None:
        for worker in self._workers:
            worker.kill()
            worker.wait()
        self.intake.kill()
        self.broker.kill()
        self._postgresql.stop()


def cpu_s(process: int) -> float:
    """Of a process alone: what it costs, however busy the machine is with other things."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def operations_per_s(place: str, count: int) -> float:
    """Operations submitted, claimed and finished, one after the other: what all workers and playbooks share."""
    condition = {"kind": "fault", "alarms": ["homeAgentLost"]}
    loop = {"name": "journal", "scope": {"sources": ["*"]}, "action": "failover", "condition": condition, "guards": {"max_instances": 1000}}
    policy = msgspec.convert({"version": 1, "loops": [loop]}, Policy)
    world = Inventory(regions=[Region(name="region-a", capacity=1000)], modules=[Module(name="ha-pp-a", region="elsewhere")])
    store = open_store(place)
    try:
        journal, begun = Journal(store), time.monotonic()
        for number in range(count):
            onset = Onset(
                name="journal",
                request_id=request_id("journal", "ha-pp-a", str(number)),
                status="ONSET",
                alarm_start_us=number,
                target="ha-pp-a",
                reason="homeAgentLost",
            )
            journal.submit(policy, onset, world, now())
            claimed = journal.claim(onset.request_id, "actor", now())
            if not isinstance(claimed, Operation):
                raise RuntimeError(claimed.reason)
            journal.finish(claimed.request_id, claimed.token, True, "", now())
        return count / (time.monotonic() - begun)
    finally:
        store.close()


def measure(bed: Bed, count: int, seconds: float) -> list[dict[str, Value]]:
    bed.start_workers(modules=round(count * (seconds * FAULTS_PER_S * 2 + PARTITIONS * 16)) + 100)
    bed.settle()
    sender = rounds.Sender(bed.intake)
    sender.send("batch", 2.0)
    runs: list[dict[str, Value]] = []
    for _ in range(count):
        bed.settle()
        run: dict[str, Value] = {}
        for kind in rounds.SIZES:
            before = bed.cpu_s
            outcome = sender.send(kind, seconds)
            run[f"{kind}_events_per_s"] = len(outcome.acknowledged) / outcome.seconds
            begun = time.monotonic()
            bed.settle()
            run[f"{kind}_catch_up_s"] = time.monotonic() - begun
            for part, spent in bed.cpu_s.items():
                run[f"{kind}_{part}_cpu_per_event_us"] = (spent - before[part]) / len(outcome.acknowledged) * 1e6
        times = bed.faults_beside(lambda: sender.send("batch", 2 * seconds, AIMED_PER_S / 2), 2 * seconds)
        percentiles = statistics.quantiles(times, n=100, method="inclusive")
        run |= {"source_to_onset_median_ms": percentiles[49], "source_to_onset_p99_ms": percentiles[98], "intake_rss_mb": bed.intake.rss_mb}
        run["operations_per_s"] = operations_per_s(bed.other_database(), 200)
        runs.append(run)
        print({name: round(value, 1) for name, value in run.items() if isinstance(value, float)}, flush=True)
    return runs
