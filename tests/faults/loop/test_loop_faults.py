"""A thousand faults on the lab with the loop: nothing acknowledged is lost, nothing is done or owned twice, nothing is stuck.

The seed of a run is printed; FAULTS_SEED repeats what is done, though not to the microsecond when.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import time
from collections.abc import Iterator

import pytest
from closedloop_tools.report import at_least, write_report

from tests.faults.lab import ROOT
from tests.faults.loop.lab import LoopLab
from tests.faults.loop.suite import LoopSuite

INJECTIONS = 1000
ROUNDS = 16
LOGS = ROOT / "reports/loop_faults/logs"
SEED = int(os.environ.get("FAULTS_SEED") or secrets.randbelow(1 << 32))


@pytest.fixture
def suite() -> Iterator[LoopSuite]:
    shutil.rmtree(LOGS, ignore_errors=True)
    LOGS.mkdir(parents=True)
    lab = LoopLab(f"cll{os.getpid()}", LOGS)
    made = LoopSuite(lab, SEED, LOGS)
    print(f"seed {SEED}; again: FAULTS_SEED={SEED} make test-loop-faults; logs: {LOGS}")
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)  # whoever ends the run early gets it cleaned up too
    try:
        yield made
    finally:
        signal.signal(signal.SIGTERM, before)
        made.stop()
        lab.keep(LOGS)
        lab.remove()


def test_a_thousand_faults_lose_no_event_do_nothing_twice_and_leave_nothing_stuck(suite: LoopSuite) -> None:
    begun = time.monotonic()
    suite.begin()
    number = 0
    while suite.injections < INJECTIONS or number < ROUNDS:
        number += 1
        suite.round(number)
    seen = suite.ended()
    assert suite.wire is not None
    hosts, attempts = suite.hosts_made()

    totals = {
        "seed": str(SEED),
        "total_injections": suite.injections,
        **{f"total_{kind.replace('-', '_')}": count for kind, count in sorted(suite.counts.items())},
        "acknowledged_events": len(suite.wire.acknowledged),
        "claims": suite.journal.claims,
        "hosts_made": hosts,
        "attempts": attempts,
        "journal_samples": suite.journal.samples,
        "ownership_samples": seen["samples"],
        "suite_s": round(time.monotonic() - begun, 1),
    }
    print("\n".join(f"{name:<36}{value}" for name, value in totals.items()))
    write_report(
        "loop_faults", [*suite.runs, totals], aims={"total_injections": at_least(INJECTIONS, of="max")}, directory=ROOT / "reports"
    )
    assert suite.injections >= INJECTIONS
    assert 0 < hosts <= attempts, "a host for each attempt at most, and the loop has made some"
    assert suite.journal.samples > 100
    assert seen["samples"] > 1000
