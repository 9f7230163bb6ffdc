"""The runs of a measurement while it goes on: one JSON object a line, on the disk before the next run begins."""

from __future__ import annotations

import json
import os
from pathlib import Path

from closedloop_tools.report import Value

Record = dict[str, Value]
NAME = "runs.jsonl"


def begin(folder: Path) -> None:
    """Forget the runs of an earlier measurement."""
    (folder / NAME).unlink(missing_ok=True)


def add(folder: Path, record: Record) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / NAME).open("a", encoding="utf-8") as file:
        file.write(json.dumps(record) + "\n")
        file.flush()
        os.fsync(file.fileno())


def read(folder: Path) -> list[Record]:
    """Raises FileNotFoundError where nothing was measured."""
    return [json.loads(line) for line in (folder / NAME).read_text(encoding="utf-8").splitlines()]
