"""Reports: the summary is right, the schema holds, bad figures are refused by name, files are whole."""

from __future__ import annotations

import csv
import itertools
import json
import statistics
from datetime import datetime
from pathlib import Path

import pytest
from closedloop_tools import report
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = json.loads((ROOT / "docs/schemas/result.schema.json").read_text())
VALIDATOR = Draft202012Validator(SCHEMA, format_checker=Draft202012Validator.FORMAT_CHECKER)


def written(tmp_path: Path, *args: object, **kwargs: object) -> dict[str, dict[str, dict[str, float]]]:
    folder = report.write_report(*args, directory=tmp_path, **kwargs)  # type: ignore[arg-type] # the tests also pass what it refuses
    result = json.loads((folder / "result.json").read_text())
    VALIDATOR.validate(result)
    return result  # type: ignore[no-any-return] # JSON


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(SCHEMA)


def test_a_report_summarises_the_numbers_of_its_runs(tmp_path: Path) -> None:
    runs = [{"lab": "a", "ok": True, "outage_ms": value} for value in (10.0, 30.0, 20.0)]
    result = written(tmp_path, "demo", runs)
    assert result["summary"] == {
        "outage_ms": {"unit": "ms", "n": 3, "min": 10, "mean": 20, "median": 20, "p95": 29, "p99": 29.8, "max": 30, "stdev": 10}
    }
    assert datetime.fromisoformat(str(result["started"])).tzinfo is not None


@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=50))
def test_percentiles_are_ordered_and_within_the_values(values: list[float]) -> None:
    summary = report.summarise("outage_ms", values)
    rising = [float(summary[name]) for name in ("min", "median", "p95", "p99", "max")]
    assert all(low <= high or low == pytest.approx(high) for low, high in itertools.pairwise(rising))
    assert summary["n"] == len(values)
    assert summary["mean"] == pytest.approx(statistics.fmean(values))


@pytest.mark.parametrize(
    ("figure", "unit"),
    [
        ("outage_ms", "ms"),
        ("registrations_per_s", "1/s"),
        ("tunnel_mbit_per_s", "Mbit/s"),
        ("bindings_10k_push_s", "s"),
        ("bindings_10k_ha_b_rss_mb", "MB"),
        ("tunnel_throughput_ratio", "ratio"),
        ("packets_lost", "count"),
    ],
)
def test_the_unit_is_the_end_of_the_name(figure: str, unit: str) -> None:
    assert report.unit_of(figure) == unit


def test_what_was_not_measured_in_a_run_is_left_out_of_the_summary(tmp_path: Path) -> None:
    result = written(tmp_path, "demo", [{"outage_ms": None, "sent": 5}, {"outage_ms": 7, "sent": 6}])
    assert result["summary"]["outage_ms"]["n"] == 1
    assert result["summary"]["outage_ms"]["stdev"] == 0


def test_runs_are_a_table_with_every_column(tmp_path: Path) -> None:
    written(tmp_path, "demo", [{"a_ms": 1}, {"a_ms": 2, "note": "line one\nline, two"}])
    with (tmp_path / "demo/runs.csv").open(newline="") as file:
        assert list(csv.DictReader(file)) == [{"a_ms": "1", "note": ""}, {"a_ms": "2", "note": "line one\nline, two"}]


def test_references_are_measured_or_published(tmp_path: Path) -> None:
    reference = {
        "plain routing": {"throughput_mbit_per_s": [5000.0, 5200.0]},
        "paper": {"outage_ms": report.published("ms", "table 2", median=310)},
    }
    result = written(tmp_path, "bench", [{"outage_ms": 5}], reference=reference)
    assert result["reference"]["plain routing"]["throughput_mbit_per_s"]["median"] == 5100  # type: ignore[index] # JSON
    assert result["reference"]["paper"]["outage_ms"] == {"unit": "ms", "source": "table 2", "median": 310}


def test_the_table_says_which_aims_are_met() -> None:
    built = report.build_report(
        "bench",
        [{"outage_ms": 40, "registrations_per_s": 1500}],
        aims={"outage_ms": report.at_most(50), "registrations_per_s": report.at_least(2000)},
    )
    table = report.render(built)
    assert "median at most 50: met" in table
    assert "median at least 2000: MISSED" in table


@pytest.mark.parametrize(
    ("runs", "aims", "complaint"),
    [
        ([], None, "'demo' has no run"),
        ([{"outage_ms": float("nan")}], None, "figure 'outage_ms' holds nan"),
        ([{"outage_ms": [1, 2]}], None, "run field 'outage_ms' is a list"),
        ([{"outage_ms": 1}], {"loss_ratio": report.at_most(1)}, "aims for ['loss_ratio']"),
    ],
)
def test_a_report_that_would_mislead_is_refused_and_changes_nothing(tmp_path: Path, runs: object, aims: object, complaint: str) -> None:
    with pytest.raises((ValueError, TypeError)) as refusal:
        written(tmp_path, "demo", runs, aims=aims)
    assert complaint in str(refusal.value)
    assert list(tmp_path.iterdir()) == []


def test_a_report_replaces_the_one_before_and_leaves_no_draft(tmp_path: Path) -> None:
    for value in (1, 2):
        result = written(tmp_path, "demo", [{"outage_ms": value}])
    assert result["summary"]["outage_ms"]["max"] == 2
    assert {file.name for file in (tmp_path / "demo").iterdir()} == {"result.json", "runs.csv"}


def test_every_report_in_the_checkout_keeps_the_contract() -> None:
    for file in (ROOT / "reports").glob("*/result.json"):
        VALIDATOR.validate(json.loads(file.read_text()))
