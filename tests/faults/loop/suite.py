"""Rounds of faults on the lab with the loop, and what must hold while they last and after.

In each round an HA-PP is killed for good, so that the loop has work, and while it works its parts are killed, its disks are full, its clock
steps, and the network between functions and loop loses, doubles, delays, holds back and reorders events.

- No acknowledged event is lost: every alarm that was answered 202 has its operation in the journal.
- No operation runs twice: fencing tokens only grow, each operation succeeds once, and for each there is one new host.
- No address has two owners: the watcher.
- Nothing is stuck: when the faults of a round end, service, redundancy, operations and onsets are at their end within a bound.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from closedloop_loop.operations.model import State

from tests.faults.injections import Kill, Step
from tests.faults.lab import HA_B, Service
from tests.faults.loop import journal
from tests.faults.loop.injections import Injection, Return, alarm, choose
from tests.faults.loop.journal import JournalWatch
from tests.faults.loop.lab import LOOP, LoopLab
from tests.faults.loop.wire import Wire
from tests.faults.watching import Watching

SETTLED_S = 120.0
"""Bound of a round's end on a machine that does other things too."""
ROUND_S = 4.0
LEVEL = 0.5
"""Share of the requests that suffer while a round lasts."""
REPLAYS_PER_S = 12.0
STRAY = "ha-pp-stray-"
"""So begin the names of HA-PPs that nobody has: a failover of one may fail."""


class LoopSuite:
    """One run over one lab, from one seed."""

    def __init__(self, lab: LoopLab, seed: int, folder: Path) -> None:
        self.lab = lab
        self.rng = random.Random(seed)
        self._counts: Counter[str] = Counter()
        self.runs: list[dict[str, Any]] = []
        self.history: list[str] = []
        self.watching = Watching(lab, folder)
        self.journal = JournalWatch(lab.journal, lab.name)
        self.wire: Wire | None = None
        self._strays = 0

    @property
    def counts(self) -> Counter[str]:
        return self._counts + (self.wire.counts if self.wire is not None else Counter())

    @property
    def injections(self) -> int:
        return sum(self.counts.values())

    def begin(self) -> None:
        """The lab with its loop, and everything that watches it."""
        lab = self.lab
        lab.bring_up()
        source = lab.config("control", "rulebook.yml")["ves"]
        tls = lab.state / "control/tls"
        wire = self.wire = Wire(lab.namespace("control"), source["host"], source["port"], tls, random.Random(self.rng.random()))
        self.wire.start()
        lab.unheard, lab.sending = self._unheard, lambda: wire.pending
        self.watching.start()
        for service in (*LOOP, HA_B):
            self._inject(Kill(service))
        lab.supervise()
        self.journal.start()
        self._settle("the beginning")

    def stop(self) -> None:
        """Whatever happened."""
        self.journal.stop()
        if self.wire is not None:
            self.wire.stop()
        self.watching.stop()

    def round(self, number: int) -> None:
        assert self.wire is not None, "begin() comes first"
        rng, lab = self.rng, self.lab
        before = self.injections
        steps = [self._work()]
        for _ in range(rng.choice((2, 3, 3, 4))):
            injection, duration_s = choose(rng, lab)
            at_s = rng.uniform(0.0, ROUND_S)
            self._note(f"round {number}: {injection} for {duration_s:.2f} s at {at_s:.2f} s")
            steps.append(Step(at_s, lambda injection=injection: self._inject(injection)))
            steps.append(Step(at_s + duration_s, lambda injection=injection: injection.end(lab)))
        steps += [Step(rng.uniform(0.0, ROUND_S), self._stray) for _ in range(rng.choice((0, 1, 1)))]
        steps.append(Step(ROUND_S, lambda: None))
        self.wire.level, self.wire.replays_per_s = LEVEL, REPLAYS_PER_S
        begun = time.monotonic()
        for step in sorted(steps, key=lambda step: step.at_s):
            time.sleep(max(0.0, begun + step.at_s - time.monotonic()))
            step.do()
        self.wire.level = self.wire.replays_per_s = 0.0
        seconds = self._settle(f"round {number}")
        done = self.injections - before
        print(f"round {number}: {done:>4} injections, settled in {seconds:.2f} s", flush=True)
        self.runs.append({"injections": done, "settled_ms": round(seconds * 1000, 1)})

    def _work(self) -> Step:
        """An HA-PP dies: the loop has something to do."""
        rng, lab = self.rng, self.lab
        victim = Service(lab.serving() if rng.random() < 0.7 else rng.choice(lab.placed()), "ha-pp")
        if rng.random() < 0.15:
            returning = Return(victim)
            wait_s = rng.uniform(0.0, 1.5)
            self._note(f"{returning} after {wait_s:.2f} s")

            def there_and_back() -> None:
                self._inject(returning)
                time.sleep(wait_s)
                returning.end(lab)

            return Step(0.0, there_and_back)
        self._note(f"{Kill(victim)}, for good")
        return Step(rng.uniform(0.0, 1.0), lambda: self._inject(Kill(victim)))

    def _stray(self) -> None:
        """Alarms of an HA-PP that nobody has, raised and cleared, in order or not, once or twice."""
        assert self.wire is not None
        self._strays += 1
        source = f"{STRAY}{self._strays}"
        begun_us = int(time.time() * 1e6)
        events = [alarm(source, self._strays, begun_us, raised) for raised in (True, False)]
        how = self.rng.choice(("in_order", "reordered", "doubled"))
        sent = {"in_order": events, "reordered": events[::-1], "doubled": [events[0], *events, events[1]]}[how]
        self._counts[f"alarm_of_nobody_{how}"] += 1
        self.wire.send(sent)

    def _inject(self, injection: Injection) -> None:
        if injection.begin(self.lab):
            self._counts[injection.kind] += 1
            self._note(f"{injection} done")

    def _note(self, what: str) -> None:
        self.history.append(f"{time.time():.2f} {what}")

    def ended(self) -> dict[str, Any]:
        """What the watcher of addresses saw."""
        with self._told("the end"):
            return self.watching.ended()

    def _settle(self, what: str) -> float:
        with self._told(what):
            seconds = self.lab.converged(SETTLED_S)
            self._holds()
            return seconds

    @contextmanager
    def _told(self, what: str) -> Iterator[None]:
        """A failed assertion comes with the history that led to it."""
        try:
            yield
        except AssertionError as error:
            told = "\n".join(self.history)
            raise AssertionError(f"after {what}: {error}\n--- injections\n{told}\n--- operations\n{self.lab.history()}") from error

    def _unheard(self) -> list[str]:
        assert self.wire is not None
        return journal.lost(list(self.wire.acknowledged.values()), dict(self.wire.sent), journal.read(self.lab.journal))

    def _holds(self) -> None:
        assert self.wire is not None
        self.watching.alive()
        assert self.wire.problem is None, self.wire.problem
        assert self.journal.violations == [], self.journal.violations
        operations = journal.read(self.lab.journal)
        failed = [known for known in operations if known.state is State.FAILED and not known.target.startswith(STRAY)]
        assert failed == [], f"operations have failed: {[(operation.number, operation.message) for operation in failed]}"
        self.watching.nothing_lost()

    def hosts_made(self) -> tuple[int, int]:
        """Hosts of VF modules that the loop made, and operations that made some: one each at most, one more for each attempt elsewhere."""
        made = len(self.journal.hosts) - 2
        return made, sum(operation.attempt for operation in journal.read(self.lab.journal))
