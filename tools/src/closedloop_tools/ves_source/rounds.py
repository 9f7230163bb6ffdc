"""How much the listener takes, load generator included, beside a server that does nothing with what it gets.

Every event is authenticated, held against the schema, durable before its 202, and has an id of its own, over TLS. A round: single events as
fast as they are taken, batches of ten as fast as they are taken, each at half of what is aimed for, where latency counts from when a
request was due, and both at full speed into the reference.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from pathlib import Path

from closedloop_tools.report import Aim, Value, at_least, at_most
from closedloop_tools.ves_source import load
from closedloop_tools.ves_source.listener import PASSWORD, USER, Authority, Baseline, Listener

CONNECTIONS = 64
SIZES = {"single": 1, "batch": 10}
AIMED_PER_S = {"single": 4_000, "batch": 10_000}
AIMS: dict[str, Aim] = {
    **{f"{name}_events_per_s": at_least(rate) for name, rate in AIMED_PER_S.items()},
    "p99_ms_at_half_load": at_most(20),
}


@dataclass
class Rounds:
    """runs: of the listener; reference: of the server that does nothing, figure -> values."""

    runs: list[dict[str, Value]]
    reference: dict[str, list[float]]


def measure(folder: Path, rounds: int, seconds: float) -> Rounds:
    authority = Authority(folder, "operator")
    found = Rounds([], {})
    baseline = Baseline(_made(folder / "baseline"), authority)
    listener = Listener(_made(folder / "listener"), authority)
    try:
        listener.start()
        baseline.start()
        sender, idle = Sender(listener), Sender(baseline)
        for each in (sender, idle):
            each.send("single", 1.0)
        for _ in range(rounds):
            run: dict[str, Value] = {"part": "rounds", **sender.full(seconds), **sender.half(seconds), "rss_mb": listener.rss_mb}
            found.runs.append(run)
            for figure, value in idle.full(seconds / 2).items():
                found.reference.setdefault(figure, []).append(value)
            print({name: round(value, 1) for name, value in run.items() if isinstance(value, float)}, flush=True)
    finally:
        listener.kill()
        baseline.kill()
    return found


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


class Sender:
    """Sends to one listener; numbers of events never repeat."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._first = 0

    def send(self, kind: str, seconds: float, events_per_s: float | None = None) -> load.Outcome:
        """Raises RuntimeError where an answer was another than 202."""
        size = SIZES[kind]
        outcome = load.run(
            ("::1", self._listener.port),
            self._listener.tls,
            load.Requests(size, USER, PASSWORD),
            connections=CONNECTIONS,
            seconds=seconds,
            per_second=None if events_per_s is None else events_per_s / size,
            first=self._first,
        )
        self._first += len(outcome.latencies_s) * size
        if set(outcome.statuses) != {202} or outcome.broken:
            raise RuntimeError(f"{outcome.broken} connections ended, answers {dict(outcome.statuses)}")
        return outcome

    def full(self, seconds: float) -> dict[str, float]:
        run: dict[str, float] = {}
        for kind in SIZES:
            before = self._listener.cpu_s
            outcome = self.send(kind, seconds)
            run[f"{kind}_events_per_s"] = len(outcome.acknowledged) / outcome.seconds
            run[f"{kind}_cpu_per_event_us"] = (self._listener.cpu_s - before) / len(outcome.acknowledged) * 1e6
        return run

    def half(self, seconds: float) -> dict[str, float]:
        run: dict[str, float] = {}
        for kind, rate in AIMED_PER_S.items():
            percentiles = statistics.quantiles(self.send(kind, seconds, rate / 2).latencies_s, n=100, method="inclusive")
            run[f"{kind}_median_ms_at_half_load"], run[f"{kind}_p99_ms_at_half_load"] = percentiles[49] * 1e3, percentiles[98] * 1e3
        run["p99_ms_at_half_load"] = max(run[f"{kind}_p99_ms_at_half_load"] for kind in SIZES)
        return run
