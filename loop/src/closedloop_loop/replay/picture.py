"""The timeline of a replay: a lane per loop and target, a bar from onset to abated, operations and denials on it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from closedloop_loop.clock import MICROSECONDS
from closedloop_loop.errors import CommandError
from closedloop_loop.operations.model import Operation
from closedloop_loop.replay.run import Happening

MAX_LANES: Final = 60
"""More would not be readable; the busiest are drawn."""


def draw(happenings: list[Happening], operations: list[Operation], span_us: tuple[int, int], path: Path) -> int:
    """Write PNG or SVG, by the name's ending; returns how many lanes were left out. Raises CommandError."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # a second to import; only where a picture is wanted
    from matplotlib.figure import Figure

    begin, end = span_us[0], max([span_us[1], *(event.at_us for event in happenings)])
    counts: dict[tuple[str, str], int] = {}
    for event in happenings:
        counts[event.loop, event.target] = counts.get((event.loop, event.target), 0) + 1
    lanes = sorted(sorted(counts, key=lambda lane: (-counts[lane], lane))[:MAX_LANES])
    figure = Figure(figsize=(11, 1.6 + 0.42 * max(1, len(lanes))), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()

    def seconds(at_us: int) -> float:
        return (at_us - begin) / MICROSECONDS

    for row, (loop, target) in enumerate(lanes):
        events = [event for event in happenings if (event.loop, event.target) == (loop, target)]
        for begun, ended in _bars(events, end):
            axes.barh(row, seconds(ended) - seconds(begun), left=seconds(begun), height=0.5, color="#f4a582", edgecolor="#ca0020")
        for begun, ended in _runs(operations, loop, target, end):
            axes.barh(row, seconds(ended) - seconds(begun), left=seconds(begun), height=0.2, color="#0571b0")
        denied = [seconds(event.at_us) for event in events if event.what == "denied"]
        axes.plot(denied, [row] * len(denied), "x", color="black", markersize=6)
    axes.set_yticks(range(len(lanes)), [f"{loop}\n{target}" for loop, target in lanes], fontsize=7)
    axes.set_ylim(len(lanes) - 0.5, -0.5)
    axes.set_xlim(0, max(seconds(end), 0.001))
    axes.set_xlabel("s after the first event")
    axes.set_title("bar: onset to abated; blue: operation; x: denied", fontsize=9)
    axes.grid(True, axis="x", alpha=0.3)
    try:
        figure.savefig(path, dpi=120)
    except (OSError, ValueError) as error:
        raise CommandError(f"{path}: the picture cannot be written ({error}); give a writable .png or .svg") from None
    return len(counts) - len(lanes)


def _bars(events: list[Happening], end: int) -> list[tuple[int, int]]:
    ended = {event.request_id: event.at_us for event in events if event.what == "abated"}
    return [(event.at_us, ended.get(event.request_id, end)) for event in events if event.what == "onset"]


def _runs(operations: list[Operation], loop: str, target: str, end: int) -> list[tuple[int, int]]:
    return [
        (operation.started_us, operation.finished_us or end)
        for operation in operations
        if (operation.loop, operation.target) == (loop, target) and operation.started_us is not None
    ]
