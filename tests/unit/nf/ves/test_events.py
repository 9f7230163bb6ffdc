"""Every kind of event that the functions can send is an event of our own schema and of the published one."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
from closedloop_nf.ha_b.actions import EVENT_KINDS, Notify
from closedloop_nf.kernel.node_traffic import Traffic
from closedloop_nf.runtime.clock import Instant
from closedloop_nf.ves import measurement, records
from closedloop_nf.ves.author import Author, Memory, Written
from closedloop_nf.ves.home_agent_backend import Changed, HomeAgentBackend
from closedloop_nf.ves.measurement import Host, Interface, Reading
from closedloop_nf.ves.packet_processor import Observed, PacketProcessor
from closedloop_nf.ves.schedule import Action, Begin, Emit, End, Measure
from hypothesis import given
from hypothesis import strategies as st

PUBLISHED = Path(os.environ.get("VES_SCHEMA") or Path(__file__).parents[5] / "shared" / "reference" / "CommonEventFormat_30.2.1_ONAP.json")
"""Not part of the repository: VES_SCHEMA names the file where it lies elsewhere."""
Check = Callable[[Iterable[Written]], list[dict[str, Any]]]
HOME = bytes.fromhex("20010db8000100000000000000000011")


def at(seconds: float) -> Instant:
    return Instant(seconds, 1_800_000_000 + seconds)


@pytest.fixture(scope="session")
def check() -> Check:
    """Decodes events after asking both schemas about each; without the published one, one test fails for all."""
    published = jsonschema.Draft4Validator(json.loads(PUBLISHED.read_text("utf-8")) if PUBLISHED.is_file() else {})
    own = jsonschema.Draft202012Validator(records.schema())

    def checked(events: Iterable[Written]) -> list[dict[str, Any]]:
        bodies = [json.loads(event.body) for event in events]
        for event, body in zip(events, bodies, strict=True):
            own.validate(body)
            records.decode(event.body)
            published.validate({"event": body})
        published.validate({"eventList": bodies})
        return bodies

    return checked


def emitted(actions: Iterable[Action]) -> list[Written]:
    return [event for action in actions if isinstance(action, Emit) for event in action.events]


class Backend:
    """The core of HA-B's reports, fed with state changes."""

    def __init__(self, memory: Memory | None = None) -> None:
        self.author = Author("ha-b", "ha-b", memory or Memory(), 100)
        self.core = HomeAgentBackend(self.author, 1.0, 10)

    def change(self, kind: str, seconds: float = 1.0, name: str = "ha-pp-a", **details: str | int | float) -> list[Written]:
        changed = Changed(Notify(kind, name, at(seconds).wall, details), "region-a", "active", True, 7, 1)
        return emitted(self.core.handle(changed, at(seconds)))


def reading(seconds: float, **changes: Any) -> Reading:
    values: dict[str, Any] = {
        "at": at(seconds),
        "bindings": 3,
        "requests": int(100 * seconds),
        "process_s": 0.25 * seconds,
        "resident_kib": 40_000,
        "host": Host(1.5 * seconds, 0.5 * seconds, 2.0 * seconds, 1_000_000),
        "interfaces": {"up0": Interface(int(1000 * seconds), 10, 0, int(2000 * seconds), 20, 1)},
        "nodes": {HOME: Traffic(int(500 * seconds), int(5 * seconds), 0, 0)},
        "facts": {"role": "active"},
    }
    return Reading(**(values | changes))


def summary(event: dict[str, Any]) -> tuple[str, str]:
    header = event["commonEventHeader"]
    return header["domain"], header["eventName"].rsplit("_", 1)[1]


def test_the_published_schema_is_asked() -> None:
    assert PUBLISHED.is_file(), f"{PUBLISHED} is missing: name the file CommonEventFormat_30.2.1_ONAP.json by the variable VES_SCHEMA"
    published = jsonschema.Draft4Validator(json.loads(PUBLISHED.read_text("utf-8")))
    header = json.loads(Author("ha-b", "ha-b", Memory(), 0).heartbeat(10, at(1.0))[0].body)["commonEventHeader"]
    assert published.is_valid({"event": {"commonEventHeader": header}})
    assert not published.is_valid({"event": {"commonEventHeader": header | {"domain": "unheard"}}})


