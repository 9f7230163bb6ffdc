"""How much `closedloop ves` takes on this machine, load generator included, into reports/ves_source/.

    python -m tests.daemons.ves.bench [--rounds 3] [--seconds 10] [--soak SECONDS]

Every event is authenticated, held against the schema, durable before its 202, and has an id of its own, over TLS. A round: single events
as fast as they are taken, batches of ten as fast as they are taken, then each at half of that rate for the latency, which counts from when
a request was due. --soak sends batches at full speed for so long and watches the listener's memory.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import json
import os
import platform
import re
import shutil
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt

from tests.daemons.ves import load
from tests.daemons.ves.listener import PASSWORD, USER, Authority, Listener

CONNECTIONS = 16
AIMS: dict[str, dict[str, Any]] = {
    "batch_events_per_s": {"of": "median", "at_least": 10_000},
    "single_events_per_s": {"of": "median", "at_least": 4_000},
    "p99_ms_at_half_load": {"of": "median", "at_most": 20},
}
UNITS = {"events_per_s": "1/s", "_us_": "us", "_ms": "ms", "_mib": "MiB"}
REPORT = Path("reports/ves_source")


class Bench:
    """Sends to one listener; numbers of events never repeat."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._first = 0

    def send(self, size: int, seconds: float, per_second: float | None = None) -> load.Outcome:
        requests = load.Requests(size, USER, PASSWORD)
        address = ("::1", self._listener.port)
        outcome = load.run(
            address,
            self._listener.tls,
            requests,
            connections=CONNECTIONS,
            seconds=seconds,
            per_second=per_second,
            first=self._first,
        )
        self._first += 10 * (len(outcome.latencies_s) + CONNECTIONS + 1) * size
        assert set(outcome.statuses) == {202}, outcome.statuses
        assert not outcome.broken, "connections ended"
        return outcome

    def round(self, seconds: float) -> dict[str, float]:
        run: dict[str, float] = {}
        for size, name in ((1, "single"), (10, "batch")):
            before = self.cpu_s()
            outcome = self.send(size, seconds)
            run[f"{name}_cpu_us_per_event"] = (self.cpu_s() - before) / len(outcome.acknowledged) * 1e6
            rate = len(outcome.acknowledged) / outcome.seconds
            run[f"{name}_events_per_s"] = rate
            half = self.send(size, seconds, rate / 2 / size)
            run[f"{name}_p99_ms_at_half_load"] = percentile(half.latencies_s, 99) * 1000
            run[f"{name}_median_ms_at_half_load"] = percentile(half.latencies_s, 50) * 1000
        run["p99_ms_at_half_load"] = max(run["single_p99_ms_at_half_load"], run["batch_p99_ms_at_half_load"])
        run["resident_mib"] = self.resident_mib()
        return run

    def cpu_s(self) -> float:
        """Of the listener alone: what it costs, however busy the machine is with other things."""
        assert self._listener.process is not None
        fields = Path(f"/proc/{self._listener.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def resident_mib(self) -> float:
        assert self._listener.process is not None
        found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{self._listener.process.pid}/status").read_text())
        assert found is not None
        return int(found[1]) / 1024

    def soak(self, seconds: float) -> list[tuple[float, float]]:
        """(seconds, MiB) about every two seconds."""
        seen = [(0.0, self.resident_mib())]
        while seen[-1][0] < seconds:
            outcome = self.send(10, 2.0)
            seen.append((seen[-1][0] + outcome.seconds, self.resident_mib()))
        return seen


def percentile(values: Sequence[float], percent: float) -> float:
    ordered = sorted(values)
    place = (len(ordered) - 1) * percent / 100
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def summary(figure: str, values: Sequence[float]) -> dict[str, Any]:
    unit = next(unit for ending, unit in UNITS.items() if ending in figure.split("_at_")[0])
    return {
        "unit": unit, "n": len(values), "min": min(values), "mean": statistics.fmean(values), "median": statistics.median(values),
        "p95": percentile(values, 95), "p99": percentile(values, 99), "max": max(values), "stdev": statistics.pstdev(values),
    }  # fmt: skip


def machine() -> dict[str, Any]:
    cpu = re.search(r"model name\s*:\s*(.*)", Path("/proc/cpuinfo").read_text())
    return {
        "cpu": cpu[1] if cpu else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_mb": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20,
        "kernel": platform.release(),
        "python": platform.python_version(),
    }


def write(report: dict[str, Any], soak: list[tuple[float, float]]) -> None:
    REPORT.mkdir(parents=True, exist_ok=True)
    (REPORT / "result.json").write_text(json.dumps(report, indent=2) + "\n")
    with (REPORT / "runs.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(report["runs"][0]))
        writer.writeheader()
        writer.writerows(report["runs"])
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
    names = ("single_events_per_s", "batch_events_per_s")
    left.bar(["one by one", "batches of ten"], [report["summary"][name]["median"] for name in names])
    left.set(ylabel="events/s", title="Authenticated, validated, durable, over TLS")
    for place, name in enumerate(names):
        left.hlines(
            AIMS[name]["at_least"], place - 0.4, place + 0.4, colors="black", linestyles="dashed", label="aim" if not place else None
        )
    left.legend()
    if soak:
        right.plot([at for at, _ in soak], [mib for _, mib in soak])
        right.set(xlabel="seconds of batches at full speed", ylabel="MiB", title="Resident memory", ylim=(0, None))
    else:
        right.boxplot([[run[f"{name}_p99_ms_at_half_load"] for run in report["runs"]] for name in ("single", "batch")])
        right.set(xticklabels=["one by one", "batches of ten"], ylabel="ms", title="p99 at half load")
    figure.savefig(REPORT / "ves_source.png", dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--soak", type=float, default=0.0, metavar="SECONDS")
    options = parser.parse_args()
    started = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    folder = Path(tempfile.mkdtemp(prefix="ves-bench-", dir=".")).absolute()
    listener = Listener(folder, Authority(folder, "operator"))
    try:
        listener.start()
        bench = Bench(listener)
        bench.send(1, 1.0)
        runs = []
        for number in range(options.rounds):
            runs.append(bench.round(options.seconds))
            print(f"round {number + 1} of {options.rounds}:", {name: round(value, 1) for name, value in runs[-1].items()}, flush=True)
        soak = bench.soak(options.soak) if options.soak else []
        if soak:
            half = soak[len(soak) // 2 :]
            runs[-1] |= {"soak_growth_mib": half[-1][1] - half[0][1]}
            for run in runs[:-1]:
                run["soak_growth_mib"] = runs[-1]["soak_growth_mib"]
    finally:
        listener.kill()
        shutil.rmtree(folder, ignore_errors=True)
    report = {
        "name": "ves_source",
        "started": started,
        "machine": machine(),
        "runs": runs,
        "summary": {figure: summary(figure, [run[figure] for run in runs]) for figure in runs[0]},
        "reference": {},
        "aims": AIMS,
    }
    write(report, soak)
    for figure, found in report["summary"].items():
        print(f"{figure:32s} median {found['median']:10.1f} {found['unit']}")


if __name__ == "__main__":
    main()
