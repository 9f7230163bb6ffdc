"""Figures in Prometheus format, read from the core when asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from closedloop_nf.ha_b.link_server import LinkServer
    from closedloop_nf.ha_b.world import World

COMMIT_BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1.0)
ADOPTION_BUCKETS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0)


class Metrics:
    """`text()` answers /metrics; the shell reports commits to `committed`."""

    def __init__(self, world: World, server: LinkServer, last_event: Callable[[], int]) -> None:
        self._world = world
        self._registry = CollectorRegistry()
        self._commits = Histogram("ha_b_commit_seconds", "Duration of a transaction", buckets=COMMIT_BUCKETS, registry=self._registry)
        self._grouped = Histogram(
            "ha_b_commit_batches", "Changes in one transaction", buckets=(1, 2, 5, 10, 20, 50, 100, 500, 1000), registry=self._registry
        )
        self._adoptions = Histogram(
            "ha_b_adoption_seconds",
            "From the proof that an HA-PP has stopped to its successor's durable ownership",
            buckets=ADOPTION_BUCKETS,
            registry=self._registry,
        )
        self._registry.register(_CoreCollector(world, server, last_event))

    def committed(self, batches: int, seconds: float) -> None:
        self._commits.observe(seconds)
        self._grouped.observe(batches)

    def text(self) -> bytes:
        for seconds in self._world.adoption_seconds:
            self._adoptions.observe(seconds)
        self._world.adoption_seconds.clear()
        return generate_latest(self._registry)


class _CoreCollector(Collector):
    def __init__(self, world: World, server: LinkServer, last_event: Callable[[], int]) -> None:
        self._world, self._server, self._last_event = world, server, last_event

    def describe(self) -> Iterable[Metric]:
        return []

    def collect(self) -> Iterable[Metric]:
        world = self._world
        registrations = CounterMetricFamily("ha_b_registrations", "Registrations answered, by status", labels=["status"])
        for status, count in sorted(world.registrations.items()):
            registrations.add_metric([str(status)], count)
        yield registrations
        bindings = GaugeMetricFamily("ha_b_bindings", "Bindings by owner", labels=["owner"])
        ready = GaugeMetricFamily("ha_b_home_agent_ready", "Whether an HA-PP is synced with its socket open", labels=["name"])
        serving = GaugeMetricFamily("ha_b_home_agent_serving", "Whether an HA-PP serves", labels=["name"])
        for name, agent in sorted(world.agents.items()):
            session = world.session_of(name)
            bindings.add_metric([name], world.bindings.count(name))
            ready.add_metric([name], float(session is not None and session.ready))
            serving.add_metric([name], float(agent.record.serving and not agent.proof))
        yield bindings
        yield ready
        yield serving
        events = CounterMetricFamily("ha_b_events", "State changes by kind", labels=["kind"])
        for kind, count in sorted(world.events.items()):
            events.add_metric([kind], count)
        yield events
        yield GaugeMetricFamily("ha_b_sessions", "Connections of HA-PPs", value=len(world.sessions))
        yield GaugeMetricFamily("ha_b_revision", "Counter of changes", value=world.committed_revision)
        yield GaugeMetricFamily("ha_b_last_event_id", "Id of the newest entry of the event log", value=self._last_event())
        yield CounterMetricFamily("ha_b_link_messages_received", "Messages from HA-PPs", value=self._server.messages_received)
        yield CounterMetricFamily("ha_b_link_messages_sent", "Messages to HA-PPs", value=self._server.messages_sent)
        yield CounterMetricFamily("ha_b_rows_pushed", "Binding rows pushed as changes", value=world.rows_pushed)
