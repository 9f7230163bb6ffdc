"""Box plots of series and waterfalls of stages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK, PALE, COLOUR = "#26323c", "#8a96a0", "#2a9d8f"
_ROW = 0.42
"""Height of a row, inches."""


def boxes(series: Mapping[str, Sequence[float]], unit: str, file: Path) -> None:
    """A box for each series (quartiles, whiskers to 1.5 times their distance) with every run as a dot."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    names = list(series)[::-1]
    figure, axes = pyplot.subplots(figsize=(10, 1.4 + 1.3 * _ROW * len(names)), layout="constrained")
    axes.boxplot([series[name] for name in names], orientation="horizontal", widths=0.5, showfliers=False, medianprops={"color": COLOUR})
    for row, name in enumerate(names, 1):
        axes.plot(series[name], [row] * len(series[name]), "o", markersize=3, color=COLOUR, alpha=0.4)
    axes.set_yticks(range(1, len(names) + 1), [f"{name} (n={len(series[name])})" for name in names])
    axes.set_xlim(left=0)
    _finish(axes, unit)
    figure.savefig(file, dpi=150, facecolor="white")
    pyplot.close(figure)


def waterfall(stages: Sequence[tuple[str, float]], unit: str, file: Path) -> None:
    """stages: what happened, and when. Each bar begins where the stage before it ended."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    ordered = sorted(stages, key=lambda stage: stage[1])
    figure, axes = pyplot.subplots(figsize=(10, 1.2 + _ROW * len(ordered)), layout="constrained")
    before = 0.0
    for row, (_what, at) in enumerate(ordered):
        axes.barh(row, at - before, left=before, height=0.6, color=COLOUR)
        axes.annotate(f"{at:.0f}", (at, row), xytext=(4, 0), textcoords="offset points", va="center", color=INK)
        before = at
    axes.set_yticks(range(len(ordered)), [what for what, _at in ordered])
    axes.invert_yaxis()
    axes.margins(x=0.08)
    axes.set_xlim(left=0)
    _finish(axes, unit)
    figure.savefig(file, dpi=150, facecolor="white")
    pyplot.close(figure)


def _finish(axes: Axes, unit: str) -> None:
    axes.set_xlabel(unit, color=PALE)
    axes.tick_params(axis="x", colors=PALE)
    axes.grid(axis="x", color="#e3e8ec", zorder=0)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
