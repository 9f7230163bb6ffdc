"""Measurement reports: reports/<name>/result.json and runs.csv, as docs/schemas/result.schema.json says.

    write_report("demo", [{"lab": "cl", "failover_outage_ms": 210.4}, ...], aims={"failover_outage_ms": at_most(300)})

A run is one flat record. Its numbers are figures, and a figure's unit is the end of its name (`outage_ms`, `registrations_per_s`,
`throughput_ratio`); its texts and booleans describe the run; None stands for what could not be measured in that run. Only the standard
library is used, so whatever measures can import this. `python -m closedloop_tools.report FILE...` prints the summaries of reports and
says which aims are met.
"""

from __future__ import annotations

import csv
import io
import json
import math
import os
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from closedloop_tools.machine import describe_machine

Value = str | bool | int | float | None
Run = Mapping[str, Value]
Statistics = dict[str, str | int | float]
Aim = dict[str, str | float]

# Longest first: `_mbit_per_s` also ends in `_s`.
UNITS = (
    ("_mbit_per_s", "Mbit/s"),
    ("_gbit_per_s", "Gbit/s"),
    ("_per_s", "1/s"),
    ("_percent", "%"),
    ("_ratio", "ratio"),
    ("_bytes", "B"),
    ("_kb", "kB"),
    ("_mb", "MB"),
    ("_ns", "ns"),
    ("_us", "us"),
    ("_ms", "ms"),
    ("_s", "s"),
)


def unit_of(figure: str) -> str:
    """The unit that a figure's name ends in, before what it was measured at; `count` for a plain number such as `packets_lost`."""
    figure = figure.partition("_at_")[0]
    return next((unit for suffix, unit in UNITS if figure.endswith(suffix)), "count")


def at_most(value: float, *, of: str = "median") -> Aim:
    """An aim: the named statistic of a figure is not above `value`."""
    return {"of": of, "at_most": value}


def at_least(value: float, *, of: str = "median") -> Aim:
    """An aim: the named statistic of a figure is not below `value`."""
    return {"of": of, "at_least": value}


def published(unit: str, source: str, **statistic: float) -> Statistics:
    """A figure that somebody else measured: `published("ms", "RFC 1234, table 2", median=310)`."""
    if not statistic:
        raise ValueError(f"a published figure needs at least one statistic (median=..., max=...), source {source!r} has none")
    return {"unit": unit, "source": source, **statistic}


def summarise(figure: str, values: Sequence[float]) -> Statistics:
    """Unit, n, min, mean, median, p95, p99, max and stdev of a figure; percentiles interpolate, the deviation of one value is 0."""
    if not values:
        raise ValueError(f"figure {figure!r} has no value: leave it out, or measure it at least once")
    unusable = [value for value in values if not math.isfinite(value)]
    if unusable:
        raise ValueError(f"figure {figure!r} holds {unusable[0]!r}: a figure is a finite number; None stands for what was not measured")
    percentiles = statistics.quantiles(values, n=100, method="inclusive") if len(values) > 1 else [values[0]] * 99
    return {
        "unit": unit_of(figure),
        "n": len(values),
        "min": min(values),
        "mean": statistics.fmean(values),
        "median": statistics.median(values),
        "p95": percentiles[94],
        "p99": percentiles[98],
        "max": max(values),
        "stdev": statistics.stdev(values) if len(values) > 1 else 0.0,
    }


def figures_of(runs: Sequence[Run]) -> dict[str, list[float]]:
    """The numbers of all runs, by figure, in the order in which figures first appear."""
    figures: dict[str, list[float]] = {}
    for run in runs:
        for name, value in run.items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                figures.setdefault(name, []).append(value)
            elif value is not None and not isinstance(value, str | bool):
                raise TypeError(
                    f"run field {name!r} is a {type(value).__name__}: a run is flat, its values are numbers, texts, booleans or None"
                )
    return figures


