"""A picture of scenes: every packet as a line, green where it arrived and red where it did not, and above them what happened when."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from closedloop_tools.scenes import Direction, Scene, Stage

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ARRIVED, LOST, INK, PALE = "#2a9d8f", "#d1495b", "#26323c", "#8a96a0"
_SOURCES = {"cause": LOST, "packets": ARRIVED, "playbook": "#6a4c93", "HA-B": "#1d6fa5", "mobile node": "#b5651d"}
"""Colour of a label, by who told."""
_LANE, _GAP = 1.0, 0.35
_ROW = 0.62
"""Height of a row of labels; a lane is 1."""
_MARGIN_MS = {"handover": 40.0, "failover": 250.0}
"""Shown before the cause and after the return of the traffic."""
_CHARACTER = 0.0083
"""Width of a letter of a label as a part of the picture's."""


class Label(NamedTuple):
    """Where a stage's text stands: row 0 is the lowest; `left` says that the text ends at its line, else it begins there."""

    stage: Stage
    x_ms: float
    row: int
    left: bool


def place(stages: Sequence[Stage], cause_ns: int, span_ms: tuple[float, float]) -> list[Label]:
    """Rows for the stages' texts, so that none covers another one or another one's line."""
    begin, end = span_ms
    taken: list[list[tuple[float, float]]] = []
    labels: list[Label] = []
    lines: list[float] = []
    # From the right: a later stage stands lower, so the line of an earlier one is free on its way down.
    for stage in sorted(stages, reverse=True):
        x_ms = (stage.at_ns - cause_ns) / 1e6
        at = (x_ms - begin) / (end - begin)
        width = _CHARACTER * len(text_of(stage, x_ms))
        left = at + width > 1.0
        area = (at - width, at) if left else (at, at + width)
        row = 0
        while row < len(taken) and any(low < area[1] and area[0] < high for low, high in taken[row]):
            row += 1
        for other in range(row):  # its line passes the rows below
            taken[other].append((at - 0.002, at + 0.002))
        if row == len(taken):
            taken.append([(line - 0.002, line + 0.002) for line in lines if line != at])
            taken[row] = []
        taken[row].append(area)
        lines.append(at)
        labels.append(Label(stage, x_ms, row, left))
    return labels[::-1]


def text_of(stage: Stage, x_ms: float) -> str:
    return f"{stage.what}  {x_ms:.0f} ms" if stage.source != "cause" else stage.what


def draw(scenes: Sequence[Scene], file: Path) -> None:
    """Write the picture, one panel per scene; the file's suffix says the format (png, svg)."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    plans = [place(scene.stages, scene.cause_ns, span_of(scene)) for scene in scenes]
    heights = [2 * _LANE + _GAP + 1.5 + _ROW * (1 + max((label.row for label in labels), default=0)) for labels in plans]
    with pyplot.rc_context({"font.family": "DejaVu Sans", "font.size": 9, "svg.fonttype": "none"}):
        figure, axes = pyplot.subplots(
            len(scenes), 1, figsize=(12, 0.62 * sum(heights) + 0.8), height_ratios=heights, squeeze=False, layout="constrained"
        )
        for panel, scene, labels in zip(axes[:, 0], scenes, plans, strict=True):
            _panel(panel, scene, labels)
        figure.savefig(file, dpi=150, facecolor="white")
        pyplot.close(figure)


def span_of(scene: Scene) -> tuple[float, float]:
    """What a panel shows, in milliseconds since the cause."""
    margin = _MARGIN_MS[scene.kind]
    return -margin, (scene.resumed_ns - scene.cause_ns) / 1e6 + margin


def _panel(panel: Axes, scene: Scene, labels: Sequence[Label]) -> None:
    span = span_of(scene)
    for lane, (name, direction) in enumerate((("from", scene.from_mobile_node), ("to", scene.to_mobile_node))):
        _lane(panel, direction, scene.cause_ns, lane * (_LANE + _GAP))
        panel.text(
            -0.005, lane * (_LANE + _GAP) + 0.5, f"{name} the\nmobile node", transform=panel.get_yaxis_transform(), ha="right", va="center"
        )
    top = 2 * _LANE + _GAP
    for label in labels:
        colour = _SOURCES[label.stage.source]
        height = top + 0.3 + _ROW * label.row
        panel.plot([label.x_ms, label.x_ms], [0, height + 0.34], color=colour, linewidth=1.0, zorder=3)
        panel.annotate(
            text_of(label.stage, label.x_ms),
            (label.x_ms, height + 0.17),
            xytext=(-4 if label.left else 4, 0),
            textcoords="offset points",
            ha="right" if label.left else "left",
            va="center",
            color=colour,
            fontweight="bold" if label.stage.source in ("cause", "packets") else "normal",
        )
    panel.set_xlim(*span)
    panel.set_ylim(0, top + 0.4 + _ROW * (1 + max((label.row for label in labels), default=0)))
    panel.set_yticks([])
    panel.set_xlabel("milliseconds", color=PALE)
    panel.tick_params(axis="x", colors=PALE)
    for side in ("left", "right", "top"):
        panel.spines[side].set_visible(False)
    panel.spines["bottom"].set_color(PALE)
    panel.set_title(
        f"{scene.title}: no packet for {scene.outage_ms:.0f} ms, {scene.lost} of {scene.sent} lost",
        loc="left",
        fontsize=12,
        fontweight="bold",
        color=INK,
    )


def _lane(panel: Axes, direction: Direction, cause_ns: int, bottom: float) -> None:
    """One line per packet at the time it was sent."""
    for colour, arrived in ((ARRIVED, True), (LOST, False)):
        times = [(packet.sent_ns - cause_ns) / 1e6 for packet in direction.packets if (packet.received_ns is not None) == arrived]
        panel.vlines(times, bottom, bottom + _LANE, color=colour, linewidth=0.9, zorder=2)
