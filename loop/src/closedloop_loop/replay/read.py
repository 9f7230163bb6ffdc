"""Recorded events: JSON lines, each a body as the source takes it, `{"event": {...}}` or `{"eventList": [...]}`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from closedloop_loop.errors import CommandError
from closedloop_loop.records import AnyRecord, Rejected, from_event

MAX_LINE: Final = 2 * 2**20 + 1
"""As much as the source takes, and the line's end."""


def records(path: Path, rejected: Counter[str]) -> Iterator[AnyRecord]:
    """Records in the file's order. `rejected` counts by reason what gives none. Raises CommandError, which names the line."""
    try:
        with path.open("rb") as file:
            number = 0
            while line := file.readline(MAX_LINE):
                number += 1
                if line.strip():
                    yield from _line(path, number, line, rejected)
    except OSError as error:
        raise CommandError(f"{path}: cannot be read ({error.strerror}); give a file of events, one JSON object a line") from None


def _line(path: Path, number: int, line: bytes, rejected: Counter[str]) -> Iterator[AnyRecord]:
    try:
        body = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise CommandError(f"{path}: line {number}: is not JSON of at most {MAX_LINE} octets; give one event a line") from None
    events = body.get("eventList") if isinstance(body, dict) else None
    for event in events if isinstance(events, list) else [body]:
        record = from_event(event)
        if isinstance(record, Rejected):
            rejected[record.reason] += 1
        else:
            yield record
