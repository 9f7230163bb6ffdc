"""What the project aims for (figure -> aim); a report gets those that it has figures for."""

from __future__ import annotations

from collections.abc import Iterable

from closedloop_tools.report import Aim, at_least, at_most

AIMS: dict[str, Aim] = {
    "registrations_per_s": at_least(2000),
    "bu_ba_ms": at_most(2),
    "tunnel_throughput_ratio": at_least(0.95),
    "bindings_10k_ha_b_rss_mb": at_most(200, of="max"),
    "bindings_10k_ha_pp_rss_mb": at_most(200, of="max"),
    "bindings_10k_push_s": at_most(2),
    "bindings_10k_throughput_ratio": at_least(0.95),
    "failover_cold_outage_ms": at_most(2000),
    "failover_standby_outage_ms": at_most(300),
    "failover_per_instance_outage_ms": at_most(300),
    "handover_outage_ms": at_most(50),
}


def aims_for(figures: Iterable[str]) -> dict[str, Aim]:
    return {figure: aim for figure, aim in AIMS.items() if figure in set(figures)}
