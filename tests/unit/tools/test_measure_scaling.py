"""Measured scale-outs: gains, records of runs, and the report with its page."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from closedloop_tools.measure import runs, scaling, scaling_report
from jsonschema import Draft202012Validator

from tests.unit.tools.test_scenes import ROOT

VALIDATOR = Draft202012Validator(json.loads((ROOT / "docs/schemas/result.schema.json").read_text()))


def record(series: str, number: int, lost: int = 0) -> runs.Record:
    return {
        "series": series,
        "run": str(number),
        "failed": False,
        **scaling.gains({"mn1": 470.0, "mn2": 480.0}, {"mn1": 940.0, "mn2": 936.0}),
        "moved": "mn2",
        "moved_lost_packets": lost,
        "moved_sent_packets": 9000,
        "scale_out_first_packet_s": 2.0 if series == "cold" else 0.4,
        "scale_out_done_s": 3.0,
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "scaling"
    for number in range(1, 4):
        for series in scaling.SERIES:
            runs.add(place, record(series, number))
    return place


def test_the_gain_of_a_mobile_node_is_what_it_gets_more_than_before() -> None:
    gained = scaling.gains({"mn1": 470.0, "mn2": 480.0}, {"mn1": 940.0, "mn2": 936.0})
    assert (gained["mn1_gain_mbps"], gained["mn1_gain_percent"], gained["mn2_gain_percent"]) == (470.0, 100.0, pytest.approx(95.0))


def test_the_report_keeps_the_contract_and_has_the_published_gains(folder: Path) -> None:
    page = scaling_report.write(folder).read_text()
    report = json.loads((folder / "result.json").read_text())
    VALIDATOR.validate(report)
    assert report["summary"]["mn1_gain_percent"]["n"] == 6
    assert report["summary"]["scale_out_first_packet_s"]["median"] == 2.0
    assert report["summary"]["standby_scale_out_first_packet_s"]["median"] == 0.4
    assert report["reference"]["published experiment"]["mn2_gain_percent"]["mean"] == 65.4
    assert "Of 54000 packets, 1 ms apart, moved mobile nodes lost 0." in page
    assert scaling_report.missed(folder) == []


def test_a_lost_packet_and_a_failed_run_are_told(folder: Path) -> None:
    runs.add(folder, record("cold", 4, lost=1))
    runs.add(folder, {"series": "cold", "run": "5", "failed": True, "error": "no scale_out within 90 s"})
    assert "no scale_out within 90 s" in scaling_report.write(folder).read_text()
    assert scaling_report.missed(folder) == ["1 of 8 runs failed", "moved_lost_packets: max 1.000, the aim is at most 0"]
