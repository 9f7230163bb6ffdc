"""reports/scaling: gains of both mobile nodes, what the moved one lost, box plots, and a page beside the published experiment."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

from closedloop_tools.measure import page, pictures, verdict
from closedloop_tools.measure.runs import Record, read
from closedloop_tools.measure.scaling import MOBILE_NODES, SERIES
from closedloop_tools.report import Aim, Statistics, at_least, at_most, figures_of, published, summarise, write_report

AIMS: dict[str, Aim] = {
    "mn1_gain_percent": at_least(95),
    "mn2_gain_percent": at_least(95),
    "moved_lost_packets": at_most(0, of="max"),
    "scale_out_first_packet_s": at_most(5),
    "standby_scale_out_first_packet_s": at_most(1),
}
PAPER = "published experiment"
_SOURCE = "20 scale-outs through ONAP, the published table"
PUBLISHED: dict[str, Statistics] = {
    "mn1_gain_mbps": published("count", _SOURCE, mean=362.1),
    "mn1_gain_percent": published("%", _SOURCE, mean=67.94),
    "mn2_gain_mbps": published("count", _SOURCE, mean=329.5),
    "mn2_gain_percent": published("%", _SOURCE, mean=65.4),
}
TITLES = {"cold": "the new home agent is deployed", "standby": "a warm standby takes the work"}


def write(folder: Path) -> Path:
    """Everything from the runs in `folder`; returns the page. Raises FileNotFoundError."""
    runs = read(folder)
    named = [_named(record) for record in runs]
    measured = figures_of(named)
    aims = {figure: aim for figure, aim in AIMS.items() if figure in measured}
    write_report("scaling", named, reference={PAPER: PUBLISHED}, aims=aims, directory=folder.parent)
    throughput = {
        f"{name}, {title}": measured[figure]
        for name in MOBILE_NODES
        for title, figure in (("one home agent", f"{name}_before_mbit_per_s"), ("two", f"{name}_after_mbit_per_s"))
        if figure in measured
    }
    if throughput:
        pictures.boxes(throughput, "TCP to the mobile node, Mbit/s", folder / "throughput.png")
    return _page(folder, runs, measured)


def _named(record: Record) -> Record:
    """The names of a standby's times say so; throughput does not depend on where the second home agent came from."""
    if record["series"] == "cold":
        return dict(record)
    return {f"standby_{name}" if name.startswith("scale_out_") else name: value for name, value in record.items()}


def _page(folder: Path, runs: Sequence[Record], measured: Mapping[str, Sequence[float]]) -> Path:
    parts: list[page.Part] = [page.Heading("Scale-out: two mobile nodes, one home agent more")]
    rows = []
    for name in MOBILE_NODES:
        for unit, figure in (("Mbit/s", f"{name}_gain_mbps"), ("%", f"{name}_gain_percent")):
            if figure in measured:
                numbers = summarise(figure, measured[figure])
                here = [f"{float(numbers[column]):.1f}" for column in ("min", "mean", "median", "max")]
                rows.append((f"{name} gains, {unit}", f"{float(PUBLISHED[figure]['mean']):.1f}", *here))
    if rows:
        parts += [
            page.Table(("", "published, mean", "min", "mean", "median", "max"), rows),
            page.Picture("throughput.png", "Throughput through one home agent and through two"),
        ]
    times = [
        (f"{what}: {TITLES[series]}", *(f"{value:.3f}" for value in (statistics.median(values), max(values))))
        for series in SERIES
        for what, figure in (
            ("alert to the first packet through it, s", "scale_out_first_packet_s"),
            ("alert to the end, s", "scale_out_done_s"),
        )
        if (values := measured.get(figure if series == "cold" else f"standby_{figure}"))
    ]
    if times:
        lost = measured["moved_lost_packets"]
        parts += [
            page.Table(("", "median", "max"), times),
            page.Text(f"Of {sum(measured['moved_sent_packets']):.0f} packets, 1 ms apart, moved mobile nodes lost {sum(lost):.0f}."),
        ]
    failures = [(str(record["series"]), str(record["run"]), str(record["error"])) for record in runs if record["failed"]]
    if failures:
        parts += [page.Heading("Runs that failed"), page.Table(("series", "run", "what was seen"), failures)]
    return page.write(folder / "index.html", "Scaling", parts)


def missed(folder: Path) -> list[str]:
    """Aims that the runs do not reach, in words."""
    runs = read(folder)
    return verdict.missed(runs, [_named(record) for record in runs], AIMS.items())
