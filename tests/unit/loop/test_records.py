"""Events become records of allow-listed scalars, or a reason; nothing else gets through and nothing breaks."""

from __future__ import annotations

import copy
import json
import re
from typing import Any

import msgspec
import pytest
from closedloop_loop.names import FIGURE_PATTERN, NAME_PATTERN
from closedloop_loop.records import (
    FaultCleared,
    FaultRaised,
    Heartbeat,
    Measurement,
    OutOfService,
    Rejected,
    Removed,
    decode,
    encode,
    from_event,
)
from closedloop_nf.runtime.clock import Instant
from closedloop_nf.ves import records as sender
from closedloop_nf.ves.author import Author, Memory
from hypothesis import given
from hypothesis import strategies as st

ATTACKS = [
    "{{ lookup('pipe', 'touch /tmp/canary') }}",
    "{% for x in y %}",
    "$(touch canary)",
    "`id`",
    "a;b",
    "!unsafe x",
    "../../etc/passwd",
    "a..b",
    "\x1b[31m",
    "name\n",
    "na\u200bme",
    "n\u0430me",
    "a" * 129,
    "",
    "-rf",
    ".hidden",
    "a b",
    "\ud800",
]


def event(domain: str, fields: dict[str, Any], **header: Any) -> dict[str, Any]:
    common = {
        "domain": domain,
        "eventId": "e-1",
        "sequence": 3,
        "sourceName": "ha-pp-a",
        "reportingEntityName": "ha-b",
        "startEpochMicrosec": 1_795_230_000_000_000,
        "lastEpochMicrosec": 1_795_230_001_000_000,
    }
    return {"event": {"commonEventHeader": {**common, **header}, f"{domain}Fields": fields}}


FAULT = event(
    "fault",
    {
        "alarmCondition": "homeAgentLost",
        "eventSeverity": "CRITICAL",
        "alarmAdditionalInformation": {"region": "region-a", "other": "{{ x }}"},
    },
)
MEASUREMENT = event(
    "measurement",
    {
        "measurementInterval": 5,
        "concurrentSessions": 120,
        "requestRate": 933.5,
        "cpuUsageArray": [{"cpuIdentifier": "process", "percentUsage": 41.5}, {"cpuIdentifier": "host", "percentUsage": 20}],
        "memoryUsageArray": [{"vmIdentifier": "x", "memoryUsed": 3, "memoryFree": 1}],
        "nicPerformanceArray": [
            {
                "nicIdentifier": "eth0",
                "receivedOctetsDelta": 625_000,
                "transmittedOctetsDelta": 1_250_000,
                "speed": 10,
                "valuesAreSuspect": "false",
            },
            {"nicIdentifier": "eth1", "receivedOctetsDelta": 9, "valuesAreSuspect": "true"},
        ],
        "additionalMeasurements": [
            {"name": "mobileNode", "hashMap": {"homeAddress": "2001:db8::9", "fromNodeOctetsDelta": "625000", "toNodeOctetsDelta": "0"}},
            {"name": "queue", "hashMap": {"depth": "7", "{{ x }}": "1"}},
        ],
        "additionalFields": {"mobileNodesWithTraffic": "2", "note": "text"},
    },
)
HEARTBEAT = event("heartbeat", {"heartbeatInterval": 20})


def texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for key, item in value.items() for text in (key, *texts(item))]
    return [text for item in value for text in texts(item)] if isinstance(value, list) else []


def holds(record: Any) -> None:
    """The promise: what is in a record is allow-listed, survives the journal, and every text is harmless."""
    assert decode(encode(record)) == record
    for text in texts(msgspec.to_builtins(record)):
        assert re.search(NAME_PATTERN, text) or re.search(FIGURE_PATTERN, text), text


def test_a_fault_with_a_severity_is_raised_and_with_normal_it_is_cleared() -> None:
    record = from_event(FAULT)
    assert isinstance(record, FaultRaised)
    assert (record.source, record.alarm, record.severity, record.sequence) == ("ha-pp-a", "homeAgentLost", "CRITICAL", 3)
    assert record.attributes == {"cloud_region_id": "region-a"}
    clearing = copy.deepcopy(FAULT)
    clearing["event"]["faultFields"]["eventSeverity"] = "NORMAL"
    assert isinstance(from_event(clearing), FaultCleared)


def test_a_measurement_gives_figures_with_their_units() -> None:
    record = from_event(MEASUREMENT)
    assert isinstance(record, Measurement)
    assert record.figures == {
        "from_node_mbps.2001:db8::9": 1.0,
        "to_node_mbps.2001:db8::9": 0.0,
        "queue.depth": 7.0,
        "mobile_nodes_with_traffic": 2.0,
        "cpu_percent.process": 41.5,
        "cpu_percent.host": 20.0,
        "cpu_percent": 41.5,
        "memory_percent": 75.0,
        "received_mbps.eth0": 1.0,
        "transmitted_mbps.eth0": 2.0,
        "utilization_percent.eth0": 20.0,
        "received_mbps": 1.0,
        "transmitted_mbps": 2.0,
        "utilization_percent": 20.0,
        "bindings": 120.0,
        "binding_updates_per_s": 933.5,
    }
    holds(record)


