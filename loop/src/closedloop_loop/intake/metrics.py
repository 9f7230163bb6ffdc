"""Figures of the listener, for Prometheus."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

PREFIX = "closedloop_ves_"


class Metrics(Collector):
    """Plain counters, cheap enough for each event; made into Prometheus' text when somebody asks."""

    def __init__(self) -> None:
        self.responses: Counter[int] = Counter()
        self.refused: Counter[str] = Counter()
        self.events = self.duplicates = self.delivered = self.rejected = 0
        self.counters: dict[str, tuple[str, Callable[[], int]]] = {}
        self.gauges: dict[str, tuple[str, Callable[[], float]]] = {}
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def collect(self) -> Iterator[Metric]:
        responses = CounterMetricFamily(PREFIX + "responses", "Answers by status code", labels=["code"])
        for code, count in sorted(self.responses.items()):
            responses.add_metric([str(code)], count)
        yield responses
        refused = CounterMetricFamily(PREFIX + "refused", "Requests refused by reason", labels=["reason"])
        for reason, count in sorted(self.refused.items()):
            refused.add_metric([reason], count)
        yield refused
        yield CounterMetricFamily(PREFIX + "events", "Events accepted, duplicates left out", value=self.events)
        yield CounterMetricFamily(PREFIX + "duplicates", "Events that were known already", value=self.duplicates)
        yield CounterMetricFamily(PREFIX + "delivered", "Events handed to the consumer", value=self.delivered)
        yield CounterMetricFamily(PREFIX + "rejected", "Valid events whose text is not allowed further", value=self.rejected)
        for name, (help_text, count_now) in self.counters.items():
            yield CounterMetricFamily(PREFIX + name, help_text, value=count_now())
        for name, (help_text, level) in self.gauges.items():
            yield GaugeMetricFamily(PREFIX + name, help_text, value=level())

    def text(self) -> bytes:
        return generate_latest(self._registry)
