"""Intakes and workers on one broker and one database, each a process."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from closedloop_loop.clock import now
from closedloop_loop.operations.journal import Journal
from closedloop_loop.operations.model import Operation
from closedloop_loop.operations.store.interface import StoreError
from closedloop_loop.operations.store.open import open_store
from closedloop_tools.kafka.broker import Broker
from closedloop_tools.postgresql import Postgresql
from closedloop_tools.ves_source.listener import Listener

PATIENCE_S = 180.0
ROOT = Path(__file__).resolve().parents[3]
FAULTS = {
    "name": "failover",
    "scope": {"sources": ["*"]},
    "condition": {"kind": "fault", "alarms": ["homeAgentLost"]},
    "action": "failover",
    "guards": {"max_instances": 1000},
}
SILENCE = {**FAULTS, "name": "silent", "condition": {"kind": "heartbeat_lost", "missed": 2}}
INVENTORY = {
    "regions": [{"name": name, "capacity": 1000} for name in ("region-a", "region-b")],
    "modules": [{"name": f"ha-pp-{number}", "region": "elsewhere"} for number in range(200)],
}


def heartbeat(source: str, at_us: int, interval_s: int) -> dict[str, Any]:
    header = {
        "domain": "heartbeat",
        "eventId": f"heartbeat-{source}-{at_us}",
        "eventName": "heartbeat_HomeAgent",
        "lastEpochMicrosec": at_us,
        "priority": "Normal",
        "reportingEntityName": source,
        "sequence": 0,
        "sourceName": source,
        "startEpochMicrosec": at_us,
        "version": "4.1",
        "vesEventListenerVersion": "7.2.1",
    }
    return {"event": {"commonEventHeader": header, "heartbeatFields": {"heartbeatFieldsVersion": "3.0", "heartbeatInterval": interval_s}}}


def wait_for(condition: Callable[[], Any], what: str, patience_s: float = PATIENCE_S) -> None:
    deadline = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline, f"not in time: {what}"
        time.sleep(0.05)


class Worker:
    def __init__(self, folder: Path, arguments: dict[str, Any]) -> None:
        folder.mkdir()
        (folder / "arguments.json").write_text(json.dumps(arguments))
        self.output, self.log = folder / "output", folder / "log"
        self.output.touch()
        self._folder = folder
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "tests.daemons.loop.source_process", str(self._folder / "arguments.json"), str(self.output)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, cwd=ROOT, stderr=log)

    def pause(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def said(self, text: str) -> bool:
        return text in self.log.read_text()

    def handed_on(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.output.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]


class Bed:
    """A topic and a database of their own."""

    def __init__(self, folder: Path, broker: Broker, postgresql: Postgresql, *loops: dict[str, Any], partitions: int = 4) -> None:
        self.folder, self.broker, self.postgresql = folder, broker, postgresql
        self.topic = f"ves-{time.time_ns()}"
        broker.topic(self.topic, partitions)
        self.operations = postgresql.database()
        (folder / "policy.yml").write_text(json.dumps({"version": 1, "loops": loops or [FAULTS]}))
        (folder / "inventory.yml").write_text(json.dumps(INVENTORY))
        self.workers: list[Worker] = []
        self.intakes: list[Listener] = []

    def intake(self, **settings: Any) -> Listener:
        place = self.folder / f"intake-{len(self.intakes)}"
        place.mkdir()
        self.intakes.append(Listener(place, self.broker.authority, kafka=self.broker.arguments(self.topic), **settings))
        self.intakes[-1].start()
        return self.intakes[-1]

    def worker(self, **more: Any) -> Worker:
        arguments = {
            "kafka": self.broker.arguments(self.topic),
            "policy": str(self.folder / "policy.yml"),
            "inventory": str(self.folder / "inventory.yml"),
            "operations": self.operations,
            **more,
        }
        self.workers.append(Worker(self.folder / f"worker-{len(self.workers)}", arguments))
        self.workers[-1].start()
        return self.workers[-1]

    def found(self) -> list[Operation]:
        """Every operation of the journal; none while the database is away."""
        try:
            store = open_store(self.operations)
            try:
                return store.recent(10_000)
            finally:
                store.close()
        except StoreError:
            return []

    def accepted(self, intake: Listener, event: dict[str, Any]) -> bool:
        try:
            return intake.send(event).status == 202
        except OSError:
            return False

    def send(self, intake: Listener, event: dict[str, Any]) -> None:
        wait_for(lambda: self.accepted(intake, event), "accepted")

    def close(self) -> None:
        for worker in self.workers:
            worker.kill()
        for intake in self.intakes:
            intake.kill()


class Claimers:
    """One for each worker, as its rulebook: carries out whatever that hands on."""

    def __init__(self, bed: Bed) -> None:
        self.claimed: list[str] = []
        self._bed, self._stop = bed, threading.Event()
        self._threads = [threading.Thread(target=self._work, args=(number,)) for number in range(len(bed.workers))]

    def __enter__(self) -> Claimers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _work(self, number: int) -> None:
        seen = 0
        while not self._stop.wait(0.02):
            lines = self._bed.workers[number].handed_on()
            for place in range(seen, len(lines)):
                self._carry_out(lines[place]["onset"]["requestID"], f"claimer-{number}-{place}")
            seen = len(lines)

    def _carry_out(self, request_id: str, actor: str) -> None:
        """As a playbook does: claim, finish; once more with the same name where the database was away."""
        while not self._stop.is_set():
            try:
                store = open_store(self._bed.operations)
                try:
                    journal = Journal(store)
                    claimed = journal.claim(request_id, actor, now())
                    if isinstance(claimed, Operation):
                        self.claimed.append(request_id)
                        journal.finish(request_id, claimed.token, True, "", now())
                    return
                finally:
                    store.close()
            except StoreError:
                self._stop.wait(0.2)
