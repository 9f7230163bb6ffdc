"""Structured logs: one JSON object per line on stderr.

Every character outside printable ASCII is escaped by the encoder, so that text from the network can neither start a line of its own nor
reach a terminal's control functions. Fields go in `extra=`: `log.info("session begins", extra={"peer": name})`.
"""

from __future__ import annotations

import datetime
import json
import logging
import sys
from typing import Any, Final, TextIO

from closedloop_nf.runtime.addresses import to_text

_STANDARD: Final = frozenset(vars(logging.LogRecord("", 0, "", 0, "", (), None))) | {"message", "asctime", "taskName"}


class JsonFormatter(logging.Formatter):
    """One line per record: time (UTC, microseconds), level, function, logger, message, then the extra fields."""

    def __init__(self, function: str) -> None:
        super().__init__()
        self._function = function

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.datetime.fromtimestamp(record.created, datetime.UTC).isoformat(timespec="microseconds"),
            "level": record.levelname.lower(),
            "function": self._function,
            "logger": record.name,
            "message": record.getMessage(),
        }
        for key, value in vars(record).items():
            if key not in _STANDARD:
                line.setdefault(key, value)
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=_readable, ensure_ascii=True, separators=(",", ":"))


def _readable(value: object) -> object:
    if isinstance(value, bytes):
        return to_text(value)
    if isinstance(value, (set, frozenset)):
        return sorted(map(str, value))
    return repr(value)


def setup(function: str, level: str = "info", stream: TextIO | None = None) -> logging.Logger:
    """Send all logs of this process as JSON lines to stderr (or `stream`) from `level` on; returns the logger `closedloop_nf`."""
    handler = logging.StreamHandler(sys.stderr if stream is None else stream)
    handler.setFormatter(JsonFormatter(function))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)
    return logging.getLogger("closedloop_nf")
