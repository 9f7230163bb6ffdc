"""Which aims the runs of a measurement do not reach, in words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from closedloop_tools.measure.runs import Record
from closedloop_tools.report import Aim, figures_of, met, summarise


def missed(runs: Sequence[Record], named: Sequence[Record], aims: Iterable[tuple[str, Aim]]) -> list[str]:
    """runs: as they were recorded. named: the same with the figures' names of the report, of which the aims speak."""
    failed = sum(bool(record["failed"]) for record in runs)
    told = [f"{failed} of {len(runs)} runs failed"] if failed else []
    measured = figures_of(named)
    for figure, aim in aims:
        if figure not in measured:
            continue
        summary = summarise(figure, measured[figure])
        if not met(aim, summary):
            bound = "at_most" if "at_most" in aim else "at_least"
            told.append(f"{figure}: {aim['of']} {float(summary[str(aim['of'])]):.3f}, the aim is {bound.replace('_', ' ')} {aim[bound]:g}")
    return told
