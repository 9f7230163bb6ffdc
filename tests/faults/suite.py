"""The kill suite: runs injections, counts them, and holds the invariants of the design against the running lab.

- No acknowledged registration is lost: what a mobile node's event stream says was acknowledged, HA-B has, that one or a newer one. Its
  API is asked once all is well, its database is read right after it was killed.
- No address is served twice: the watcher.
- Everything converges within a bounded time.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from pathlib import Path
from typing import Any

from ansible_collections.closedloop.mobility.plugins.module_utils import namespaces, netns

from tests.faults.injections import Injection, Kill, Step, choose, moves
from tests.faults.lab import HA_B, VISITED, Lab, Service
from tests.faults.watching import Watching

CONVERGED_S = 30.0
"""Bound of convergence after a batch on a machine that does other things too; the median is far below."""


class Suite:
    """One run over one lab, from one seed."""

    def __init__(self, lab: Lab, seed: int, folder: Path) -> None:
        self.lab = lab
        self.rng = random.Random(seed)
        self.counts: Counter[str] = Counter()
        self.runs: list[dict[str, Any]] = []
        self.durable_checks = 0
        self.watching = Watching(lab, folder)
        # Seconds that a run takes which is not killed; the guesses are replaced by what is measured.
        self._durations = {"site": 10.0, "deploy": 3.5, "failover": 4.5, "move": 3.0}

    @property
    def injections(self) -> int:
        return sum(self.counts.values())

    @property
    def kills(self) -> int:
        """Those by kill -9."""
        return sum(number for kind, number in self.counts.items() if kind.startswith("kill_"))

    # --- faults and what comes after -----------------------------------------------------------------------------------

    def settle(self, what: str) -> float:
        """Everything converges and nothing acknowledged is lost; seconds it took."""
        self.watching.alive()
        try:
            seconds = self.lab.converged(CONVERGED_S)
        except AssertionError as error:
            raise AssertionError(f"after {what}: {error}") from error
        self.watching.nothing_lost()
        return seconds

    def inject(self, injection: Injection) -> None:
        if not injection.begin(self.lab):
            return
        self.counts[injection.kind] += 1
        if injection == Kill(HA_B):
            self.watching.nothing_lost_on_disk()
            self.durable_checks += 1

    def batch(self, *, by_playbook: bool) -> None:
        """A few injections at random moments under handovers. by_playbook: what was killed stays dead until site.yml starts it again."""
        rng, lab = self.rng, self.lab
        steps = [Step(at_s, lambda node=node, link=link: lab.move(node, link)) for at_s, node, link in moves(rng, lab)]
        what = []
        for _ in range(rng.choice((1, 2, 3, 3, 4))):
            injection, duration_s = choose(rng, lab)
            at_s = rng.uniform(0.0, 0.5)
            what.append(f"{injection} for {duration_s:.2f} s at {at_s:.2f} s")
            steps.append(Step(at_s, lambda injection=injection: self.inject(injection)))
            if not (by_playbook and isinstance(injection, Kill)):
                steps.append(Step(at_s + duration_s, lambda injection=injection: injection.end(lab)))
        before = self.injections
        begun = time.monotonic()
        for step in sorted(steps, key=lambda step: step.at_s):
            time.sleep(max(0.0, begun + step.at_s - time.monotonic()))
            step.do()
        if by_playbook:
            self.run("site")
        seconds = self.settle("; ".join(what))
        self._note("site.yml" if by_playbook else "supervisor", self.injections - before, seconds)

    def _note(self, mended_by: str, injections: int, seconds: float) -> None:
        print(f"{self.injections:>4} injections, mended by {mended_by}, converged in {seconds * 1000:.0f} ms", flush=True)
        self.runs.append({"mended_by": mended_by, "injections": injections, "converged_ms": round(seconds * 1000, 1)})

    # --- playbooks ---------------------------------------------------------------------------------------------------

    def run(self, book: str, **variables: Any) -> dict[str, int]:
        """To its end."""
        begun = time.monotonic()
        sums = self.lab.run(book, **variables)
        self._durations[book] = time.monotonic() - begun
        return sums

    def run_and_kill(self, book: str, disturb: Injection | None = None, **variables: Any) -> bool:
        """Begin a playbook and kill -9 it at a random moment, with or without its workers. False where it was done before.

        disturb: is injected and mended on the way.
        """
        rng = self.rng
        running = self.lab.begin(book, **variables)
        moment = running.began + rng.uniform(0.1, 1.0) * self._durations[book]
        if disturb is not None:
            time.sleep(rng.uniform(0.2, 0.8) * (moment - running.began))
            self.inject(disturb)
            disturb.end(self.lab)
        time.sleep(max(0.0, moment - time.monotonic()))
        workers = rng.random() < 0.5
        if not running.kill(workers=workers):
            self._durations[book] *= 0.9
            return False
        self.counts[f"kill_playbook_{book}"] += 1
        return True

    def born_under_kills(self, kills: int) -> None:
        """site.yml from nothing, killed again and again, comes to its end and has then nothing left to do."""
        done = 0
        while done < kills:
            done += self.run_and_kill("site")
        self.run("site")
        self.lab.converged(CONVERGED_S)
        self.unchanged()

    def unchanged(self) -> None:
        """Another run of site.yml finds nothing to do."""
        running = self.lab.begin("site")
        sums = running.wait()
        assert sums["changed"] == 0, f"site.yml changes a lab that had converged: {'; '.join(running.changes())}"

    def series(self, book: str, kills: int, *, unchanged: bool) -> None:
        """A playbook that has work to do is killed again and again; run once more it does all of it."""
        before = self.injections
        variables = self._work(book)
        done = 0
        while done < kills:
            done += self.run_and_kill(book, self._disturbance(), **variables)
        self.run(book, **variables)
        self._note(f"{book}.yml", self.injections - before, self.settle(f"{kills} kills of {book}.yml"))
        if unchanged:
            self.unchanged()

    def _work(self, book: str) -> dict[str, Any]:
        """Damage that the playbook repairs, or what it is asked for; returns its variables."""
        rng, lab = self.rng, self.lab
        if book == "move":
            node = rng.choice(lab.mobile_nodes)
            (link,) = set(VISITED) - {lab.at[node]}
            lab.at[node] = link
            return {"move_mobile_node": node, "move_link": link}
        if book == "failover":
            self.inject(Kill(Service(lab.serving(), "ha-pp")))
        elif book == "deploy":
            self._lose_host(rng.choice(lab.placed()))
        else:
            self._lose_host(rng.choice(lab.placed()))
            for service in rng.sample([HA_B, *(Service(node, "mobile-node") for node in lab.mobile_nodes)], 2):
                self.inject(Kill(service))
        return {}

    def _lose_host(self, packet_processor: str) -> None:
        """The HA-PP is killed and its whole host is gone."""
        self.inject(Kill(Service(packet_processor, "ha-pp")))
        name = self.lab.namespace(packet_processor)
        netns.run({"namespaces": [{"name": name, "sysctls": {}}], "state": "absent", "grace_ms": 500}, check_mode=False)
        assert not namespaces.exists(name)

    def _disturbance(self) -> Injection | None:
        """A function that is killed and started again while the playbook runs."""
        services = [HA_B, *(Service(node, "mobile-node") for node in self.lab.mobile_nodes)]
        return Kill(self.rng.choice(services)) if self.rng.random() < 0.4 else None
