"""Measures the event source into reports/ves_source/: rates, latency, and a soak."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from closedloop_tools.bench import disk
from closedloop_tools.report import Aim, Run, Statistics, at_least, at_most, build_report, render, write_report
from closedloop_tools.ves_source import pictures, rounds
from closedloop_tools.ves_source.soak import Soak, soak
from closedloop_tools.work import work_folder

AIMS: dict[str, Aim] = {
    **rounds.AIMS,
    "soak_rss_growth_mb": at_most(16, of="max"),
    "soak_rss_mb": at_most(300, of="max"),
    "soak_journal_mb": at_most(512, of="max"),
    "soak_events_per_s": at_least(5000),
}


def soaked(found: Soak) -> Run:
    return {
        "part": "soak",
        "soak_s": found.at_s[-1],
        "soak_events": found.events,
        "soak_event_hours": found.event_hours,
        "soak_events_per_s": found.events / found.at_s[-1],
        "soak_onsets": found.onsets,
        "soak_refused": found.refused,
        "soak_rss_mb": max(found.rss_mb),
        "soak_rss_growth_mb": found.rss_growth_mb,
        "soak_journal_mb": max(found.journal_mb),
        "soak_backlog_events": max(found.backlog_events),
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m closedloop_tools.ves_source", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--round-s", type=float, default=4.0, help="of each load of a round")
    parser.add_argument(
        "--soak-s", type=float, default=300.0, help="at least; 24 hours of events are sent in any case, unless this is under 300"
    )
    options = parser.parse_args()
    started = datetime.now(UTC)
    with work_folder("ves") as name:
        folder = Path(name)
        flushes = disk.flushes_ms(folder)
        found = rounds.measure(folder, options.rounds, options.round_s)
        print(f"== soak, {options.soak_s:g} s or more", flush=True)
        (folder / "soak").mkdir()
        endured = soak(folder / "soak", options.soak_s, event_hours=24.0 if options.soak_s >= 300 else 0.0)
    runs: list[Run] = [*found.runs, soaked(endured)]
    reference: dict[str, Mapping[str, Sequence[float] | Statistics]] = {
        "the same HTTP server over TLS, answering 202 at once": found.reference,
        "one flush of the same disk": {"p99_ms_at_half_load": flushes},
    }
    written = write_report("ves_source", runs, reference=reference, aims=AIMS, started=started)
    pictures.draw(runs, found.reference, AIMS, endured, written)
    print(render(build_report("ves_source", runs, reference=reference, aims=AIMS, started=started)))
    print(f"written to {written}/")


if __name__ == "__main__":
    main()
