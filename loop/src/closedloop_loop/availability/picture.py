"""The MTBF a unit needs against its MTTR, a line per scheme, with the solution and what it is compared with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from closedloop_loop.availability.quantities import UNITS_S, Scheme, words
from closedloop_loop.availability.solve import Solution, mtbf
from closedloop_loop.errors import CommandError


def draw(solution: Solution, schemes: Sequence[Scheme], reference_mttr_s: float | None, path: Path) -> None:
    """Write PNG or SVG, by the name's ending. Raises CommandError."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # a second to import; only where a picture is wanted
    from matplotlib.figure import Figure

    target = solution.unavailability
    figure = Figure(figsize=(8, 5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    times = [time for time in (solution.mttr_s, reference_mttr_s) if time is not None]
    low, high = min(times) / 30, max(times) * 30
    grid = [low * (high / low) ** (step / 100) for step in range(101)]
    for scheme in schemes:
        axes.loglog(grid, [mtbf(time, target, scheme) / UNITS_S["h"] for time in grid], label=str(scheme))
    axes.plot(solution.mttr_s, solution.mtbf_s / UNITS_S["h"], "ko")
    axes.annotate(
        f"MTTR {words(solution.mttr_s)}\nMTBF {words(solution.mtbf_s)}",
        (solution.mttr_s, solution.mtbf_s / UNITS_S["h"]),
        textcoords="offset points",
        xytext=(8, -24),
    )
    if reference_mttr_s is not None:
        axes.axvline(reference_mttr_s, linestyle=":", color="grey")
        axes.annotate(f"reference {words(reference_mttr_s)}", (reference_mttr_s, axes.get_ylim()[0]), rotation=90, va="bottom", ha="right")
    axes.set_xlabel("MTTR of a unit, s")
    axes.set_ylabel("MTBF that a unit needs, h")
    axes.set_title(f"Availability {1 - target:.9g}")
    axes.grid(True, which="both", alpha=0.2)
    axes.legend(title="scheme")
    try:
        figure.savefig(path, dpi=120)
    except (OSError, ValueError) as error:
        raise CommandError(f"{path}: the picture cannot be written ({error}); give a writable .png or .svg") from None
