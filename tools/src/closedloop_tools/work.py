"""Where tools put what they need while they run: below reports/, so `make clean` removes what a killed one left."""

from __future__ import annotations

import tempfile
from pathlib import Path

_PLACE = Path("reports/.work")


def work_folder(name: str) -> tempfile.TemporaryDirectory[str]:
    """A new folder on the disk of the checkout, removed when the context ends."""
    _PLACE.mkdir(parents=True, exist_ok=True)
    return tempfile.TemporaryDirectory(prefix=f"{name}-", dir=_PLACE.absolute())
