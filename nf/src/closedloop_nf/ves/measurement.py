"""From two readings of counters to the fields of measurement events."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from closedloop_nf.kernel.node_traffic import Traffic
from closedloop_nf.runtime.addresses import to_text
from closedloop_nf.runtime.clock import Instant
from closedloop_nf.ves import records as r
from closedloop_nf.ves.author import hash_map

NODES_PER_EVENT: Final = 1000
"""Mobile nodes in one event: about 250 kB, far below the 2 MB that a collector takes."""


class Interface(NamedTuple):
    """Counters of an interface since it was made."""

    received_octets: int
    received_packets: int
    received_discarded: int
    transmitted_octets: int
    transmitted_packets: int
    transmitted_discarded: int


class Host(NamedTuple):
    """Processor time of the whole machine in seconds since its start, and what memory is available in kibibytes."""

    busy_s: float
    soft_irq_s: float
    total_s: float
    available_kib: int


class Reading(NamedTuple):
    """Everything measured at one instant; counts only grow, except where a thing was made anew."""

    at: Instant
    bindings: int
    requests: int
    """Binding Updates so far."""
    process_s: float
    """Processor time of this process."""
    resident_kib: int
    host: Host
    interfaces: Mapping[str, Interface]
    nodes: Mapping[bytes, Traffic]
    """Home address -> traffic."""
    facts: Mapping[str, object] = {}
    """Further figures, as they are."""
    serving: bool = False
    """Whether it is an active HA-PP. A standby tells of no load, so that a policy does not take it for an idle one."""


def fields(name: str, before: Reading, after: Reading) -> Iterator[r.MeasurementFields]:
    """The events of the interval between two readings: one, and more where many mobile nodes had traffic. name: of the function.

    Every event has part and parts; only the first has the figures that are not of mobile nodes. Nothing when no time has passed.
    """
    seconds = after.at.mono - before.at.mono
    if seconds <= 0:
        return
    nodes = [entry for home, traffic in sorted(after.nodes.items()) if (entry := _node(home, before.nodes.get(home), traffic))]
    chunks = [nodes[at : at + NODES_PER_EVENT] for at in range(0, len(nodes), NODES_PER_EVENT)] or [[]]
    rate = max(0, after.requests - before.requests) / seconds
    figures = {**after.facts, **({"servedMbps": f"{_served_mbps(before, after, seconds):.6f}"} if after.serving else {})}
    for part, chunk in enumerate(chunks, 1):
        facts = hash_map({**(figures if part == 1 else {}), "part": part, "parts": len(chunks), "mobileNodesWithTraffic": len(nodes)})
        common = r.MeasurementFields(
            measurement_interval=seconds,
            concurrent_sessions=after.bindings,
            request_rate=rate,
            additional_measurements=chunk,
            additional_fields=facts,
        )
        yield common if part > 1 else _with_machine(common, name, before, after, seconds)


def _with_machine(common: r.MeasurementFields, name: str, before: Reading, after: Reading, seconds: float) -> r.MeasurementFields:
    return r.MeasurementFields(
        measurement_interval=common.measurement_interval,
        concurrent_sessions=common.concurrent_sessions,
        request_rate=common.request_rate,
        additional_measurements=common.additional_measurements,
        additional_fields=common.additional_fields,
        cpu_usage_array=[
            r.CpuUsage(cpu_identifier="process", percent_usage=_percent(after.process_s - before.process_s, seconds)),
            _host_cpu(before.host, after.host),
        ],
        memory_usage_array=[r.MemoryUsage(vm_identifier=name, memory_used=after.resident_kib, memory_free=after.host.available_kib)],
        nic_performance_array=[_interface(nic, before.interfaces.get(nic), counts) for nic, counts in sorted(after.interfaces.items())],
    )


def _host_cpu(before: Host, after: Host) -> r.CpuUsage:
    total = after.total_s - before.total_s
    return r.CpuUsage(
        cpu_identifier="host",
        percent_usage=_percent(after.busy_s - before.busy_s, total),
        cpu_usage_soft_irq=_percent(after.soft_irq_s - before.soft_irq_s, total),
    )


def _interface(name: str, before: Interface | None, after: Interface) -> r.NicPerformance:
    known = before if before is not None else after
    anew = any(new < old for new, old in zip(after, known, strict=True))
    change = Interface(*(max(0, new - old) for new, old in zip(after, known, strict=True)))
    return r.NicPerformance(
        nic_identifier=name,
        values_are_suspect="true" if anew or before is None else "false",
        received_octets_delta=change.received_octets,
        received_total_packets_delta=change.received_packets,
        received_discarded_packets_delta=change.received_discarded,
        transmitted_octets_delta=change.transmitted_octets,
        transmitted_total_packets_delta=change.transmitted_packets,
        transmitted_discarded_packets_delta=change.transmitted_discarded,
        received_octets_accumulated=after.received_octets,
        transmitted_octets_accumulated=after.transmitted_octets,
    )


def _node(home_address: bytes, before: Traffic | None, after: Traffic) -> r.NamedHashMap | None:
    """What a mobile node sent and got since; None where that is nothing."""
    change = after.since(before)
    if not any(change):
        return None
    return r.NamedHashMap(
        name="mobileNode",
        hash_map={
            "homeAddress": to_text(home_address),
            "fromNodeOctetsDelta": str(change.from_node_octets),
            "fromNodePacketsDelta": str(change.from_node_packets),
            "toNodeOctetsDelta": str(change.to_node_octets),
            "toNodePacketsDelta": str(change.to_node_packets),
        },
    )


def _served_mbps(before: Reading, after: Reading, seconds: float) -> float:
    """What all mobile nodes sent and got, without outer headers."""
    changes = (traffic.since(before.nodes.get(home)) for home, traffic in after.nodes.items())
    return sum(change.from_node_inner_octets + change.to_node_octets for change in changes) * 8 / seconds / 1e6


def _percent(part: float, whole: float) -> float:
    return round(max(0.0, 100.0 * part / whole), 2) if whole > 0 else 0.0