def test_every_state_change_of_ha_b_gives_valid_events(check: Check) -> None:
    details: dict[str, str | int | float] = {
        "epoch": 5, "reason": "reset", "proof": "process_gone", "bindings": 7, "previous_owner": "ha-pp-b", "duration_ms": 1.25,
        "to": "ha-pp-b", "code": "authentication", "peer": "::1", "role": "active", "region": "a",
    }  # fmt: skip
    backend = Backend()
    said = {kind: [summary(event) for event in check(backend.change(kind, number, **details))] for number, kind in enumerate(EVENT_KINDS)}
    assert said == {
        "hello": [("notification", "homeAgentConnected")],
        "refused": [],
        "superseded": [("notification", "sessionSuperseded")],
        "ready": [("stateChange", "mobilityService")],
        "not_ready": [("fault", "mobilitySocketClosed"), ("stateChange", "mobilityService")],
        "lost": [("fault", "homeAgentLost")],
        "stopped": [("notification", "homeAgentStopped")],
        "adopted": [("notification", "bindingsAdopted")],
        "relinquished": [("notification", "bindingsRelinquished")],
        "draining": [("stateChange", "mobilityService"), ("notification", "homeAgentDraining")],
        "drained": [("notification", "homeAgentDrained")],
        "resumed": [("stateChange", "mobilityService"), ("notification", "homeAgentResumed")],
        "switch": [("notification", "mobileNodesSwitched")],
        "forgotten": [
            ("fault", "mobilitySocketClosed"),
            ("fault", "homeAgentLost"),
            ("notification", "homeAgentRemoved"),
        ],
    }


def test_a_loss_is_raised_once_and_cleared_once_with_the_same_id_and_start(check: Check) -> None:
    backend = Backend()
    raised = check(backend.change("lost", 1.0, reason="reset"))[0]
    assert backend.change("stopped", 2.0, proof="process_gone") != []  # a notification, no second fault
    cleared = check(backend.change("ready", 5.0))[0]
    first, second = raised["commonEventHeader"], cleared["commonEventHeader"]
    assert (first["eventId"], first["startEpochMicrosec"]) == (second["eventId"], second["startEpochMicrosec"])
    assert (first["sequence"], second["sequence"]) == (0, 1)
    assert first["startEpochMicrosec"] == first["lastEpochMicrosec"] == at(1.0).wall * 1e6
    assert second["lastEpochMicrosec"] == at(5.0).wall * 1e6
    assert (first["sourceName"], first["reportingEntityName"]) == ("ha-pp-a", "ha-b")
    assert raised["faultFields"]["eventSeverity"] == "CRITICAL"
    assert cleared["faultFields"]["eventSeverity"] == "NORMAL"
    assert raised["faultFields"]["alarmAdditionalInformation"] == {
        "region": "region-a", "role": "active", "reason": "reset", "bindings": "7", "standbysReady": "1"
    }  # fmt: skip
    assert [summary(event) for event in check(backend.change("ready", 6.0))] == []
    again = check(backend.change("lost", 7.0, reason="reset"))[0]
    assert again["commonEventHeader"]["eventId"] != first["eventId"]


def test_an_alarm_raised_before_a_restart_is_cleared_after_it(check: Check) -> None:
    backend = Backend()
    raised = check(backend.change("lost", 1.0, reason="missed_beats"))[0]
    memory = msgspec.json.decode(msgspec.json.encode(backend.author.memory), type=Memory)
    cleared = check(Backend(memory).change("ready", 9.0))[0]
    assert cleared["commonEventHeader"]["eventId"] == raised["commonEventHeader"]["eventId"]
    assert cleared["commonEventHeader"]["sequence"] == 1


