"""/metrics of an HA-PP."""

from __future__ import annotations

from closedloop_nf.ha_pp.core import PacketProcessor
from closedloop_nf.kernel.interface import HomeAgentDataPlane
from closedloop_nf.kernel.sockets import MobilitySocket
from closedloop_nf.runtime.clock import now


def render(core: PacketProcessor, plane: HomeAgentDataPlane, socket: MobilitySocket) -> bytes:
    """Prometheus text: gauges of the state, one counter family for what happened to messages, one for the kernel's drops."""
    from prometheus_client import CollectorRegistry, generate_latest
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    state, session = core.state, core.session
    families: list[GaugeMetricFamily | CounterMetricFamily] = []
    for name, text, value in (
        ("ha_pp_bindings", "Home addresses served", len(state.served)),
        ("ha_pp_bindings_known", "Bindings learned from HA-B", len(state.known.bindings)),
        ("ha_pp_ready", "1 when the HA-PP can do what its role asks", int(core.ready(now()))),
        ("ha_pp_active", "1 when the role is active", int(state.role == "active")),
        ("ha_pp_mobility_socket_open", "1 when the raw Mobility Header socket is open", int(session.socket_open)),
        ("ha_pp_lease_seconds", "Seconds until the lease ends", max(0.0, state.lease_until - now().mono)),
        ("ha_pp_epoch", "Epoch of the session with HA-B", state.epoch),
    ):
        families.append(GaugeMetricFamily(name, text, value))
    messages = CounterMetricFamily("ha_pp_mobility", "What became of messages, by event", labels=["event"])
    for event, count in sorted((state.counters + type(state.counters)(socket.counters)).items()):
        messages.add_metric([event], count)
    kernel = CounterMetricFamily("ha_pp_kernel", "What the data plane counted, by event", labels=["event"])
    for event, count in sorted(plane.stats().items()):
        kernel.add_metric([event], count)
    families += [messages, kernel]

    class Once:
        def collect(self) -> list[GaugeMetricFamily | CounterMetricFamily]:
            return families

    registry = CollectorRegistry()
    registry.register(Once())
    return generate_latest(registry)
