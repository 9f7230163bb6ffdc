"""Scenes: outages, stages, tables, pictures, and reports that keep the contract."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from closedloop_tools import demo, lab, report, scenes, timeline
from closedloop_tools.flow import Packet, longest_silence
from closedloop_tools.lab import Task
from closedloop_tools.scenes import Direction, Scene, Stage
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

ROOT = Path(__file__).resolve().parents[3]
VALIDATOR = Draft202012Validator(json.loads((ROOT / "docs/schemas/result.schema.json").read_text()))
MS = 1_000_000
CAUSE = 5_000 * MS


def direction(gone_ms: tuple[int, int], length_ms: int = 600) -> Direction:
    """A stream from 200 ms before the cause on, whose packets sent in `gone_ms` after it are lost."""
    packets = []
    for number in range(length_ms):
        sent = CAUSE + (number - 200) * MS
        lost = gone_ms[0] <= number - 200 < gone_ms[1]
        packets.append(Packet(number, sent, None if lost else sent + MS // 10))
    arrivals = [packet.received_ns for packet in packets if packet.received_ns is not None]
    return Direction(packets, longest_silence(arrivals, packets[0].sent_ns, packets[-1].sent_ns, 0.001))


def scene() -> Scene:
    stages = [
        Stage(CAUSE, "ha-pp-a killed", "cause"),
        Stage(CAUSE + 12 * MS, "ha-pp-a is proven dead", "HA-B"),
        Stage(CAUSE + 90 * MS, "host and HA-PP are started", "playbook"),
        Stage(CAUSE + 101 * MS, "traffic is back", "packets"),
    ]
    to, back = direction((0, 100)), direction((0, 40))
    return Scene("failover", "ha-pp-a dies", CAUSE - 200 * MS, CAUSE, CAUSE + 400 * MS, to, back, stages)


def test_the_outage_is_that_of_the_worse_direction_and_packets_are_those_of_both() -> None:
    assert scene().outage_ms == pytest.approx(100)
    assert (scene().sent, scene().lost) == (1200, 140)
    assert scene().resumed_ns == CAUSE + 100 * MS + MS // 10


def test_a_hiccup_of_the_undisturbed_direction_does_not_move_the_return_of_the_traffic() -> None:
    late = Scene("handover", "moves", 0, CAUSE, CAUSE + 400 * MS, direction((0, 20)), direction((300, 306)), [])
    assert late.resumed_ns == CAUSE + 20 * MS + MS // 10


def test_stages_are_figures_without_the_names_of_packet_processors() -> None:
    assert scenes.stage_figures(scene()) == {
        "after_is_proven_dead_ms": 12.0,
        "after_host_and_ha_pp_are_started_ms": 90.0,
        "after_traffic_is_back_ms": 101.0,
    }


def test_the_report_of_a_demo_keeps_the_contract() -> None:
    built = report.build_report("demo", [demo.record(scene())], aims={"failover_outage_ms": report.at_most(2000)})
    VALIDATOR.validate(json.loads(json.dumps(built)))
    assert built["summary"]["failover_outage_ms"]["median"] == pytest.approx(100)
    assert built["summary"]["packets_lost"]["max"] == 140


def test_the_table_tells_packets_outage_and_how_long_each_stage_took() -> None:
    lines = demo.table([scene()]).splitlines()
    assert lines[1].split() == ["ha-pp-a", "dies", "1200", "140", "100", "ms"]
    assert "    90 ms    78 ms   host and HA-PP are started (playbook)" in lines


@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_the_picture_shows_every_scene(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"timeline.{suffix}"
    timeline.draw([scene(), scene()], file)
    content = file.read_bytes()
    if suffix == "png":
        assert content.startswith(b"\x89PNG")
    else:
        assert content.count(b"ha-pp-a is proven dead") == 2
    assert len(content) > 10_000


@given(st.lists(st.integers(-100, 900), min_size=1, max_size=12), st.integers(1, 30))
def test_no_text_of_the_picture_covers_another_one(times_ms: list[int], length: int) -> None:
    stages = [Stage(CAUSE + at * MS, "x" * length, "HA-B") for at in times_ms]
    labels = timeline.place(stages, CAUSE, (-100.0, 1000.0))
    assert [label.stage for label in labels] == sorted(stages)
    areas: dict[int, list[tuple[float, float]]] = {}
    for label in labels:
        width = timeline._CHARACTER * len(timeline.text_of(label.stage, label.x_ms)) * 1100
        area = (label.x_ms - width, label.x_ms) if label.left else (label.x_ms, label.x_ms + width)
        assert all(area[1] <= low or high <= area[0] for low, high in areas.get(label.row, []))
        areas.setdefault(label.row, []).append(area)


def test_tasks_last_until_the_next_one_begins() -> None:
    lines = [json.dumps({"task": name, "mono_ns": at}) for name, at in (("first", 30), ("second", 50), ("end", 90))]
    assert lab.tasks(10, lines) == [Task("start of ansible-playbook", 10, 30), Task("first", 30, 50), Task("second", 50, 90)]


def test_the_tasks_that_are_stages_are_those_of_the_playbooks() -> None:
    names = {
        task.get("name")
        for folder in ("playbooks", "roles")
        for file in (ROOT / folder).rglob("*.yml")
        for task in named(yaml.safe_load(file.read_text()))
        if isinstance(task.get("name"), str)
    }
    assert set(scenes._PLAYBOOK_TOLD) <= names


def named(content: object) -> list[dict[str, object]]:
    """Every mapping in a YAML file."""
    found: list[dict[str, object]] = []
    if isinstance(content, dict):
        found.append(content)
        content = list(content.values())
    if isinstance(content, list):
        for item in content:
            found += named(item)
    return found
