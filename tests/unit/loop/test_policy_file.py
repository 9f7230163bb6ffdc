"""A policy file is checked before anything runs, and every error names file and field."""

from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest
import yaml
from closedloop_loop.files import FileError, parse
from closedloop_loop.policy.load import load_inventory, load_policy, schema
from closedloop_loop.policy.model import Policy

GOOD = """
version: 1
loops:
  - name: ha-pp-failover
    scope: {sources: ["ha-pp-*"], target_type: VF_MODULE}
    condition: {kind: fault, alarms: [homeAgentLost], severity: MAJOR, damping: {onsets: 3, within_s: 600}}
    action: failover
    target: {regions: [region-a, region-b], anti_affinity: required}
    guards:
      min_instances: 1
      max_instances: 4
      frequency: [{operations: 3, within_s: 3600, per: target}]
      blackout: [{start: "22:00", end: "06:00", days: [sat, sun]}]
    timeout_s: 60
    retries: 2
    on_failure: block
  - name: ha-pp-overload
    scope: {sources: ["*"]}
    condition: {kind: threshold, figure: received_mbps.eth0, above: 800, clear: 600, window_s: 10}
    action: scale_out
"""


def test_a_good_policy_is_read_and_fits_its_schema() -> None:
    policy = parse(GOOD, Policy)
    assert [loop.name for loop in policy.loops] == ["ha-pp-failover", "ha-pp-overload"]
    jsonschema.Draft202012Validator(schema()).validate(yaml.safe_load(GOOD))


@pytest.mark.parametrize(
    ("found", "replaced", "field", "says"),
    [
        ("version: 1", "version: 2", "version", ""),
        ("action: failover", "action: reboot", "loops[0].action", "docs/policy.md"),
        ("kind: fault", "kind: fate", "loops[0].condition.kind", ""),
        ("alarms: [homeAgentLost]", "alarms: []", "loops[0].condition.alarms", "length >= 1"),
        ("alarms: [homeAgentLost]", "alarms: ['{{ x }}']", "loops[0].condition.alarms[0]", ""),
        ("retries: 2", "retries: two", "loops[0].retries", "expected int, got str"),
        ("retries: 2", "retry: 2", "loops[0].retry", "is not a field"),
        ("    action: scale_out\n", "", "loops[1].action", "is missing; add it"),
        ("clear: 600", "clear: 900", "loops[1].condition.clear, loops[1].condition.above: ", "clear is higher than above"),
        ("above: 800, ", "", "loops[1].condition.above, loops[1].condition.below: ", "exactly one of the two"),
        ('start: "22:00"', 'start: "24:00"', "loops[0].guards.blackout[0].start", ""),
        (
            "min_instances: 1",
            "min_instances: 9",
            "loops[0].guards.min_instances, loops[0].guards.max_instances: ",
            "higher than max_instances",
        ),
        ("name: ha-pp-overload", "name: ha-pp-failover", "loops: ", "same name: ha-pp-failover"),
        ("timeout_s: 60", "timeout_s: 60\n    timeout_s: 61", "line ", "written twice"),
        ("within_s: 600", "within_s: .nan", "loops[0].condition.damping.within_s", ""),
        ("version: 1", "version: 1\nmore: &a [*a]", "line 3", "alias"),
    ],
)
def test_an_error_names_file_field_and_remedy(tmp_path: Path, found: str, replaced: str, field: str, says: str) -> None:
    assert found in GOOD
    file = tmp_path / "policy.yml"
    file.write_text(GOOD.replace(found, replaced, 1))
    with pytest.raises(FileError) as error:
        load_policy(file)
    assert str(error.value).startswith(f"{file}: {field}")
    assert says in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [b"", b"- 1", b"\xff\xfe", b"a: [", b"? {a: b}\n: 1", b"a: " + b"[" * 2000])
def test_what_is_no_mapping_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "policy.yml"
    file.write_bytes(content)
    with pytest.raises(FileError):
        load_policy(file)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="cannot be read"):
        load_policy(tmp_path / "none.yml")


def test_an_inventory_with_two_of_one_name_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "inventory.yml"
    file.write_text("regions: [{name: a, capacity: 1}, {name: a, capacity: 2}]")
    with pytest.raises(FileError, match="regions: two have the same name"):
        load_inventory(file)
