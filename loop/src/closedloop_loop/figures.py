"""The figures of a VES measurement: `measurementFields` (CommonEventFormat 30.2.1) as a flat map of name to number.

| figure | from | unit |
|---|---|---|
| `cpu_percent.<identifier>` | `cpuUsageArray[].percentUsage` | % |
| `cpu_percent` | the highest of the former | % |
| `memory_percent` | highest of `memoryUsageArray[]`: `percentMemoryUsage`, else used / (used + free) | % |
| `bindings` | `concurrentSessions` | |
| `binding_updates_per_s` | `requestRate` | 1/s |
| `received_mbps.<interface>`, `transmitted_mbps.<interface>` | `nicPerformanceArray[].*OctetsDelta` over the interval | Mbit/s |
| `received_mbps`, `transmitted_mbps` | sums of the former | Mbit/s |
| `utilization_percent.<interface>` | the higher of `receivedUtilization` and `transmittedUtilization`, else of rate / `speed` | % |
| `utilization_percent` | the highest of the former | % |
| `from_node_mbps.<home address>`, `to_node_mbps.<home address>` | `additionalMeasurements` named mobileNode, as HA-PP sends them | Mbit/s |
| `<name>.<label>` | other `additionalMeasurements`: name, and key of its hashMap | |
| `<name>` | `additionalFields`, where key and value are a figure's | |

Names in camel case become snake case: mobileNodesWithTraffic is `mobile_nodes_with_traffic`.

What is not in the table is dropped, as are interfaces whose values are suspect and text that the allow-list refuses.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from closedloop_loop.names import is_figure, is_name

MAX_FIGURES: Final = 32_768
"""Figures of one event: ten thousand mobile nodes with three each. An event with more is refused."""
LARGEST: Final = 1e15
MOBILE_NODE: Final = "mobile_node"

_CAPITAL = re.compile(r"(?<=[a-z0-9])[A-Z]")
_DECIMAL = re.compile(r"[0-9]{1,16}(?:\.[0-9]{1,16})?")


class TooMany(ValueError):
    """The measurement holds more than MAX_FIGURES figures."""


def number(value: Any) -> float | None:
    """A JSON number as a finite float in [0, 1e15]; None for anything else (a boolean, NaN, a negative or absurd number)."""
    if type(value) is not int and type(value) is not float:
        return None
    return float(value) if 0 <= value <= LARGEST else None  # comparison of a huge int is exact, and false with NaN


def decimal(value: Any) -> float | None:
    """A number written as text, as the hash maps of VES hold it."""
    if type(value) is not str or len(value) > 33 or _DECIMAL.fullmatch(value) is None:
        return None
    return number(float(value))


def read(fields: Mapping[str, Any], interval_s: float) -> dict[str, float]:
    """All figures of `measurementFields`. Raises TooMany."""
    figures: dict[str, float] = {}
    for name, value in _all(fields, interval_s):
        if len(figures) >= MAX_FIGURES:
            raise TooMany(f"more than {MAX_FIGURES} figures")
        figures[name] = value
    return figures


def _all(fields: Mapping[str, Any], interval_s: float) -> Iterator[tuple[str, float]]:
    yield from _additional(fields, interval_s)  # first: what VES itself defines wins over a field of the same name
    yield from _processor(fields)
    yield from _interfaces(fields, interval_s)
    for key, name in (("concurrentSessions", "bindings"), ("requestRate", "binding_updates_per_s")):
        if (value := number(fields.get(key))) is not None:
            yield name, value


def _objects(fields: Mapping[str, Any], key: str) -> Iterator[dict[str, Any]]:
    array = fields.get(key)
    if isinstance(array, list):
        yield from (item for item in array if isinstance(item, dict))


def _processor(fields: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    processors = []
    for item in _objects(fields, "cpuUsageArray"):
        if (percent := number(item.get("percentUsage"))) is not None:
            processors.append(percent)
            if is_name(identifier := item.get("cpuIdentifier")):
                yield f"cpu_percent.{identifier}", percent
    if processors:
        yield "cpu_percent", max(processors)
    memories = [value for item in _objects(fields, "memoryUsageArray") if (value := _memory_percent(item)) is not None]
    if memories:
        yield "memory_percent", max(memories)


def _memory_percent(item: Mapping[str, Any]) -> float | None:
    percent, used, free = number(item.get("percentMemoryUsage")), number(item.get("memoryUsed")), number(item.get("memoryFree"))
    if percent is not None:
        return percent
    return None if used is None or free is None or used + free == 0 else 100 * used / (used + free)


def _interfaces(fields: Mapping[str, Any], interval_s: float) -> Iterator[tuple[str, float]]:
    sums: dict[str, float] = {}
    utilizations: list[float] = []
    for item in _objects(fields, "nicPerformanceArray"):
        interface = item.get("nicIdentifier")
        if not is_name(interface) or item.get("valuesAreSuspect") == "true":
            continue
        rates = []
        for direction in ("received", "transmitted"):
            octets = number(item.get(f"{direction}OctetsDelta"))
            if octets is not None:
                rates.append(octets * 8 / interval_s / 1e6)
                sums[f"{direction}_mbps"] = sums.get(f"{direction}_mbps", 0.0) + rates[-1]
                yield f"{direction}_mbps.{interface}", rates[-1]
        utilization = _utilization(item, rates)
        if utilization is not None:
            utilizations.append(utilization)
            yield f"utilization_percent.{interface}", utilization
    yield from sums.items()
    if utilizations:
        yield "utilization_percent", max(utilizations)


def _utilization(item: Mapping[str, Any], rates_mbps: list[float]) -> float | None:
    told = [value for key in ("receivedUtilization", "transmittedUtilization") if (value := number(item.get(key))) is not None]
    if told:
        return max(told)
    speed_mbps = number(item.get("speed"))
    return 100 * max(rates_mbps) / speed_mbps if speed_mbps and rates_mbps else None


def _additional(fields: Mapping[str, Any], interval_s: float) -> Iterator[tuple[str, float]]:
    extra = fields.get("additionalFields")
    if isinstance(extra, dict):
        for key, text in extra.items():
            if is_figure(name := _snake(key)) and (value := decimal(text)) is not None:
                yield name, value
    for item in _objects(fields, "additionalMeasurements"):
        name, values = _snake(item.get("name")), item.get("hashMap")
        if not is_figure(name) or "." in name or not isinstance(values, dict):
            continue
        if name == MOBILE_NODE:
            yield from _mobile_node(values, interval_s)
            continue
        for label, text in values.items():
            if is_name(label) and is_figure(figure := f"{name}.{label}") and (value := decimal(text)) is not None:
                yield figure, value


def _mobile_node(values: Mapping[str, Any], interval_s: float) -> Iterator[tuple[str, float]]:
    home_address = values.get("homeAddress")
    if is_name(home_address):
        for direction in ("from", "to"):
            if (octets := decimal(values.get(f"{direction}NodeOctetsDelta"))) is not None:
                yield f"{direction}_node_mbps.{home_address}", octets * 8 / interval_s / 1e6


def _snake(key: Any) -> str:
    """camelCase to snake_case; what is no text, or too long for a figure, to nothing."""
    return _CAPITAL.sub(lambda found: "_" + found[0].lower(), key) if type(key) is str and len(key) <= 256 else ""
