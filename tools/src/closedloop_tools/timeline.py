"""A picture of scenes: every packet as a line, green where it arrived and red where it did not, and above them what happened when."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from closedloop_tools.scenes import Direction, Scene, Stage

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ARRIVED, LOST, INK, PALE = "#2a9d8f", "#d1495b", "#26323c", "#8a96a0"
_SOURCES = {"cause": LOST, "packets": ARRIVED, "playbook": "#6a4c93", "loop": "#4f6d2f", "HA-B": "#1d6fa5", "mobile node": "#b5651d"}
"""Colour of a label, by who told."""
_LANE, _GAP = 1.0, 0.35
_ROW = 0.55
"""Height of a row of labels; a lane is 1."""
_WIDTH = 12.0
"""Of the picture, inches."""
_CAUSES = {"handover": "the link was taken away", "failover": "the home agent was killed"}
_MARGIN_MS = {"handover": 40.0, "failover": 200.0}
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
    """Rows for the stages' texts, so that none covers another one."""
    begin, end = span_ms
    rows: list[list[tuple[float, float]]] = []
    labels: list[Label] = []
    for stage in sorted(stages, reverse=True):
        x_ms = (stage.at_ns - cause_ns) / 1e6
        at = (x_ms - begin) / (end - begin)
        width = _CHARACTER * (len(text_of(stage, x_ms)) + 2)
        left = at + width > 1.0
        area = (at - width, at) if left else (at, at + width)
        # Not below a later one that is in the way, so that the lines of both are free on their way down.
        lowest = max((row + 1 for row, areas in enumerate(rows) if any(low < area[1] and area[0] < high for low, high in areas)), default=0)
        if lowest == len(rows):
            rows.append([])
        rows[lowest].append(area)
        labels.append(Label(stage, x_ms, lowest, left))
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
            len(scenes), 1, figsize=(_WIDTH, 0.55 * sum(heights) + 0.9), height_ratios=heights, squeeze=False, layout="constrained"
        )
        for panel, scene, labels in zip(axes[:, 0], scenes, plans, strict=True):
            _panel(panel, scene, labels)
        _legend(figure)
        figure.savefig(file, dpi=150, facecolor="white")
        pyplot.close(figure)


def _legend(figure: Figure) -> None:
    """One packet, one line; and who told what happened."""
    from matplotlib.lines import Line2D

    entries = {"packet that arrived": ARRIVED, "packet that was lost": LOST}
    entries |= {f"told by {'the ' if who != 'HA-B' else ''}{who}": _SOURCES[who] for who in ("playbook", "loop", "HA-B", "mobile node")}
    handles = [Line2D([], [], color=colour, linewidth=3, label=text) for text, colour in entries.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False, labelcolor=INK)


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
        panel.plot([label.x_ms, label.x_ms], [0, height + 0.34], color=colour, linewidth=0.9, zorder=3)
        panel.annotate(
            text_of(label.stage, label.x_ms),
            (label.x_ms, height + 0.17),
            xytext=(-4 if label.left else 4, 0),
            textcoords="offset points",
            ha="right" if label.left else "left",
            va="center",
            color=colour,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.2},
            zorder=4,
            fontweight="bold" if label.stage.source in ("cause", "packets") else "normal",
        )
    panel.set_xlim(*span)
    panel.set_ylim(0, top + 0.4 + _ROW * (1 + max((label.row for label in labels), default=0)))
    panel.set_yticks([])
    panel.set_xlabel(f"milliseconds after {_CAUSES[scene.kind]}", color=PALE)
    panel.tick_params(axis="x", colors=PALE)
    for side in ("left", "right", "top"):
        panel.spines[side].set_visible(False)
    panel.spines["bottom"].set_color(PALE)
    panel.set_title(
        f"{scene.title}: no packet for {scene.outage_ms:.0f} ms, {scene.lost} of {scene.sent} packets lost",
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
