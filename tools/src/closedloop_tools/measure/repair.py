"""What the measured repair time is worth: the MTBF that a home agent needs for five nines, scheme by scheme, beside the published one."""

from __future__ import annotations

from pathlib import Path

from closedloop_loop.availability.picture import draw
from closedloop_loop.availability.quantities import Scheme, words
from closedloop_loop.availability.solve import Solution, least, mtbf

from closedloop_tools.measure import page

TARGET = 1e-5
"""Unavailability: five nines."""
PUBLISHED_MTTR_S = 106.23
SCHEMES = (Scheme(1, 0), Scheme(1, 1), Scheme(1, 2))


def parts(mttr_s: float, folder: Path) -> list[page.Part]:
    """Draws availability.png too. mttr_s: mean outage of the measured failovers."""
    alone_s, published_alone_s = (mtbf(seconds, TARGET, SCHEMES[0]) for seconds in (mttr_s, PUBLISHED_MTTR_S))
    draw(Solution(alone_s, mttr_s, TARGET, SCHEMES[0], "mtbf_s"), SCHEMES, PUBLISHED_MTTR_S, folder / "availability.png")
    rows = [(str(scheme), words(mtbf(PUBLISHED_MTTR_S, TARGET, scheme)), words(mtbf(mttr_s, TARGET, scheme))) for scheme in SCHEMES]
    elsewhere = least(alone_s, PUBLISHED_MTTR_S, TARGET)
    return [
        page.Heading("What the repair time is worth"),
        page.Table(
            ("MTBF needed for 99.999 %", f"repaired in {words(PUBLISHED_MTTR_S)}, published", f"in {words(mttr_s)}, measured"), rows
        ),
        page.Text(
            f"A home agent that fails every {words(alone_s)} reaches five nines without a spare; repaired in {words(PUBLISHED_MTTR_S)} "
            f"it takes {elsewhere}, and needs none only from {words(published_alone_s)} on."
        ),
        page.Picture("availability.png", "MTBF needed over the repair time, for each redundancy scheme"),
    ]
