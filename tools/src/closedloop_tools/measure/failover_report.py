"""reports/failover: figures of all runs, box plots, the stages as a waterfall, and a page beside the published experiment."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path

from closedloop_tools.measure import page, pictures, repair, verdict
from closedloop_tools.measure.failover import SERIES, STAGES
from closedloop_tools.measure.runs import Record, read
from closedloop_tools.report import Aim, Statistics, at_most, figures_of, published, write_report

AIMS: dict[str, Aim] = {
    "service_outage_s": at_most(1.5),
    "standby_service_outage_s": at_most(0.3),
}
PAPER = "published experiment"
PUBLISHED: Statistics = published(
    "s", "100 failovers through ONAP, the published table", min=58.83, mean=106.26, median=103.92, max=210.19, stdev=30.42
)
TITLES = {
    "loop": "the loop, cold",
    "standby": "the loop, warm standby",
    "without_warm_runner": "the loop without the warm runner, cold",
    "by_hand": "the playbook typed at the moment of failure, cold",
}
WHAT = {
    "detection_ms": "HA-B misses the home agent",
    "accepted_ms": "the event source has its VES event on the disk",
    "onset_ms": "analytics has decided: the onset is in the journal",
    "rule_matched_ms": "the rulebook's rule has matched",
    "first_task_ms": "the playbook has claimed the operation",
    "function_ready_ms": "the new home agent is ready",
    "first_bu_ms": "the mobile node sends its Binding Update",
    "first_packet_ms": "packets go both ways again",
}


def write(folder: Path) -> Path:
    """Everything from the runs in `folder`; returns the page. Raises FileNotFoundError."""
    runs = read(folder)
    named = [_named(record) for record in runs]
    by_series = {series: [record for record in runs if record["series"] == series] for series in SERIES}
    reference: dict[str, dict[str, Sequence[float] | Statistics]] = {PAPER: {"service_outage_s": PUBLISHED}}
    for series in ("without_warm_runner", "by_hand"):
        measured = figures_of([_figures(record) for record in by_series[series]])
        if measured:
            reference[TITLES[series]] = dict(measured)
    measured_figures = figures_of(named)
    aims = {name: aim for name, aim in AIMS.items() if name in measured_figures}
    write_report("failover", named, reference=reference, aims=aims, directory=folder.parent)
    outages = {TITLES[series]: _values(records, "service_outage_s") for series, records in by_series.items()}
    pictures.boxes({title: values for title, values in outages.items() if values}, "traffic gone, s", folder / "outages.png")
    waterfall = {name: statistics.median(values) for name in STAGES if (values := _values(by_series["loop"], name))}
    if waterfall:
        pictures.waterfall(
            [(WHAT[name], ms) for name, ms in waterfall.items()], "ms after the home agent was killed, medians", folder / "stages.png"
        )
    return _page(folder, by_series, waterfall)


def _named(record: Record) -> Record:
    """The loop's figures by their own names, those of another series with its name before."""
    series = str(record["series"])
    figures = _figures(record)
    return {name: value for name, value in record.items() if name not in figures} | {
        name if series == "loop" else f"{series}_{name}": value for name, value in figures.items()
    }


def _figures(record: Record) -> Record:
    return {
        name: value
        for name, value in record.items()
        if name in STAGES or name in ("service_outage_s", "redundancy_restored_s", "packets_sent", "packets_lost")
    }


def _values(records: Sequence[Record], figure: str) -> list[float]:
    return [float(value) for record in records if (value := record.get(figure)) is not None]


def _page(folder: Path, by_series: dict[str, list[Record]], waterfall: dict[str, float]) -> Path:
    head = ("traffic gone, s", "runs", "failed", "min", "mean", "median", "max", "stdev")
    rows = [
        (PAPER, "100", "", *(f"{float(PUBLISHED[column]):.2f}" for column in ("min", "mean", "median", "max", "stdev"))),
        *(_row(TITLES[series], records) for series, records in by_series.items() if records),
    ]
    main = _values(by_series["loop"], "service_outage_s")
    parts: list[page.Part] = [page.Heading("Failover: a home agent dies and nobody does anything")]
    if main:
        faster = float(PUBLISHED["median"]) / statistics.median(main)
        parts.append(
            page.Text(
                f"In {len(main)} runs the mobile node's traffic was gone for a median of {statistics.median(main):.2f} s, "
                f"{faster:.0f} times less than in the published experiment, and for {max(main):.2f} s at most."
            )
        )
    parts += [page.Table(head, rows), page.Picture("outages.png", "Outages of all runs")]
    if waterfall:
        parts += [
            page.Picture("stages.png", "What happens when"),
            page.Table(("stage", "median, ms after the failure"), [(WHAT[name], f"{ms:.0f}") for name, ms in waterfall.items()]),
        ]
    if main:
        parts += repair.parts(statistics.fmean(main), folder)
    failures = [record for records in by_series.values() for record in records if record["failed"]]
    if failures:
        lines = [(TITLES[str(record["series"])], str(record["run"]), str(record["error"])) for record in failures]
        parts += [page.Heading("Runs that failed"), page.Table(("series", "run", "what was seen"), lines)]
    return page.write(folder / "index.html", "Failover", parts)


def _row(title: str, records: Sequence[Record]) -> tuple[str, ...]:
    values = _values(records, "service_outage_s")
    failed = str(sum(bool(record["failed"]) for record in records))
    if not values:
        return (title, str(len(records)), failed, *("-",) * 5)
    spread = statistics.stdev(values) if len(values) > 1 else 0.0
    numbers = (min(values), statistics.fmean(values), statistics.median(values), max(values), spread)
    return (title, str(len(records)), failed, *(f"{number:.3f}" for number in numbers))


def missed(folder: Path) -> list[str]:
    """Aims that the runs do not reach, in words."""
    runs = read(folder)
    return verdict.missed(runs, [_named(record) for record in runs], [*AIMS.items(), ("service_outage_s", at_most(3, of="max"))])
