"""Pictures of the report: what the listener takes, and a soak's memory and journal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from closedloop_tools.report import Aim, Run, figures_of
from closedloop_tools.ves_source.rounds import SIZES
from closedloop_tools.ves_source.soak import Soak

VALUE, AIM, PALE = "#1d6fa5", "#d1495b", "#8a96a0"


def draw(runs: Sequence[Run], reference: Mapping[str, Sequence[float]], aims: Mapping[str, Aim], soak: Soak, folder: Path) -> None:
    """Write rates.png and soak.png."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    figures = figures_of(runs)
    drawn, panels = pyplot.subplots(1, 3, figsize=(13, 4.2), layout="constrained")
    for panel, kind in zip(panels, SIZES, strict=False):
        name = f"{kind}_events_per_s"
        panel.boxplot([figures[name], reference[name]], tick_labels=["listener", "server that does\nnothing with them"])
        panel.axhline(float(aims[name]["at_least"]), color=AIM, linestyle="--", linewidth=1)
        panel.set_ylim(bottom=0)
        panel.set_title(name, loc="left", fontweight="bold")
    panels[2].boxplot([figures[f"{kind}_p99_ms_at_half_load"] for kind in SIZES], tick_labels=["one by one", "batches of ten"])
    panels[2].axhline(float(aims["p99_ms_at_half_load"]["at_most"]), color=AIM, linestyle="--", linewidth=1)
    panels[2].set_ylim(bottom=0)
    panels[2].set_title("p99_ms_at_half_load", loc="left", fontweight="bold")
    drawn.savefig(folder / "rates.png", dpi=150, facecolor="white")
    pyplot.close(drawn)

    drawn, (left, right) = pyplot.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
    left.plot(soak.at_s, soak.rss_mb, color=VALUE, label="resident memory")
    left.plot(soak.at_s, soak.journal_mb, color=PALE, label="journal on the disk")
    left.set(xlabel="s", ylabel="MB", ylim=(0, None))
    left.legend()
    left.set_title(f"{soak.events:,} events, {soak.event_hours:.1f} hours of the functions' time", loc="left", fontweight="bold")
    right.plot(soak.at_s, soak.backlog_events, color=VALUE)
    right.set(xlabel="s", ylabel="events", ylim=(0, None))
    right.set_title("not yet taken by analytics", loc="left", fontweight="bold")
    drawn.savefig(folder / "soak.png", dpi=150, facecolor="white")
    pyplot.close(drawn)
