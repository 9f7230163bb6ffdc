"""Pictures of a bench: one file per part that was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from closedloop_tools.report import Aim, Run, figures_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

VALUE, AIM, PALE = "#1d6fa5", "#d1495b", "#8a96a0"
_OUTAGES = ("failover_cold_outage_ms", "failover_standby_outage_ms", "failover_per_instance_outage_ms", "handover_outage_ms")
_THROUGHPUTS = {"plain": "plain routing", "tunnel": "tunnel", "bindings_10k": "tunnel beside\n10 000 bindings"}


def draw(runs: Sequence[Run], aims: Mapping[str, Aim], folder: Path) -> list[Path]:
    """Write registrations.png, forwarding.png and outages.png, as far as their figures were measured; returns what was written."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    figures = figures_of(runs)
    written: list[Path] = []
    outages = [name for name in _OUTAGES if name in figures]
    plans = {
        "registrations": (["registrations_per_s", "bu_ba_ms"] if "bu_ba_ms" in figures else []),
        "forwarding": (["throughput"] if "tunnel_throughput_ratio" in figures else []),
        "outages": outages,
    }
    for name, panels in plans.items():
        if not panels:
            continue
        figure, axes = pyplot.subplots(1, len(panels), figsize=(4.6 * len(panels) + 1.5, 4.2), squeeze=False, layout="constrained")
        for panel, what in zip(axes[0], panels, strict=True):
            if what == "throughput":
                _throughputs(panel, figures)
            elif what == "registrations_per_s":
                _bars(panel, what, figures[what], aims.get(what))
            else:
                _distribution(panel, what, figures[what], aims.get(what))
            for side in ("right", "top"):
                panel.spines[side].set_visible(False)
        file = folder / f"{name}.png"
        figure.savefig(file, dpi=150, facecolor="white")
        pyplot.close(figure)
        written.append(file)
    return written


def _distribution(panel: Axes, figure: str, values: Sequence[float], aim: Aim | None) -> None:
    """Which part of the values is not above x."""
    ordered = sorted(values)
    panel.step([*ordered, ordered[-1]], [number / len(ordered) for number in range(len(ordered) + 1)], where="pre", color=VALUE)
    if len(ordered) <= 50:
        panel.plot(ordered, [(number + 1) / len(ordered) for number in range(len(ordered))], "o", color=VALUE, markersize=4)
    _aim(panel, aim, vertical=True)
    panel.set_xlim(left=0)
    panel.set_ylim(0, 1.02)
    panel.set_title(figure, loc="left", fontweight="bold")
    panel.set_ylabel(f"part of {len(ordered)} values")


def _bars(panel: Axes, figure: str, values: Sequence[float], aim: Aim | None) -> None:
    panel.bar(range(1, len(values) + 1), values, color=VALUE, width=0.6)
    _aim(panel, aim, vertical=False)
    panel.set_xlabel("round")
    panel.set_title(figure, loc="left", fontweight="bold")


def _throughputs(panel: Axes, figures: Mapping[str, Sequence[float]]) -> None:
    """All values of each way, the medians as bars."""
    for group, (way, text) in enumerate((("to_mn", "to the mobile node"), ("from_mn", "from the mobile node"))):
        for number, (prefix, label) in enumerate(_THROUGHPUTS.items()):
            values = [value / 1000 for value in figures[f"{prefix}_{way}_mbit_per_s"]]
            x = group * 4 + number
            panel.bar(x, sorted(values)[len(values) // 2], color=PALE if prefix == "plain" else VALUE, width=0.8)
            panel.plot([x] * len(values), values, "o", color="black", markersize=3)
            panel.text(x, 0.15, label, rotation=90, color="white", ha="center", va="bottom", fontsize=8)
        panel.text(group * 4 + 1, -0.04, text, ha="center", va="top", transform=panel.get_xaxis_transform())
    panel.set_xticks([])
    panel.set_ylabel("Gbit/s")
    panel.set_title("TCP throughput", loc="left", fontweight="bold")


def _aim(panel: Axes, aim: Aim | None, *, vertical: bool) -> None:
    if aim is None:
        return
    value = float(aim["at_most"] if "at_most" in aim else aim["at_least"])
    text = f"aim: {aim['of']} {'at most' if 'at_most' in aim else 'at least'} {value:g}"
    if vertical:
        panel.axvline(value, color=AIM, linestyle="--", linewidth=1)
        panel.text(value, 0.02, f" {text}", color=AIM, rotation=90, ha="right", va="bottom")
    else:
        panel.axhline(value, color=AIM, linestyle="--", linewidth=1)
        panel.text(0.55, value, text, color=AIM, ha="left", va="center", bbox={"facecolor": "white", "edgecolor": "none", "pad": 2})