def build_report(
    name: str,
    runs: Sequence[Run],
    *,
    reference: Mapping[str, Mapping[str, Sequence[float] | Statistics]] | None = None,
    aims: Mapping[str, Aim] | None = None,
    started: datetime | None = None,
) -> dict[str, Any]:
    """The content of result.json. `reference` is who -> figure -> values measured in the same run, or `published(...)`."""
    if not runs:
        raise ValueError(f"report {name!r} has no run")
    summary = {figure: summarise(figure, values) for figure, values in figures_of(runs).items()}
    unknown = sorted(set(aims or {}) - set(summary))
    if unknown:
        raise ValueError(f"report {name!r} aims for {unknown}, which no run measured; figures are {sorted(summary)}")
    return {
        "name": name,
        "started": (started or datetime.now(UTC)).isoformat(timespec="milliseconds"),
        "machine": describe_machine(),
        "runs": [dict(run) for run in runs],
        "summary": summary,
        "reference": {
            who: {figure: dict(what) if isinstance(what, Mapping) else summarise(figure, what) for figure, what in figures.items()}
            for who, figures in (reference or {}).items()
        },
        "aims": dict(aims or {}),
    }


def write_report(
    name: str,
    runs: Sequence[Run],
    *,
    reference: Mapping[str, Mapping[str, Sequence[float] | Statistics]] | None = None,
    aims: Mapping[str, Aim] | None = None,
    started: datetime | None = None,
    directory: Path = Path("reports"),
) -> Path:
    """Write `<directory>/<name>/result.json` and `runs.csv`, each whole or not at all; returns that folder, for the picture."""
    report = build_report(name, runs, reference=reference, aims=aims, started=started)
    folder = directory / name
    folder.mkdir(parents=True, exist_ok=True)
    _replace(folder / "runs.csv", _as_csv(report["runs"]))
    _replace(folder / "result.json", json.dumps(report, indent=2, allow_nan=False) + "\n")
    return folder


def met(aim: Aim, summary: Statistics) -> bool:
    """Whether a figure's summary reaches its aim."""
    value = float(summary[str(aim["of"])])
    return value <= float(aim["at_most"]) if "at_most" in aim else value >= float(aim["at_least"])


def render(report: Mapping[str, Any]) -> str:
    """A table for people: each figure with its median, spread, and aim."""
    lines = [f"{report['name']}, started {report['started']}, {len(report['runs'])} runs"]
    widest = max(map(len, report["summary"]), default=0) + 1
    lines.append(f"{'figure':<{widest}}{'unit':>8}{'n':>7}{'median':>12}{'p95':>12}{'max':>12}  aim")
    for figure, summary in report["summary"].items():
        numbers = "".join(f"{summary[column]:>12.4g}" for column in ("median", "p95", "max"))
        lines.append(
            f"{figure:<{widest}}{summary['unit']:>8}{summary['n']:>7}{numbers}  {_verdict(report['aims'].get(figure), summary)}".rstrip()
        )
    return "\n".join(lines)


def _verdict(aim: Aim | None, summary: Statistics) -> str:
    if aim is None:
        return ""
    bound = "at_most" if "at_most" in aim else "at_least"
    return f"{aim['of']} {bound.replace('_', ' ')} {aim[bound]}: {'met' if met(aim, summary) else 'MISSED'}"


def _as_csv(runs: Sequence[Run]) -> str:
    """All runs as CSV with the union of their columns."""
    columns = list(dict.fromkeys(column for run in runs for column in run))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(runs)
    return text.getvalue()


def _replace(file: Path, text: str) -> None:
    """Put `text` into `file` in one step; a reader sees the old content or the new one."""
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=file.parent, prefix=f".{file.name}.", delete=False) as draft:
        draft.write(text)
        draft.flush()
        os.fsync(draft.fileno())
    Path(draft.name).chmod(0o644)
    Path(draft.name).replace(file)


def main(arguments: list[str] | None = None) -> int:
    for argument in sys.argv[1:] if arguments is None else arguments:
        print(render(json.loads(Path(argument).read_text(encoding="utf-8"))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
