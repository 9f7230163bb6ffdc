"""The same messages lead to the same onsets, however often and by whom they are read; a silence that was ours tells nothing."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from closedloop_loop.files import FileError
from closedloop_loop.kafka.messages import Message
from closedloop_loop.kafka.partition import Partition
from closedloop_loop.kafka.worker import refuse_divided_groups
from closedloop_loop.onset import Onset
from closedloop_loop.policy.model import Policy
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.loop.bench import policy

BEGIN_MS = 1_795_230_000_000


def loops(*conditions: dict[str, Any]) -> Policy:
    scope = {"sources": ["*"]}
    fields = [{"name": f"loop-{number}", "scope": scope, "action": "failover", "condition": each} for number, each in enumerate(conditions)]
    return msgspec.convert({"version": 1, "loops": fields}, Policy)


FAULT = {"kind": "fault", "alarms": ["homeAgentLost"]}
HELD_FAULT = {**FAULT, "hold_s": 2, "quiet_s": 1}
SILENCE = {"kind": "heartbeat_lost", "missed": 2}


def event(domain: str, number: int, source: str, time_ms: int, fields: dict[str, Any]) -> bytes:
    header = {
        "domain": domain,
        "eventId": f"{domain}-{number}",
        "sequence": 0,
        "sourceName": source,
        "reportingEntityName": source,
        "startEpochMicrosec": time_ms * 1000,
        "lastEpochMicrosec": time_ms * 1000,
    }
    return json.dumps({"event": {"commonEventHeader": header, f"{domain}Fields": fields}}).encode()


def heartbeat(number: int, source: str, time_ms: int) -> bytes:
    return event("heartbeat", number, source, time_ms, {"heartbeatInterval": 1})


def fault(number: int, source: str, time_ms: int, severity: str = "CRITICAL") -> bytes:
    return event("fault", number, source, time_ms, {"alarmCondition": "homeAgentLost", "eventSeverity": severity})


def log(*bodies: tuple[float, bytes]) -> list[Message]:
    """Messages at so many seconds after the beginning."""
    return [Message(0, offset, BEGIN_MS + round(at * 1000), body) for offset, (at, body) in enumerate(bodies)]


def marks(first: float, last: float) -> list[tuple[float, bytes]]:
    return [(first + step / 2, b"") for step in range(round((last - first) * 2) + 1)]


def read(rules: Policy, messages: list[Message]) -> list[Onset]:
    partition = Partition(rules, None)
    return [onset for message in messages for onset in partition.handle(message)]


def test_a_source_that_falls_silent_while_it_could_be_heard_is_lost() -> None:
    [told] = read(loops(SILENCE), log((0, heartbeat(1, "a", BEGIN_MS)), *marks(0.5, 5)))
    assert (told.target, told.reason, told.status) == ("a", "heartbeat_lost", "ONSET")


def test_a_silence_in_which_nobody_could_be_heard_is_ours() -> None:
    beats = [(0.0, heartbeat(1, "a", BEGIN_MS)), *marks(0.5, 1), *marks(100, 101), (101.2, heartbeat(2, "a", BEGIN_MS + 101_200))]
    assert read(loops(SILENCE), log(*beats, *marks(101.5, 103))) == []


def test_without_messages_time_stands_still() -> None:
    partition = Partition(loops(SILENCE), None)
    for message in log((0, heartbeat(1, "a", BEGIN_MS)), *marks(0.5, 1.5)):
        assert partition.handle(message) == []
    again = Partition(loops(SILENCE), partition.progress())
    assert again.handle(Message(0, 9, BEGIN_MS + 1600, b"")) == []
    assert [told.target for told in again.handle(Message(0, 10, BEGIN_MS + 2000, b""))] == ["a"]


def test_a_brokers_clock_that_is_set_back_loses_nobody() -> None:
    beats = [(number / 2, heartbeat(number, "a", BEGIN_MS + number * 500)) for number in range(8)]
    later = [(at - 3000, body) for at, body in [(number / 2, heartbeat(number, "a", BEGIN_MS)) for number in range(8, 16)]]
    assert read(loops(SILENCE), log(*beats, *later)) == []


def test_what_is_no_event_is_passed_over() -> None:
    bodies = [b"{", b"\xff", b"[" * 100_000, b"0", b'{"event":{}}', fault(1, "a", BEGIN_MS), fault(2, "{{ x }}", BEGIN_MS)]
    assert [told.target for told in read(loops(FAULT), log(*((0.1 * number, body) for number, body in enumerate(bodies))))] == ["a"]


def test_a_loop_that_the_policy_has_no_longer_is_abated() -> None:
    partition = Partition(loops(FAULT), None)
    [told] = partition.handle(log((0, fault(1, "a", BEGIN_MS)))[0])
    again = Partition(loops(SILENCE), partition.progress())
    assert [(onset.request_id, onset.status) for onset in again.due] == [(told.request_id, "ABATED")]


STEPS = st.lists(
    st.tuples(st.sampled_from([50, 400, 900, 5000, -700]), st.sampled_from("hhhfcm"), st.sampled_from("ab")), min_size=1, max_size=60
)


@given(STEPS, st.lists(st.tuples(st.integers(0, 60), st.integers(0, 8)), max_size=6))
def test_whoever_reads_from_any_recorded_place_tells_the_same(steps: list[tuple[int, str, str]], crashes: list[tuple[int, int]]) -> None:
    """crashes: at which message, and how many before it the last record was made."""
    rules = loops(FAULT, HELD_FAULT, SILENCE)
    now, messages, open_faults = BEGIN_MS, [], dict[str, int]()
    for number, (step, kind, source) in enumerate(steps):
        now += step
        body = b""
        if kind == "h":
            body = heartbeat(number, source, now)
        elif kind == "f":
            open_faults[source] = number
            body = fault(number, source, now)
        elif kind == "c" and source in open_faults:
            body = fault(number, source, now, "NORMAL")
        messages.append(Message(0, number, now, body))
    expected = read(rules, messages)

    told: list[Onset] = []
    partition, at, records = Partition(rules, None), 0, [None]
    left = sorted(crashes)
    while at < len(messages):
        if left and at >= left[0][0]:
            _, back = left.pop(0)
            record = records[max(0, len(records) - 1 - back)]
            partition = Partition(rules, record)
            at = partition.next
            records = records[: at + 1]
            continue
        told += partition.handle(messages[at])
        at += 1
        records.append(partition.progress())  # type: ignore[arg-type] # the first is None

    def identities(onsets: list[Onset]) -> list[Onset]:
        seen: dict[tuple[str, str], Onset] = {}
        for onset in onsets:
            assert seen.setdefault((onset.request_id, onset.status), onset) == onset
        return list(seen.values())

    assert identities(told) == identities(expected)


def test_a_condition_on_all_sources_together_needs_them_in_one_partition() -> None:
    divided = {"kind": "threshold", "across": "all", "figure": "cpu_percent", "above": 80, "clear": 60, "window_s": 10}
    refuse_divided_groups(policy(divided), 1)
    refuse_divided_groups(policy({**divided, "across": "each"}), 4)
    with pytest.raises(FileError, match="one partition"):
        refuse_divided_groups(policy(divided), 2)
