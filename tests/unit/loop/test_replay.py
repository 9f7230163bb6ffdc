"""A replay shows what a policy would have done, by the code that would do it."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from closedloop_loop.errors import CommandError
from closedloop_loop.policy.inventory import Inventory, Module, Region
from closedloop_loop.records import AnyRecord, FaultRaised
from closedloop_loop.replay.read import records
from closedloop_loop.replay.run import Replay

from tests.unit.loop.bench import cleared, heartbeat, measured, policy, raised

WORLD = Inventory(
    regions=[Region(name="region-a", capacity=2), Region(name="region-b", capacity=2)], modules=[Module(name="ha-pp-a", region="region-a")]
)


def replayed(stream: list[AnyRecord], world: Inventory | None = WORLD, operation_s: float = 2.0, **loop: Any) -> Replay:
    condition = loop.pop("condition", {"kind": "fault", "alarms": ["homeAgentLost"]})
    run = Replay(policy(condition, **loop), world, operation_s)
    run.run(stream)
    return run


def story(run: Replay) -> list[tuple[float, str]]:
    assert run.span_us is not None
    return [((event.at_us - run.span_us[0]) / 1e6, event.what) for event in run.happenings]


def test_onset_operation_and_end() -> None:
    run = replayed([heartbeat(0), raised(10), cleared(20, start=10), heartbeat(30)])
    assert story(run) == [(10, "onset"), (10, "failover"), (12, "done"), (20, "abated")]
    assert run.operations[0].region == "region-b"


def test_timers_ring_between_events() -> None:
    run = replayed([heartbeat(0), measured(60, 1.0), heartbeat(61)], condition={"kind": "heartbeat_lost", "missed": 3})
    assert story(run) == [(3, "onset"), (3, "failover"), (5, "done"), (61, "abated")]


def test_a_denial_is_shown_and_decided_again_when_its_guard_lets_go() -> None:
    stream: list[AnyRecord] = [raised(0, "f1"), cleared(3, "f1", start=0), raised(5, "f2"), heartbeat(200)]
    run = replayed(stream, guards={"frequency": [{"operations": 1, "within_s": 50}]})
    assert story(run) == [
        (0, "onset"),
        (0, "failover"),
        (2, "done"),
        (3, "abated"),
        (5, "onset"),
        (5, "denied"),
        (50, "failover"),
        (52, "done"),
    ]


def test_without_an_inventory_no_region_is_named() -> None:
    assert replayed([raised(0), heartbeat(9)], world=None).operations[0].region is None


def test_two_replays_are_the_same() -> None:
    stream: list[AnyRecord] = [raised(0), cleared(1, start=0), raised(2, "f2"), heartbeat(60)]
    first, second = replayed(stream), replayed(stream)
    assert first.happenings == second.happenings
    assert first.operations == second.operations


def test_events_out_of_order_and_far_in_the_future_do_no_harm() -> None:
    future = FaultRaised(source="s", event_id="e", sequence=0, start_us=2**53, time_us=2**53, alarm="homeAgentLost", severity="MAJOR")
    run = replayed([heartbeat(50), raised(10), future, cleared(20, start=10)], guards={"blackout": [{"start": "00:00", "end": "01:00"}]})
    assert run.records == 4


def test_a_recording_is_read_and_what_is_no_record_is_counted(tmp_path: Path) -> None:
    header = {"domain": "heartbeat", "eventId": "e", "sequence": 0, "sourceName": "s", "startEpochMicrosec": 1, "lastEpochMicrosec": 1}
    good, other, bad = ({"commonEventHeader": {**header, **more}} for more in ({}, {"domain": "syslog"}, {"sourceName": "{{ x }}"}))
    file = tmp_path / "events.jsonl"
    file.write_text(
        "\n".join([json.dumps({"event": good}), "", json.dumps({"eventList": [good, other]}), json.dumps({"event": bad}), "[]"])
    )
    rejected: Counter[str] = Counter()
    assert len(list(records(file, rejected))) == 2
    assert sum(rejected.values()) == 3
    assert not any("{{" in reason for reason in rejected)


@pytest.mark.parametrize("line", [b"{", b"\xff", b"[" * 100_000, b'"' + b"x" * 3_000_000 + b'"'])
def test_a_line_that_is_no_json_is_named(tmp_path: Path, line: bytes) -> None:
    file = tmp_path / "events.jsonl"
    file.write_bytes(b"{}\n" + line)
    with pytest.raises(CommandError, match="line 2"):
        list(records(file, Counter()))
