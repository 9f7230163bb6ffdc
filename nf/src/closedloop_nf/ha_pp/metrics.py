"""/metrics of an HA-PP."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from closedloop_nf.ha_pp.core import PacketProcessor
from closedloop_nf.kernel.interface import HomeAgentDataPlane
from closedloop_nf.runtime.clock import now

if TYPE_CHECKING:
    from prometheus_client import Metric

_FAMILIES = (
    ("discarded_", "ha_pp_messages_discarded", "Messages dropped without an answer, by reason", "reason"),
    ("rejected_", "ha_pp_binding_updates_rejected", "Binding Updates refused, by reason", "reason"),
    ("status_", "ha_pp_binding_acknowledgements", "Binding Acknowledgements sent, by status", "status"),
    ("", "ha_pp_events", "What else happened, by event", "event"),
)
"""(prefix of the counter's name, family, help, label); the first prefix that fits takes the counter."""


def render(core: PacketProcessor, plane: HomeAgentDataPlane, socket_counters: Counter[str], send_failures: Counter[str]) -> bytes:
    """Prometheus text: gauges of the state, what became of messages, what the kernel dropped.

    socket_counters: packets the raw sockets refused, by reason. send_failures: packets the kernel did not send, by errno name.
    """
    from prometheus_client import CollectorRegistry, generate_latest
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    state, session = core.state, core.session
    families: list[Metric] = []
    for name, text, value in (
        ("ha_pp_bindings", "Home addresses served", len(state.served)),
        ("ha_pp_bindings_known", "Bindings learned from HA-B", len(state.known.bindings)),
        ("ha_pp_registrations_waiting", "Registrations that wait for HA-B or for duplicate address detection", core.registrar.waiting),
        ("ha_pp_ready", "1 when the HA-PP can do what its role asks", int(core.ready(now()))),
        ("ha_pp_active", "1 when the role is active", int(state.role == "active")),
        ("ha_pp_mobility_socket_open", "1 when the raw Mobility Header socket is open", int(session.socket_open)),
        ("ha_pp_lease_seconds", "Seconds until the lease ends", max(0.0, state.lease_until - now().mono)),
        ("ha_pp_epoch", "Epoch of the session with HA-B", state.epoch),
    ):
        families.append(GaugeMetricFamily(name, text, value))
    counted = {family: CounterMetricFamily(family, text, labels=[label]) for _, family, text, label in _FAMILIES}
    discarded = Counter({f"discarded_{reason}": count for reason, count in socket_counters.items()})
    for counter, count in sorted((state.counters + discarded).items()):
        prefix, family = next((prefix, family) for prefix, family, _, _ in _FAMILIES if counter.startswith(prefix))
        counted[family].add_metric([counter.removeprefix(prefix)], count)
    for family, text, counts in (
        ("ha_pp_kernel", "What the data plane counted, by event", Counter(plane.stats())),
        ("ha_pp_send_failures", "Packets that could not be sent, by errno", send_failures),
    ):
        counted[family] = CounterMetricFamily(family, text, labels=["event"])
        for event, count in sorted(counts.items()):
            counted[family].add_metric([event], count)
    families += counted.values()

    class Once:
        def collect(self) -> list[Metric]:
            return families

    registry = CollectorRegistry()
    registry.register(Once())
    return generate_latest(registry)
