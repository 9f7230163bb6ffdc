"""From the event to the operation, through kill -9 of the source: every onset is handed on, and one claims it."""

from __future__ import annotations

import http.client
import json
import random
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from closedloop_loop.clock import now
from closedloop_loop.operations.journal import Journal
from closedloop_loop.operations.model import Operation, State
from closedloop_loop.operations.store.sqlite import SqliteStore

PATIENCE_S = 60.0
ROOT = Path(__file__).resolve().parents[3]
POLICY = """
version: 1
loops:
  - name: failover
    scope: {sources: ["*"]}
    condition: {kind: fault, alarms: [homeAgentLost]}
    action: failover
    guards: {max_instances: 1000}
"""
INVENTORY = json.dumps(
    {
        "regions": [{"name": name, "capacity": 1000} for name in ("region-a", "region-b")],
        "modules": [{"name": f"ha-pp-{number}", "region": "elsewhere"} for number in range(100)],
    }
)


def wait_for(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"not in time: {what}"
        time.sleep(0.01)


def fault(number: int, *, cleared: bool = False) -> dict[str, Any]:
    """Of a source of its own."""
    begun_us = 1_700_000_000_000_000 + number
    header = {
        "domain": "fault",
        "eventId": f"fault-{number}",
        "eventName": "fault_HomeAgent_homeAgentLost",
        "lastEpochMicrosec": begun_us + cleared,
        "priority": "High",
        "reportingEntityName": "ha-b",
        "sequence": int(cleared),
        "sourceName": f"ha-pp-{number}",
        "startEpochMicrosec": begun_us,
        "version": "4.1",
        "vesEventListenerVersion": "7.2.1",
    }
    fields = {
        "alarmCondition": "homeAgentLost",
        "eventSeverity": "NORMAL" if cleared else "CRITICAL",
        "eventSourceType": "virtualMachine",
        "faultFieldsVersion": "4.0",
        "specificProblem": "lost",
        "vfStatus": "Active",
    }
    return {"event": {"commonEventHeader": header, "faultFields": fields}}


class Source:
    """Started and killed as often as a test likes."""

    def __init__(self, folder: Path) -> None:
        with socket.create_server(("::1", 0), family=socket.AF_INET6) as free:
            self.port = free.getsockname()[1]
        (folder / "policy.yml").write_text(POLICY)
        (folder / "inventory.yml").write_text(INVENTORY)
        self.placement = folder / "placement"
        self.placement.mkdir()
        self.operations = folder / "operations.db"
        self.output = folder / "output"
        self.output.touch()
        arguments = {
            "host": "::1",
            "port": self.port,
            "insecure": True,
            "journal": str(folder / "intake.db"),
            "policy": str(folder / "policy.yml"),
            "operations": str(self.operations),
            "inventory": str(folder / "inventory.yml"),
            "placement": str(self.placement),
        }
        self._arguments = folder / "arguments.json"
        self._arguments.write_text(json.dumps(arguments))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "tests.daemons.loop.source_process", str(self._arguments), str(self.output)]
        self._process = subprocess.Popen(command, cwd=ROOT)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def accepts(self, event: dict[str, Any]) -> bool:
        """Whether it has said 202."""
        connection = http.client.HTTPConnection("::1", self.port, timeout=5)
        try:
            connection.request("POST", "/eventListener/v7", json.dumps(event), {"Content-Type": "application/json"})
            return connection.getresponse().status == 202
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def send(self, event: dict[str, Any]) -> None:
        wait_for(lambda: self.accepts(event), "accepted")

    def handed_on(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.output.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]


@pytest.fixture
def source(tmp_path: Path) -> Iterator[Source]:
    source = Source(tmp_path)
    source.start()
    yield source
    source.kill()


class Claimers:
    """Two that try to carry out whatever is handed on, again and again, as rulebooks would that were started twice."""

    def __init__(self, source: Source) -> None:
        self.claimed: list[tuple[str, int]] = []
        self._source, self._stop = source, threading.Event()
        self._threads = [threading.Thread(target=self._work, args=(f"claimer-{number}",)) for number in range(2)]

    def __enter__(self) -> Claimers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _work(self, name: str) -> None:
        store = SqliteStore(self._source.operations)
        journal, seen = Journal(store), 0
        while not self._stop.is_set():
            lines = self._source.handed_on()
            for number, line in enumerate(lines[seen:], seen):
                claimed = journal.claim(line["onset"]["requestID"], f"{name}-{number}", now())
                if isinstance(claimed, Operation):
                    self.claimed.append((claimed.request_id, claimed.token))
                    assert isinstance(journal.finish(claimed.request_id, claimed.token, True, "", now()), Operation)
            seen = len(lines)
            self._stop.wait(0.005)
        store.close()


@pytest.mark.parametrize("seed", range(2))
def test_through_kills_every_onset_is_handed_on_and_claimed_exactly_once(source: Source, seed: int) -> None:
    chance = random.Random(seed)
    total, kills, stop = 40, 0, threading.Event()

    def kill_at_random() -> None:
        nonlocal kills
        while not stop.wait(chance.uniform(0.3, 2.5)):
            source.kill()
            kills += 1
            source.start()

    killer = threading.Thread(target=kill_at_random)
    with Claimers(source) as claimers:
        killer.start()
        try:
            for number in range(total):
                source.send(fault(number))
                if number % 4 == 0:
                    source.send(fault(number))  # the same once more
            wait_for(lambda: kills >= 8, "killed often")
        finally:
            stop.set()
            killer.join()
        wait_for(lambda: len(claimers.claimed) >= total, f"all claimed, {len(claimers.claimed)} of {total}")
        store = SqliteStore(source.operations)
        wait_for(lambda: not store.open(), "all done")
        found = store.recent(1000)
        store.close()
    assert len(found) == total
    assert {operation.state for operation in found} == {State.SUCCEEDED}
    assert Counter(request_id for request_id, _ in claimers.claimed) == Counter(operation.request_id for operation in found)
    assert all([stage.name for stage in operation.stages].count("started") == 1 for operation in found)
    handed = {line["onset"]["requestID"] for line in source.handed_on()}
    assert handed == {operation.request_id for operation in found}
    assert {line["operation"]["action"] for line in source.handed_on()} == {"failover"}


def test_a_broken_placement_record_makes_the_decision_wait_and_is_named(source: Source) -> None:
    broken = source.placement / "ha-pp-9.json"
    broken.write_text('{"name": "ha-pp-9"')
    source.send(fault(1))
    store = SqliteStore(source.operations)
    journal = Journal(store)
    wait_for(lambda: bool(journal.opened()), "in the journal")
    waiting = journal.opened()[0]
    assert (waiting.state, waiting.guard) == (State.DENIED, "inventory")
    assert str(broken) in waiting.reason
    assert source.handed_on() == []
    broken.unlink()
    wait_for(lambda: bool(source.handed_on()), "handed on")
    assert journal.opened()[0].state is State.PENDING
    store.close()


def test_a_cleared_fault_cancels_what_has_not_begun_and_is_not_handed_on(source: Source) -> None:
    source.send(fault(1))
    source.send(fault(2))
    wait_for(lambda: len(source.handed_on()) == 1, "the first is handed on")
    source.send(fault(2, cleared=True))
    store = SqliteStore(source.operations)
    wait_for(lambda: [known.state for known in store.recent(9)] == [State.CANCELLED, State.PENDING], "cancelled")
    assert {line["onset"]["closedLoopEventStatus"] for line in source.handed_on()} == {"ONSET"}
    store.close()
