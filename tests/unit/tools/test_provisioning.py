"""What the report of a provision says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from closedloop_tools import provisioning


def result(wall_ms: int, api_ms: int, *, changed: bool = True) -> dict[str, Any]:
    kinds = {"server": {"calls": 8, "api_ms": api_ms, "own_ms": 100}}
    return {"changed": changed, "steps": [], "times": {"wall_ms": wall_ms, "api_ms": api_ms, "kinds": kinds}}


def test_the_clouds_own_time_is_that_of_one_thing_after_the_other(tmp_path: Path) -> None:
    results = {"one_at_a_time": result(1100, 1000), "first": result(600, 3000), "again": result(120, 90, changed=False)}
    assert "provision_to_cloud_ratio: 0.60" in provisioning.main(tmp_path, results)
    report = json.loads((tmp_path / "provision/result.json").read_text())
    assert report["runs"][0]["cloud_alone_ms"] == 1000
    assert report["summary"]["second_to_first_run_ratio"]["median"] == pytest.approx(0.2)
    assert report["aims"]["provision_to_cloud_ratio"] == {"of": "median", "at_most": 1.5}


def test_a_second_run_that_changes_something_is_no_measurement(tmp_path: Path) -> None:
    results = {"one_at_a_time": result(1, 1), "first": result(1, 1), "again": result(1, 1)}
    with pytest.raises(SystemExit, match="the second run changed something"):
        provisioning.main(tmp_path, results)
