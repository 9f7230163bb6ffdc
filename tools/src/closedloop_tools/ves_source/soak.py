"""A day of events of a thousand functions at full speed through the event source and its analytics: memory and journal must not grow.

Each function sends a measurement a minute, and is overloaded and not in turn.
"""

from __future__ import annotations

import statistics
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from closedloop_tools.ves_source import load
from closedloop_tools.ves_source.listener import PASSWORD, USER, Authority, Source

SOURCES = 1000
STEP_US = 60_000_000 // SOURCES
CONNECTIONS = 64
PIECE_S = 2.0
POLICY = """
version: 1
loops:
  - name: overload
    scope: {sources: [ha-pp-*]}
    condition: {kind: threshold, figure: bindings, above: 600, clear: 400, window_s: 1}
    action: scale_out
"""


@dataclass
class Soak:
    """at_s, rss_mb, journal_mb, backlog_events: at the end of each piece of it."""

    events: int = 0
    onsets: int = 0
    refused: int = 0
    at_s: list[float] = field(default_factory=list)
    rss_mb: list[float] = field(default_factory=list)
    journal_mb: list[float] = field(default_factory=list)
    backlog_events: list[float] = field(default_factory=list)

    @property
    def event_hours(self) -> float:
        """Of the functions' time."""
        return self.events * STEP_US / 3.6e9

    @property
    def rss_growth_mb(self) -> float:
        """Between the second and the last quarter, medians."""
        quarter = max(1, len(self.rss_mb) // 4)
        return statistics.median(self.rss_mb[-quarter:]) - statistics.median(self.rss_mb[quarter : 2 * quarter])


def soak(folder: Path, seconds: float, event_hours: float = 0.0, **settings: int) -> Soak:
    """Until both have passed. Every answer is 202, or 503 while the consumer does not keep up."""
    source = Source(folder, Authority(folder, "operator"), policy=POLICY, **settings)
    source.start()
    found = Soak()
    requests = load.Requests(10, USER, PASSWORD, sources=SOURCES, step_us=STEP_US)
    first = 0
    try:
        while not found.at_s or found.at_s[-1] < seconds or found.event_hours < event_hours:
            outcome = load.run(("::1", source.port), source.tls, requests, connections=CONNECTIONS, seconds=PIECE_S, first=first)
            if outcome.broken or set(outcome.statuses) - {202, 503}:
                raise RuntimeError(f"{outcome.broken} connections ended, answers {dict(outcome.statuses)}")
            first += sum(outcome.statuses.values()) * requests.size
            found.events += len(outcome.acknowledged)
            found.refused += outcome.statuses[503]
            found.at_s.append(outcome.seconds + (found.at_s[-1] if found.at_s else 0.0))
            found.rss_mb.append(source.rss_mb)
            found.journal_mb.append(source.journal_mb)
            found.backlog_events.append(source.metric("backlog_events"))
            del outcome
        stored = source.metric("events_total")
    finally:
        source.kill()
    if stored != found.events:
        raise RuntimeError(f"{found.events} events were acknowledged, {stored:.0f} are stored")
    found.onsets = Counter(line.strip() for line in source.log)["ONSET"]
    return found