def test_an_end_that_nobody_saw_is_a_fault_and_a_wanted_end_is_none() -> None:
    assert [event.domain for event in Backend().change("stopped", proof="lease_ended")] == ["fault", "notification"]
    for kind, reason in (("stopped", "bye"), ("stopped", "relinquished"), ("stopped", "replaced"), ("lost", "fenced")):
        assert "fault" not in [event.domain for event in Backend().change(kind, reason=reason, proof=reason)]


@pytest.mark.parametrize(("kind", "reason"), [("ready", "returned"), ("forgotten", "removed"), ("stopped", "stopped")])
def test_alarms_end_by_return_removal_and_clean_stop(kind: str, reason: str, check: Check) -> None:
    backend = Backend()
    backend.change("not_ready")
    cleared = check(backend.change(kind, proof="bye"))[0]
    assert cleared["faultFields"]["eventSeverity"] == "NORMAL"
    assert cleared["faultFields"]["alarmAdditionalInformation"]["reason"] == reason


@given(st.text(), st.text(min_size=1))
def test_text_from_the_network_comes_out_as_words_or_not_at_all(region: str, reason: str) -> None:
    backend = Backend()
    changed = Changed(Notify("lost", "ha-pp-a", 1.0, {"reason": reason}), region, "active", True)
    for event in emitted(backend.core.handle(changed, at(1.0))):
        records.decode(event.body)  # refuses whatever is no Word


def test_an_ha_pp_tells_of_its_socket_its_state_and_its_role(check: Check) -> None:
    core = PacketProcessor(Author("ha-pp-a", "ha-pp", Memory(), 0), "region-a", 1.0, 10)

    def seen(*observed: Any) -> list[tuple[str, str]]:
        return [summary(event) for event in check(emitted(core.handle(Observed(*observed), at(1.0))))]

    assert seen(False, True, "standby", 1, 0) == []
    assert seen(True, True, "standby", 1, 0) == [("stateChange", "mobilityService")]
    assert seen(True, True, "active", 1, 0) == [("notification", "roleChanged")]
    assert seen(False, False, "active", 1, 5) == [("fault", "mobilitySocketClosed"), ("stateChange", "mobilityService")]
    assert seen(True, True, "active", 1, 5) == [("fault", "mobilitySocketClosed"), ("stateChange", "mobilityService")]
    ended = check(emitted(core.handle(End(), at(2.0))))
    assert ended[0]["stateChangeFields"]["newState"] == "outOfService"
    assert core.deadline() is None


def test_heartbeats_and_measurements_come_at_their_intervals_and_never_in_a_burst(check: Check) -> None:
    core = HomeAgentBackend(Author("ha-b", "ha-b", Memory(), 0), 1.0, 10)
    actions = core.handle(Begin(), at(0.0))
    assert [summary(event) for event in check(emitted(actions))] == [("stateChange", "mobilityService"), ("heartbeat", "alive")]
    assert Measure() in actions
    assert core.deadline() == 1.0
    assert core.tick(at(0.5)) == []
    late = core.tick(at(35.5))
    assert (len(emitted(late)), late.count(Measure())) == (1, 1)
    assert core.deadline() == 36.0
    assert core.handle(reading(1.0), at(1.0)) == []
    (event,) = check(emitted(core.handle(reading(3.0), at(3.0))))
    fields = event["measurementFields"]
    assert event["commonEventHeader"]["startEpochMicrosec"] == at(1.0).wall * 1e6
    assert (fields["measurementInterval"], fields["requestRate"], fields["concurrentSessions"]) == (2.0, 100.0, 3)
    assert fields["cpuUsageArray"] == [
        {"cpuIdentifier": "process", "percentUsage": 25.0},
        {"cpuIdentifier": "host", "percentUsage": 75.0, "cpuUsageSoftIrq": 25.0},
    ]
    assert fields["memoryUsageArray"] == [{"vmIdentifier": "ha-b", "memoryUsed": 40_000, "memoryFree": 1_000_000}]
    assert (fields["nicPerformanceArray"][0]["receivedOctetsDelta"], fields["nicPerformanceArray"][0]["valuesAreSuspect"]) == (
        2000,
        "false",
    )
    assert fields["additionalMeasurements"] == [
        {
            "name": "mobileNode",
            "hashMap": {
                "homeAddress": "2001:db8:1::11",
                "fromNodeOctetsDelta": "1000",
                "fromNodePacketsDelta": "10",
                "toNodeOctetsDelta": "0",
                "toNodePacketsDelta": "0",
            },
        }
    ]


