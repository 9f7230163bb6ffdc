"""What is in the topic.

An event is a message whose key is the event's `sourceName`, so that all events of a source are in one partition and keep their order, and
whose value is the event, `{"event":{...}}`. A *mark* is a message without a value: an intake puts one into each partition from time to
time while it accepts events. The time of a message is the broker's, of when it was appended. So the topic tells when a source was silent
while it could have been heard; when nobody could be heard there are no marks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MARK_S: Final = 0.5
"""Between two marks of an intake."""
MAX_MESSAGE: Final = 3 << 20
"""Octets. A request has 2 MiB at most, and so has an event."""
DEAF_S: Final = 3.0
"""So long without any message, and the silence is taken for ours."""


@dataclass(frozen=True, slots=True)
class Message:
    """time_ms: UNIX milliseconds; body: empty in a mark."""

    partition: int
    offset: int
    time_ms: int
    body: bytes
