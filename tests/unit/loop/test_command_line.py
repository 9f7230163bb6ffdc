"""`closedloop` as an operator meets it."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from closedloop_loop.main import command_line
from closedloop_loop.operations.journal import Journal
from closedloop_loop.operations.model import State
from closedloop_loop.operations.store.sqlite import SqliteStore
from closedloop_loop.policy import load

from tests.unit.loop.bench import at, onset, policy

FAULT = {"kind": "fault", "alarms": ["homeAgentLost"]}
PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def place(tmp_path: Path) -> str:
    """A journal with one failed and one denied operation."""
    file = tmp_path / "operations.db"
    store = SqliteStore(file)
    book = Journal(store)
    rules = policy(FAULT, retries=0, on_failure="block")
    book.submit(rules, onset(1), None, at(0))
    book.claim(onset(1).request_id, "actor", at(0))
    book.finish(onset(1).request_id, 1, False, "broken", at(2))
    book.submit(rules, onset(2), None, at(3))
    store.close()
    return str(file)


def test_operations_are_listed(place: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line(["operations", "--journal", place]) == 0
    shown = capsys.readouterr().out
    assert "failed" in shown
    assert "denied (blocked)" in shown
    assert command_line(["operations", "--journal", place, "list", "--json", "--state", "failed"]) == 0
    [failed] = json.loads(capsys.readouterr().out)
    assert failed["onset"]["closedLoopControlName"] == "loop"
    assert failed["state"] == "failed"


def test_one_is_shown_with_its_stages(place: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line(["operations", "--journal", place, "show", onset(1).request_id]) == 0
    shown = capsys.readouterr().out
    assert "broken" in shown
    assert "2000.0" in shown
    assert command_line(["operations", "--journal", place, "show", "--json", onset(1).request_id]) == 0
    assert json.loads(capsys.readouterr().out)["request_id"] == onset(1).request_id


def test_an_operator_acknowledges_and_cancels(place: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line(["operations", "--journal", place, "acknowledge", onset(1).request_id]) == 0
    assert command_line(["operations", "--journal", place, "cancel", onset(2).request_id]) == 0
    store = SqliteStore(Path(place))
    assert [known.state for known in store.recent(9)] == [State.CANCELLED, State.FAILED]
    assert store.recent(9)[1].acknowledged
    store.close()
    assert command_line(["operations", "--journal", place, "cancel", onset(1).request_id]) == 1
    assert "it is failed" in capsys.readouterr().err


@pytest.mark.parametrize("request_id", ["x", "../x", "{{ x }}", onset(9).request_id])
def test_an_operation_that_is_not_there_is_an_error(place: str, request_id: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line(["operations", "--journal", place, "show", request_id]) == 1
    assert capsys.readouterr().err.startswith("closedloop operations: ")


def test_a_journal_that_is_not_there_is_not_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line(["operations", "--journal", str(tmp_path / "none.db")]) == 1
    assert "there is no operations journal" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_journal_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x.db").write_text("not a database" * 1000)
    assert command_line(["operations", "--journal", str(tmp_path / "x.db")]) == 1
    assert "x.db" in capsys.readouterr().err


@pytest.mark.parametrize("of", ["onset", "policy"])
def test_schemas_are_schemas(of: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line(["schema", of]) == 0
    jsonschema.Draft202012Validator.check_schema(json.loads(capsys.readouterr().out))


def test_availability_in_json_has_the_four(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["availability", "--mtbf", "123d", "--mttr", "106.23s", "--scheme", "2N", "--json"]
    assert command_line(arguments) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["mtbf_s"] == 123 * 86_400
    assert found["mttr_s"] == 106.23
    assert found["scheme"] == "2N"
    assert found["availability"] == pytest.approx(1 - 1e-10)


def test_availability_compares_and_draws(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = tmp_path / "a.png"
    arguments = [
        "availability",
        "--mtbf",
        "9h",
        "--mttr",
        "1.2s",
        "--target",
        "0.99999",
        "--compare-mttr",
        "106.23s",
        "--picture",
        str(picture),
    ]
    assert command_line(arguments) == 0
    assert "2N here, 3N with 106.23 s" in capsys.readouterr().out
    assert picture.read_bytes().startswith(PNG)


def test_what_cannot_be_solved_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line(["availability", "--mtbf", "123d"]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_replay_prints_a_table_and_draws(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    header = {"domain": "fault", "sequence": 0, "sourceName": "ha-pp-a", "startEpochMicrosec": at(0).wall_us}
    fields = {"alarmCondition": "homeAgentLost"}
    lines = [
        {
            "event": {
                "commonEventHeader": {**header, "eventId": "f", "lastEpochMicrosec": at(0).wall_us},
                "faultFields": {**fields, "eventSeverity": "MAJOR"},
            }
        },
        {
            "event": {
                "commonEventHeader": {**header, "eventId": "f", "sequence": 1, "lastEpochMicrosec": at(30).wall_us},
                "faultFields": {**fields, "eventSeverity": "NORMAL"},
            }
        },
    ]
    events, rules, world, picture = (tmp_path / name for name in ("e.jsonl", "p.yml", "i.yml", "p.png"))
    events.write_text("\n".join(json.dumps(line) for line in lines))
    rules.write_text(
        "version: 1\nloops:\n  - name: heal\n    scope: {sources: ['*']}\n"
        "    condition: {kind: fault, alarms: [homeAgentLost]}\n    action: failover\n"
    )
    world.write_text("regions: [{name: region-a, capacity: 2}]\nmodules: [{name: ha-pp-a, region: region-b}]\n")
    arguments = ["replay", str(events), "--policy", str(rules), "--inventory", str(world), "--picture", str(picture)]
    assert command_line(arguments) == 0
    shown = capsys.readouterr().out
    assert "1 onsets, 1 abated, 1 operations (1 succeeded)" in shown
    assert "region-a" in shown
    assert picture.read_bytes().startswith(PNG)
    assert command_line([*arguments, "--json"]) == 0
    assert [event["what"] for event in json.loads(capsys.readouterr().out)["happenings"]] == ["onset", "failover", "done", "abated"]


def test_the_policy_of_the_guide_is_one(tmp_path: Path) -> None:
    guide = Path(__file__).resolve().parents[3] / "docs/policy.md"
    blocks = [part.split("```")[0] for part in guide.read_text().split("```yaml\n")[1:]]
    whole = [block for block in blocks if block.startswith("version:")]
    assert whole
    for block in whole:
        file = tmp_path / "policy.yml"
        file.write_text(block)
        assert load.load_policy(file).loops
