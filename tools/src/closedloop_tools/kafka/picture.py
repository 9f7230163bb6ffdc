"""The picture of the report: what is accepted, and how soon an onset comes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from closedloop_tools.report import Aim, Run, figures_of

AIM = "#d1495b"


def draw(runs: Sequence[Run], aims: Mapping[str, Aim], folder: Path) -> None:
    """Write kafka.png."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    figures = figures_of(runs)
    drawn, (left, right) = pyplot.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
    left.boxplot([figures["batch_events_per_s"], figures["single_events_per_s"]], tick_labels=["batches of ten", "one by one"])
    left.axhline(float(aims["batch_events_per_s"]["at_least"]), color=AIM, linestyle="--", linewidth=1)
    left.set_title("accepted, on the broker's disk: events/s", loc="left", fontweight="bold")
    right.boxplot([figures["source_to_onset_median_ms"], figures["source_to_onset_p99_ms"]], tick_labels=["median", "p99"])
    right.axhline(float(aims["source_to_onset_p99_ms"]["at_most"]), color=AIM, linestyle="--", linewidth=1)
    right.set_title("source to onset at half load: ms", loc="left", fontweight="bold")
    for panel in (left, right):
        panel.set_ylim(bottom=0)
    drawn.savefig(folder / "kafka.png", dpi=150, facecolor="white")
    pyplot.close(drawn)
