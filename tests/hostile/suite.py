"""One run: every trap is shown to work, the loop is attacked while it reacts to honest alarms, and what was found is told as figures."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from tests.hostile import logs
from tests.hostile.events import ALARMS, Generator
from tests.hostile.findings import Findings
from tests.hostile.loop import ROOT, STATE, Loop
from tests.hostile.payloads import FAMILIES, Canaries
from tests.hostile.sender import SINGLE, Client, Sender
from tests.hostile.started import Started
from tests.hostile.traps import Traps
from tests.hostile.victims import VICTIMS

SENDERS: Final = 4
PORT: Final = 4711
CONTROLS: Final = 120
"""Attacks of each family that the positive control evaluates."""
BACKEND: Final = 300
"""Attacks on HA-B's API."""
WAVE: Final = 4
"""Honest alarms at a time."""
PATIENCE_S: Final = 300.0
TELL_S: Final = 5.0


class Stuck(Exception):
    """Something that the loop had to do has not happened."""


class Suite:
    def __init__(self, folder: Path, reports: Path, seed: int) -> None:
        self._folder, self._reports, self._seed = folder, reports, seed
        self._canaries = Canaries(folder / "canary", folder / "bin/canary", "canary.test", PORT)
        self.findings = Findings(seed)
        self._loop = Loop(reports)
        self._traps = Traps(self._canaries, [PORT])
        self._honest = Generator(self._canaries, random.Random(seed), number=10**9)
        self._client: Client = self._loop.client()
        self._progress: Callable[[], str] = lambda: ""
        self._told = time.monotonic()

    def run(self, events: int, alarms: int) -> Findings:
        """alarms: honest ones that are raised meanwhile."""
        self._bite()
        started = Started()
        expected: set[str] = set()
        try:
            self._alarms(["ha-pp-0", self._loop.serving()], honest=True)
            expected = set(started.programs)
            say(f"honest alarms start {sorted(Path(name).name for name in expected)}")
            self._attack(events, alarms)
            self._settle()
        except Stuck as stuck:
            self.findings.stuck = str(stuck)
        self._look(started, expected)
        return self.findings

    def _attack(self, events: int, alarms: int) -> None:
        senders = [
            Sender(self._loop.client(), Generator(self._canaries, random.Random(self._seed + number), number * 10**8), events // SENDERS)
            for number in range(1, SENDERS + 1)
        ]
        begun = time.monotonic()
        for sender in senders:
            sender.start()
        raised = 0
        self._progress = lambda: f"{sum(sender.accepted for sender in senders)} of {events} events, {raised} honest alarms raised"
        while raised < alarms:
            raised += WAVE
            self._alarms([self._loop.serving(), *(f"ha-pp-{raised - number}" for number in range(1, WAVE))], honest=False)
        answers = self._loop.backend().attack(self._honest.text, self._honest.chance, BACKEND)
        self.findings.backend = {str(status): count for status, count in answers.items()}
        for sender in senders:
            while sender.is_alive():
                self._tell()
                sender.join(0.1)
        self.findings.seconds = time.monotonic() - begun
        self._count(senders)

    def _bite(self) -> None:
        """The positive control: evaluated as they hope for, the attacks of each family that can be evaluated do leave canaries."""
        chance = random.Random(self._seed)
        for family in VICTIMS:
            texts = [FAMILIES[family](self._canaries, number, chance) for number in range(CONTROLS)]
            argv = [sys.executable, "-m", "tests.hostile.victims", family]
            subprocess.run(argv, input=json.dumps(texts).encode(), cwd=self._folder, capture_output=True, check=False)
            self._traps.settle()
            self.findings.bitten[family] = dict(Counter(line.split()[0] for line in self._traps.seen()))
            self._traps.forget()
            say(f"evaluated, {family} leaves {self.findings.bitten[family]}")

    def _alarms(self, targets: list[str], *, honest: bool) -> None:
        """Raise one for each, wait until the loop is done with them, clear them."""
        known = {one.request_id for one in self._loop.operations()}
        alarm = self._honest.chance.choice(ALARMS)
        self.findings.honest += targets
        for target in targets:
            self._post(self._honest.fault(target, alarm, raised=True), honest=honest)

        def done() -> bool:
            fresh = [one for one in self._loop.operations() if one.request_id not in known]
            return {one.target for one in fresh} >= set(targets) and not any(one.open for one in fresh)

        self._wait(done, f"operations for {targets} and their end")
        for target in targets:
            self._post(self._honest.fault(target, alarm, raised=False), honest=honest)

    def _post(self, event: dict[str, Any], *, honest: bool) -> None:
        status = self._client.post(SINGLE, json.dumps({"event": plain(event) if honest else event}).encode())
        assert status == 202, status

    def _count(self, senders: list[Sender]) -> None:
        answers: Counter[str] = Counter()
        for sender in senders:
            if sender.error is not None:
                raise sender.error
            answers.update({f"{kind} {status}": count for (kind, status), count in sender.statuses.items()})
        self.findings.answers = dict(sorted(answers.items()))
        self.findings.sent = sum(sender.sent for sender in senders)
        self.findings.accepted = sum(sender.accepted for sender in senders)

    def _settle(self) -> None:
        findings = self.findings
        findings.events = int(self._loop.figure("events_total"))
        self._wait(lambda: self._loop.figure("delivered_total") >= findings.events, "the rulebook's side takes all events")
        self._wait(lambda: not any(one.open for one in self._loop.operations()), "every operation ends")
        findings.delivered = int(self._loop.figure("delivered_total"))
        findings.journal_failures = self._loop.figure("journal_failures_total")

    def _look(self, started: Started, expected: set[str]) -> None:
        findings = self.findings
        self._traps.settle()
        findings.seen = self._traps.seen()
        findings.programs = dict(started.programs)
        findings.unexpected_programs = sorted(set(started.programs) - expected)
        operations = self._loop.operations()
        for one in operations:
            states = findings.operations.setdefault(one.target, {})
            states[one.state.value] = states.get(one.state.value, 0) + 1
        findings.playbooks = sum(one.attempt for one in operations)
        texts = {str(path): path.read_bytes().decode("utf-8", "surrogateescape") for path in self._loop.logs()}
        texts["closedloop operations list"] = self._loop.command("list", "--limit", "100000")
        texts["closedloop operations list --json"] = self._loop.command("list", "--limit", "100000", "--json")
        texts["closedloop operations show"] = "".join(self._loop.command("show", one.request_id) for one in operations[:20])
        texts["/metrics"] = self._loop.metrics()
        texts["/metrics of HA-B"] = self._loop.backend().ask("GET", "/metrics")[1].decode("utf-8", "surrogateescape")
        findings.log_octets = sum(len(text) for text in texts.values())
        findings.log_traces = {name: found for name, text in texts.items() if (found := logs.traces(text, self._canaries))}
        findings.file_names = logs.hostile_names([STATE, Path("/tmp"), ROOT / "reports"], self._canaries)

    def _wait(self, condition: Callable[[], bool], what: str) -> None:
        """Poll with a deadline, and tell how far the run is."""
        end = time.monotonic() + PATIENCE_S
        while not condition():
            if time.monotonic() > end:
                raise Stuck(f"not within {PATIENCE_S:.0f} s: {what}")
            self._tell()
            time.sleep(0.05)

    def _tell(self) -> None:
        if time.monotonic() > self._told + TELL_S and (progress := self._progress()):
            self._told = time.monotonic()
            say(progress)

    def keep_logs(self) -> None:
        for path in self._loop.logs():
            (self._reports / str(path.relative_to(STATE)).replace("/", "-")).write_bytes(path.read_bytes())


def plain(event: Any) -> Any:
    """The same event without attacks."""
    header, fault = event["commonEventHeader"], event["faultFields"]
    names = {"eventId": f"honest-{header['startEpochMicrosec']}", "eventName": "Fault_honest", "reportingEntityName": "ha-b"}
    kept = ("domain", "sourceName", "sequence", "startEpochMicrosec", "lastEpochMicrosec", "priority", "version", "vesEventListenerVersion")
    return {
        "commonEventHeader": {name: header[name] for name in kept} | names,
        "faultFields": {
            name: fault[name] for name in ("alarmCondition", "eventSeverity", "faultFieldsVersion", "vfStatus", "eventSourceType")
        }
        | {"specificProblem": "lost"},
    }


def say(text: str) -> None:
    print(text, flush=True)
