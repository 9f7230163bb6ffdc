"""closedloop.mobility.netns_process on real processes; only entering a namespace and limiting capabilities need root and are left out."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.closedloop.mobility.plugins.module_utils import namespaces, processes
from ansible_collections.closedloop.mobility.plugins.module_utils.outcome import MobilityError

SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]
STUBBORN_TEXT = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
STUBBORN = [sys.executable, "-c", STUBBORN_TEXT]


@pytest.fixture(autouse=True)
def children(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Start children of the test instead of orphans in a namespace."""
    started: list[subprocess.Popen[bytes]] = []

    def spawn(command: list[str], environment: dict[str, str], *, log: Path, enter: Path, before_exec: Callable[[], None]) -> int:
        assert enter.name == "ns"
        with log.open("ab") as output:
            child = subprocess.Popen(command, env=environment, stdout=output, stderr=output, preexec_fn=before_exec)
        started.append(child)
        return child.pid

    monkeypatch.setattr(processes, "spawn", spawn)
    monkeypatch.setattr(processes, "_limited", lambda _capabilities: [])
    monkeypatch.setattr(namespaces, "exists", lambda _name: True)
    monkeypatch.setattr(namespaces, "identity", lambda _name: 4711)
    yield started
    for child in started:
        child.kill()
        child.wait(10)


def _run(directory: Path, *, check_mode: bool = False, **options: Any) -> Any:
    defaults: dict[str, Any] = {"name": "d", "state": "started", "namespace": "ns", "argv": SLEEP, "environment": {}, "capabilities": []}
    params = {**defaults, "directory": str(directory), "watch": [], "grace_ms": 2000, **options}
    return processes.run(params, check_mode=check_mode)


def _alive(pid: int) -> bool:
    return processes.start_ticks(pid) is not None


def test_a_process_is_started_once(tmp_path: Path, children: list[subprocess.Popen[bytes]]) -> None:
    first = _run(tmp_path)
    assert first.changed
    assert _alive(first.values["pid"])
    second = _run(tmp_path)
    assert not second.changed
    assert second.values["pid"] == first.values["pid"]
    assert len(children) == 1


def test_check_mode_starts_and_stops_nothing(tmp_path: Path, children: list[subprocess.Popen[bytes]]) -> None:
    outcome = _run(tmp_path / "new", check_mode=True)
    assert outcome.changed
    assert outcome.result(diff=True)["diff"]["after"] == {"running": True, "argv": SLEEP}
    assert not (tmp_path / "new").exists()
    assert children == []
    pid = _run(tmp_path).values["pid"]
    assert _run(tmp_path, state="absent", check_mode=True).changed
    assert _alive(pid)


@pytest.mark.parametrize("change", [{"argv": [*SLEEP, "x"]}, {"environment": {"A": "b"}}])
def test_other_arguments_restart_it(tmp_path: Path, change: dict[str, Any]) -> None:
    old = _run(tmp_path).values["pid"]
    outcome = _run(tmp_path, **change)
    assert outcome.changed
    assert outcome.values["restarted"]
    assert not _alive(old)
    assert _alive(outcome.values["pid"])


def test_a_changed_configuration_restarts_it_and_the_same_one_written_again_does_not(tmp_path: Path) -> None:
    file = tmp_path / "conf"
    file.write_text("a", encoding="utf-8")
    first = _run(tmp_path, watch=[str(file)]).values["pid"]
    file.write_text("a", encoding="utf-8")
    assert not _run(tmp_path, watch=[str(file)]).changed
    file.write_text("b", encoding="utf-8")
    assert _run(tmp_path, watch=[str(file)]).values["pid"] != first


def test_a_namespace_made_anew_restarts_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = _run(tmp_path).values["pid"]
    monkeypatch.setattr(namespaces, "identity", lambda _name: 4712)
    assert _run(tmp_path).values["pid"] != first


def test_a_killed_process_is_started_again(tmp_path: Path, children: list[subprocess.Popen[bytes]]) -> None:
    first = _run(tmp_path)
    os.kill(first.values["pid"], signal.SIGKILL)
    children[0].wait(10)
    again = _run(tmp_path)
    assert again.changed
    assert not again.values["restarted"]


def test_absent_stops_it_and_a_second_time_does_nothing(tmp_path: Path) -> None:
    pid = _run(tmp_path).values["pid"]
    assert _run(tmp_path, state="absent").changed
    assert not _alive(pid)
    assert not _run(tmp_path, state="absent").changed
    assert not _run(tmp_path / "never-was", state="absent").changed


def test_a_process_that_ignores_sigterm_is_killed_when_its_grace_ends(tmp_path: Path) -> None:
    pid = _run(tmp_path, argv=STUBBORN).values["pid"]
    deadline = time.monotonic() + 10
    while "up" not in (tmp_path / "d.log").read_text(encoding="utf-8"):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    _run(tmp_path, state="absent", grace_ms=50)
    assert not _alive(pid)


def test_a_recycled_process_id_is_never_stopped(tmp_path: Path) -> None:
    """The record names this very test run, with another start time."""
    _run(tmp_path)
    record = json.loads((tmp_path / "d.json").read_text(encoding="utf-8"))
    record["pid"], record["start_ticks"] = os.getpid(), 1
    (tmp_path / "d.json").write_text(json.dumps(record), encoding="utf-8")
    assert not _run(tmp_path, state="absent").changed


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": 1}', '{"pid": 1, "more": 2}'])
def test_a_broken_record_counts_as_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "d.json").write_text(text, encoding="utf-8")
    assert _run(tmp_path).changed


def test_a_record_of_an_earlier_boot_counts_as_none(tmp_path: Path) -> None:
    _run(tmp_path)
    record = json.loads((tmp_path / "d.json").read_text(encoding="utf-8"))
    record["boot_id"] = "another"
    (tmp_path / "d.json").write_text(json.dumps(record), encoding="utf-8")
    assert processes.running(tmp_path, "d") is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"argv": []}, "argv is empty"),
        ({"argv": ["/no/such/program"]}, "there is no program '/no/such/program'"),
        ({"watch": ["/no/such/file"]}, "watch: /no/such/file cannot be read"),
        ({"name": "../x"}, "process name '../x' is not valid"),
    ],
)
def test_a_wrong_value_is_named(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(MobilityError, match=message):
        _run(tmp_path, **options)


def test_only_the_capabilities_named_are_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert processes._limited(["CAP_NET_RAW", "net_admin"])[2] == "--bounding-set=-all,+net_admin,+net_raw"
    assert processes._limited([])[2] == "--bounding-set=-all"