def test_an_active_ha_pp_tells_its_load_without_outer_headers_and_a_standby_tells_none() -> None:
    other = HOME[:8] + bytes(8)
    before = reading(1.0, nodes={HOME: Traffic(1000, 10, 500, 5)})
    nodes = {HOME: Traffic(1000 + 125_400, 10 + 10, 500 + 125_000, 5 + 100), other: Traffic(0, 0, 250_000, 200)}
    (fields,) = measurement.fields("ha-pp-a", before, reading(3.0, nodes=nodes, serving=True))
    assert fields.additional_fields["servedMbps"] == "2.000000"
    (fields,) = measurement.fields("ha-pp-a", before, reading(3.0, nodes={}, serving=True))
    assert fields.additional_fields["servedMbps"] == "0.000000"
    (fields,) = measurement.fields("ha-pp-a", before, reading(3.0, nodes=nodes, serving=False))
    assert "servedMbps" not in fields.additional_fields


def test_counters_that_began_anew_count_from_zero_and_are_marked() -> None:
    before = reading(2.0)
    after = reading(3.0, interfaces={"up0": Interface(5, 1, 0, 5, 1, 0)}, nodes={HOME: Traffic(40, 1, 0, 0)})
    (fields,) = measurement.fields("ha-pp-a", before, after)
    assert isinstance(fields.nic_performance_array, list)
    assert fields.nic_performance_array[0].values_are_suspect == "true"
    assert fields.nic_performance_array[0].received_octets_delta == 0
    assert isinstance(fields.additional_measurements, list)
    assert fields.additional_measurements[0].hash_map["fromNodeOctetsDelta"] == "40"


def test_many_mobile_nodes_share_the_figures_of_an_interval_among_events_of_bounded_size(check: Check) -> None:
    count = 2 * measurement.NODES_PER_EVENT + 1
    homes = [HOME[:8] + number.to_bytes(8, "big") for number in range(count)]
    idle = {home: Traffic() for home in homes}
    core = PacketProcessor(Author("ha-pp-a", "ha-pp", Memory(), 0), "a", 1.0, 10)
    core.handle(reading(1.0, nodes=idle), at(1.0))
    busy = {home: Traffic(2**50, 2**40, 2**50, 2**40) for home in homes}
    events = emitted(core.handle(reading(2.0, nodes=busy | {HOME[:8] + b"\xff" * 8: Traffic()}), at(2.0)))
    assert max(len(event.body) for event in events) < 500_000
    bodies = check(events)
    parts = [(f["additionalFields"]["part"], f["additionalFields"]["parts"]) for f in (body["measurementFields"] for body in bodies)]
    assert parts == [("1", "3"), ("2", "3"), ("3", "3")]
    named = {node["hashMap"]["homeAddress"] for body in bodies for node in body["measurementFields"]["additionalMeasurements"]}
    assert len(named) == count
    assert ["cpuUsageArray" in body["measurementFields"] for body in bodies] == [True, False, False]


def test_an_event_with_the_fields_of_another_domain_is_refused() -> None:
    author = Author("ha-b", "ha-b", Memory(), 0)
    body = json.loads(author.heartbeat(10, at(1.0))[0].body)
    body["commonEventHeader"]["domain"] = "fault"
    with pytest.raises(msgspec.ValidationError, match="faultFields"):
        records.decode(json.dumps(body).encode())
