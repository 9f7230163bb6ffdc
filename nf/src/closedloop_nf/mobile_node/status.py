"""What the mobile node tells of itself: /status, /readyz and /metrics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from closedloop_nf.mobile_node.core import MobileNodeCore
from closedloop_nf.runtime.addresses import to_text
from closedloop_nf.runtime.clock import Instant


def is_ready(core: MobileNodeCore) -> bool:
    """The home address works: a binding is in force, or the node is at home with nothing left to delete."""
    place = core.place
    if place is None:
        return False
    return core.registration.pending is None if place.home else core.registration.bound is not None


def status(core: MobileNodeCore, home_address: bytes, now: Instant) -> dict[str, Any]:
    """The state as JSON values. Addresses as text or null, times in seconds."""
    place, bound, pending = core.place, core.registration.bound, core.registration.pending
    return {
        "home_address": to_text(home_address),
        "location": "detached" if place is None else "home" if place.home else "away",
        "interface": None if place is None else place.interface,
        "router": None if place is None else to_text(place.router),
        "care_of_address": None if place is None or place.home else to_text(place.care_of_address),
        "bound": bound is not None,
        "home_agent": None if bound is None else to_text(bound.home_agent),
        "bound_care_of_address": None if bound is None else to_text(bound.care_of_address),
        "lifetime_s": None if bound is None else bound.lifetime_s,
        "remaining_s": None if bound is None else round(bound.expires_at - now.mono, 3),
        "registering": None if pending is None else to_text(pending.target.home_agent),
        "sequence": core.registration.sequence,
        "known_home_agents": [to_text(agent) for agent in core.home_agents.known],
        "clock_offset_s": round(core.clock.offset_s, 3),
        "home_prefixes": [str(prefix) for prefix, _ in core.prefixes.advertised],
    }


def metrics(core: MobileNodeCore, socket: Mapping[str, int], kernel: Mapping[str, int]) -> bytes:
    """Prometheus text. socket, kernel: counters of the Mobility Header socket and of the data plane."""
    from prometheus_client import CollectorRegistry, generate_latest
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    families: list[GaugeMetricFamily | CounterMetricFamily] = [
        GaugeMetricFamily("mobile_node_bound", "1 while a home agent has acknowledged a binding", int(core.registration.bound is not None)),
        GaugeMetricFamily("mobile_node_attached", "1 while a link carries the node", int(core.place is not None)),
    ]
    events = CounterMetricFamily("mobile_node_mobility", "What became of messages, by event", labels=["event"])
    for event, count in sorted((core.counters + type(core.counters)(socket)).items()):
        events.add_metric([event], count)
    drops = CounterMetricFamily("mobile_node_kernel", "What the data plane counted, by event", labels=["event"])
    for event, count in sorted(kernel.items()):
        drops.add_metric([event], count)
    families += [events, drops]

    class Once:
        def collect(self) -> list[GaugeMetricFamily | CounterMetricFamily]:
            return families

    registry = CollectorRegistry()
    registry.register(Once())
    return generate_latest(registry)
