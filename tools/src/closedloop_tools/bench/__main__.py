"""Command line of the bench."""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from closedloop_tools.bench import disk, forwarding, outages, pictures, registrations
from closedloop_tools.bench.aims import aims_for
from closedloop_tools.report import Run, Statistics, Value, build_report, figures_of, render, write_report
from closedloop_tools.work import work_folder

PARTS: dict[str, Callable[[Path], list[dict[str, Value]]]] = {
    "registrations": registrations.measure,
    "forwarding": forwarding.measure,
    "failover_cold": outages.failover_cold,
    "failover_standby": outages.failover_standby,
    "failover_per_instance": outages.failover_per_instance,
    "handover": outages.handover,
}


def references(
    runs: Sequence[Run], flushes_ms: Sequence[float], single_commits_per_s: float
) -> dict[str, Mapping[str, Sequence[float] | Statistics]]:
    """What the figures are to be compared with, measured in the same run."""
    figures = figures_of(runs)
    found: dict[str, Mapping[str, Sequence[float] | Statistics]] = {}
    if "bu_ba_ms" in figures:
        found["one flush of the same disk"] = {"bu_ba_ms": flushes_ms}
        found["SQLite with a transaction per registration, nothing else"] = {"registrations_per_s": [single_commits_per_s]}
    if "tunnel_throughput_ratio" in figures:
        found["plain routing through the same namespaces"] = {
            f"tunnel_{way}_mbit_per_s": figures[f"plain_{way}_mbit_per_s"] for way in ("to_mn", "from_mn")
        }
    return found


def _measured(part: str, folder: Path) -> list[dict[str, Value]]:
    """The runs of a part; a part that breaks is a failed run, and the other parts are still measured."""
    try:
        return PARTS[part](folder)
    except Exception as error:
        traceback.print_exc()
        return [{"part": part, "failed": True, "error": str(error)}]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m closedloop_tools.bench", description="Measure the network functions and the lab.")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), help="measure these parts, into reports/bench-<parts>/")
    options = parser.parse_args()
    chosen = [part for part in PARTS if part in options.only]
    name = "bench" if len(chosen) == len(PARTS) else "-".join(["bench", *chosen])
    started = datetime.now(UTC)
    runs: list[dict[str, Value]] = []
    with work_folder("bench") as folder:
        flushes, commits = disk.flushes_ms(Path(folder)), disk.single_commits_per_s(Path(folder))
        for part in chosen:
            begun = time.monotonic()
            print(f"== {part}", flush=True)
            runs += _measured(part, Path(folder))
            print(f"   measured in {time.monotonic() - begun:.0f} s", flush=True)
    reference = references(runs, flushes, commits)
    aims = aims_for(figures_of(runs))
    name = name.replace("_", "-")
    written = write_report(name, runs, reference=reference, aims=aims, started=started)
    pictures.draw(runs, aims, written)
    print(render(build_report(name, runs, reference=reference, aims=aims, started=started)))
    failed = sum(bool(run.get("failed")) for run in runs)
    print(f"{failed} of {len(runs)} runs failed; written to {written}/")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