def test_a_heartbeat_tells_when_the_next_one_comes() -> None:
    assert isinstance(record := from_event(HEARTBEAT["event"]), Heartbeat)
    assert record.interval_s == 20


def test_a_domain_that_analytics_does_not_use_is_no_error() -> None:
    rejected = from_event(event("syslog", {}))
    assert isinstance(rejected, Rejected)
    assert rejected.other


def test_a_function_that_says_it_stops_is_not_expected_to_send_heartbeats() -> None:
    fields = {"oldState": "inService", "newState": "outOfService", "stateInterface": "x"}
    assert isinstance(from_event(event("stateChange", fields, reportingEntityName="ha-pp-a")), OutOfService)
    assert isinstance(from_event(event("stateChange", fields)), Rejected)  # said by another: that is a loss, and a fault tells it


def test_of_notifications_only_a_removal_is_used() -> None:
    removal = from_event(event("notification", {"changeIdentifier": "ha-pp-a", "changeType": "homeAgentRemoved"}))
    assert isinstance(removal, Removed)
    assert (removal.source, removal.own) == ("ha-pp-a", False)
    other = from_event(event("notification", {"changeIdentifier": "ha-pp-a", "changeType": "homeAgentStopped"}))
    assert isinstance(other, Rejected)
    assert other.other


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize(
    ("base", "path"),
    [
        (FAULT, ("commonEventHeader", "sourceName")),
        (FAULT, ("faultFields", "alarmCondition")),
        (FAULT, ("faultFields", "eventSeverity")),
        (HEARTBEAT, ("commonEventHeader", "domain")),
    ],
)
def test_text_that_is_not_allowed_is_refused_and_not_repeated(base: dict[str, Any], path: tuple[str, str], attack: str) -> None:
    hostile = copy.deepcopy(base)
    hostile["event"][path[0]][path[1]] = attack
    rejected = from_event(hostile)
    assert isinstance(rejected, Rejected)
    assert not attack or attack not in rejected.reason or attack in ("a b",)


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_odd_event_id_stays_an_identity_without_its_text(attack: str) -> None:
    record = from_event(event("heartbeat", {"heartbeatInterval": 1}, eventId=attack))
    if attack:
        assert isinstance(record, Heartbeat)
        holds(record)
    else:
        assert isinstance(record, Rejected)


@pytest.mark.parametrize("value", [True, -1, float("nan"), float("inf"), 10**400, "1", None, [], 2**53 + 1])
@pytest.mark.parametrize("key", ["sequence", "startEpochMicrosec", "lastEpochMicrosec"])
def test_a_number_out_of_bounds_is_refused(key: str, value: Any) -> None:
    assert isinstance(from_event(event("heartbeat", {}, **{key: value})), Rejected)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.sampled_from(ATTACKS),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)


@given(json_values)
def test_any_value_gives_a_record_or_a_reason(value: Any) -> None:
    assert isinstance(from_event(value), Rejected)


@given(st.sampled_from([FAULT, MEASUREMENT, HEARTBEAT]), st.data())
def test_an_event_with_anything_anywhere_gives_a_harmless_record_or_a_reason(base: dict[str, Any], data: st.DataObject) -> None:
    hostile = json.loads(json.dumps(base))
    for _ in range(data.draw(st.integers(1, 3))):
        node: Any = hostile["event"]
        while True:
            keys = list(node) if isinstance(node, dict) else list(range(len(node)))
            if not keys:
                break
            key = data.draw(st.sampled_from(keys))
            if isinstance(node[key], dict | list) and data.draw(st.booleans()):
                node = node[key]
            else:
                node[key] = data.draw(json_values)
                break
    record = from_event(hostile)
    if not isinstance(record, Rejected):
        holds(record)


def test_what_the_backend_sends_becomes_records() -> None:
    author = Author("ha-b", "ha-b", Memory(), 0)
    now = Instant(1.0, 1_795_230_000.0)
    [loss] = author.raise_alarm("ha-pp-a", "homeAgentLost", "CRITICAL", now, {"region": "region-a"})
    [end] = author.clear_alarm("ha-pp-a", "homeAgentLost", Instant(2.0, 1_795_230_001.0), {})
    begun, ended = from_event(msgspec.json.decode(loss.body)), from_event(msgspec.json.decode(end.body))
    assert isinstance(begun, FaultRaised)
    assert isinstance(ended, FaultCleared)
    assert (begun.event_id, begun.start_us) == (ended.event_id, ended.start_us)
    assert ended.sequence == begun.sequence + 1
    [beat] = author.heartbeat(5, now)
    assert isinstance(from_event(msgspec.json.decode(beat.body)), Heartbeat)
    assert sender.decode(loss.body).common_event_header.source_name == begun.source
