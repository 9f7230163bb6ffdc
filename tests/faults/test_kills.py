"""kill -9 of everything, at least two hundred times: no acknowledged registration is lost, nothing has two owners, everything converges.

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

from tests.faults.lab import ROOT, Lab
from tests.faults.suite import Suite

KILLS = 200
BIRTH_KILLS = 5
SERIES = ("failover", "site", "deploy", "failover", "move", "failover", "site")
KILLS_PER_SERIES = 3
MENDED_BY_PLAYBOOK_EVERY = 18
"""So often a batch is mended by site.yml, not by the supervisor."""
LOGS = ROOT / "reports/faults/logs"
SEED = int(os.environ.get("FAULTS_SEED") or secrets.randbelow(1 << 32))


@pytest.fixture
def suite() -> Iterator[Suite]:
    shutil.rmtree(LOGS, ignore_errors=True)
    LOGS.mkdir(parents=True)
    lab = Lab(f"clf{os.getpid()}", LOGS)
    made = Suite(lab, SEED, LOGS)
    print(f"seed {SEED}; again: FAULTS_SEED={SEED} make test-faults; logs: {LOGS}")
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)  # whoever ends the run early gets it cleaned up too
    try:
        yield made
    finally:
        signal.signal(signal.SIGTERM, before)
        made.watching.stop()
        lab.keep(LOGS)
        lab.remove()


def test_two_hundred_kills_lose_no_registration_give_no_address_two_owners_and_everything_converges(suite: Suite) -> None:
    begun = time.monotonic()
    suite.born_under_kills(BIRTH_KILLS)
    suite.watching.start()
    for number, book in enumerate(SERIES):
        suite.series(book, KILLS_PER_SERIES, unchanged=number % 2 == 1)
    number = 0
    while suite.kills < KILLS:
        number += 1
        suite.batch(by_playbook=number % MENDED_BY_PLAYBOOK_EVERY == 0)
    suite.unchanged()
    seen = suite.watching.ended()

    totals = {
        "mended_by": "total",
        "seed": str(SEED),
        "total_injections": suite.injections,
        "total_kills": suite.kills,
        **{f"total_{kind.replace('-', '_')}": number for kind, number in sorted(suite.counts.items())},
        "acknowledged_registrations": suite.watching.acknowledged,
        "databases_read_after_kill": suite.durable_checks,
        "ownership_samples": seen["samples"],
        "ownership_longest_gap_ms": seen["longest_gap_ms"],
        "neighbour_solicitations": seen["probes"],
        "neighbour_answers": seen["answers"],
        "neighbour_answers_after_takeover": seen["answers_after_takeover"],
        "suite_s": round(time.monotonic() - begun, 1),
    }
    print("\n".join(f"{name:<32}{value}" for name, value in totals.items()))
    write_report("faults", [*suite.runs, totals], aims={"total_kills": at_least(KILLS, of="max")}, directory=ROOT / "reports")
    assert suite.kills >= KILLS
    assert suite.watching.acknowledged > suite.injections / 4, "handovers and restarts register"
    assert seen["samples"] > 1000
    assert seen["answers"] > seen["probes"], "most of the time somebody answers for each of the addresses"
