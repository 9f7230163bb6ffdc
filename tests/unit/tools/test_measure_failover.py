"""Measured failovers: stages of a scene, records of runs, and the report with its page."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from closedloop_tools.measure import failover, failover_report, runs
from closedloop_tools.scenes import Scene, Stage
from jsonschema import Draft202012Validator

from tests.unit.tools.test_scenes import CAUSE, MS, ROOT, direction

VALIDATOR = Draft202012Validator(json.loads((ROOT / "docs/schemas/result.schema.json").read_text()))


def scene() -> Scene:
    """Killed at CAUSE; the traffic is back after 100 ms."""
    stages = [
        Stage(CAUSE, "ha-pp-a killed", "cause"),
        Stage(CAUSE + 2 * MS, "ha-pp-a is missed", "HA-B"),
        Stage(CAUSE + 6 * MS, "operation event accepted", "loop"),
        Stage(CAUSE + 8 * MS, "operation accepted", "loop"),
        Stage(CAUSE + 9 * MS, "operation decided", "loop"),
        Stage(CAUSE + 30 * MS, "operation started", "loop"),
        Stage(CAUSE + 80 * MS, "ha-pp-b has all bindings", "HA-B"),
        Stage(CAUSE + 90 * MS, "Binding Update sent", "mobile node"),
        Stage(CAUSE + 300 * MS, "Binding Update sent", "mobile node"),
    ]
    return Scene("failover", "ha-pp-a dies", CAUSE - 200 * MS, CAUSE, CAUSE + 400 * MS, direction((0, 100)), direction((0, 40)), stages)


def test_each_stage_is_told_by_who_saw_it_and_by_its_first_time() -> None:
    assert failover.stages(scene()) == {
        "detection_ms": 2.0,
        "accepted_ms": 6.0,
        "onset_ms": 8.0,
        "rule_matched_ms": None,
        "first_task_ms": 30.0,
        "function_ready_ms": 80.0,
        "first_bu_ms": 90.0,
        "first_packet_ms": pytest.approx(100.1),
    }


def record(series: str, number: int, outage_s: float) -> runs.Record:
    figures: runs.Record = {name: 100.0 * (place + 1) + number for place, name in enumerate(failover.STAGES)}
    return {
        "series": series,
        "run": str(number),
        "failed": False,
        "scene": "ha-pp-a <dies>",
        "service_outage_s": outage_s,
        "redundancy_restored_s": outage_s,
        **figures,
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "failover"
    for number in range(1, 6):
        for series, outage_s in (("loop", 1.0), ("standby", 0.1), ("without_warm_runner", 1.5), ("by_hand", 1.4)):
            runs.add(place, record(series, number, outage_s + number / 100))
    runs.add(place, {"series": "loop", "run": "6", "failed": True, "error": "<b>nothing</b> came"})
    return place


def test_the_report_keeps_the_contract_and_sets_series_beside_the_published_figures(folder: Path) -> None:
    failover_report.write(folder)
    report = json.loads((folder / "result.json").read_text())
    VALIDATOR.validate(report)
    assert report["summary"]["service_outage_s"]["n"] == 5
    assert report["summary"]["service_outage_s"]["median"] == pytest.approx(1.03)
    assert report["summary"]["standby_service_outage_s"]["max"] == pytest.approx(0.15)
    assert report["reference"]["published experiment"]["service_outage_s"]["mean"] == 106.26
    assert report["reference"][failover_report.TITLES["by_hand"]]["service_outage_s"]["median"] == pytest.approx(1.43)
    assert {(folder / name).stat().st_size > 10_000 for name in ("outages.png", "stages.png")} == {True}


def test_the_page_tells_what_the_repair_time_is_worth(folder: Path) -> None:
    page = failover_report.write(folder).read_text()
    assert "<td>1N</td><td>122.95 d</td><td>28.611 h</td>" in page, "of a mean of 1.03 s"
    assert "five nines without a spare; repaired in 106.23 s it takes 2N" in page
    assert (folder / "availability.png").stat().st_size > 10_000


def test_a_failed_run_is_reported_and_its_text_is_escaped(folder: Path) -> None:
    page = failover_report.write(folder).read_text()
    assert "&lt;b&gt;nothing&lt;/b&gt; came" in page
    assert "<b>nothing" not in page
    assert len(json.loads((folder / "result.json").read_text())["runs"]) == 21
    assert failover_report.missed(folder) == ["1 of 21 runs failed"]


def test_what_is_slower_than_the_aim_is_told(folder: Path) -> None:
    runs.begin(folder)
    runs.add(folder, record("loop", 1, 3.2))
    assert failover_report.missed(folder) == [
        "service_outage_s: median 3.200, the aim is at most 1.5",
        "service_outage_s: max 3.200, the aim is at most 3",
    ]
