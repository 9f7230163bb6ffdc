"""What a build from Go modules is made of, decided without Go."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.closedloop.mobility.plugins.module_utils import go_build
from ansible_collections.closedloop.mobility.plugins.module_utils.outcome import MobilityError


@pytest.fixture
def params(tmp_path: Path) -> dict[str, Any]:
    source = tmp_path / "source"
    source.mkdir()
    (source / "go.mod").write_text("module example\n\ngo 1.24.0\n")
    (source / "main.go").write_text("package main\n\nfunc main() {}\n")
    return {
        "name": "hello",
        "source": str(source),
        "package": ".",
        "variables": {"main.b": "2", "main.a": "1"},
        "tags": ["two", "one"],
        "cgo": False,
        "cache_directory": str(tmp_path / "cache"),
        "space_mib": 0,
    }


@pytest.fixture
def compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program in Go's place, which writes its arguments to the target and ends as `status` says."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "go"
    program.write_text(
        '#!/bin/sh\ncd "$(dirname "$0")"\necho run >>runs\n'
        "if [ -e status ]; then echo main.go:1: undefined; exit 3; fi\n"
        'while [ "$1" != -o ]; do shift; done\necho program >"$2"\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return folder


def test_a_program_is_built_once(params: dict[str, Any], compiler: Path) -> None:
    first = go_build.run(params, check_mode=False)
    second = go_build.run(params, check_mode=False)
    assert first.changed
    assert not second.changed
    assert first.values["file"] == second.values["file"]
    assert Path(first.values["file"]).read_text() == "program\n"
    assert (compiler / "runs").read_text() == "run\n"


@pytest.mark.parametrize(
    "change",
    [{"package": "./cmd"}, {"variables": {}}, {"tags": []}, {"cgo": True}, {"name": "other"}],
    ids=lambda change: next(iter(change)),
)
def test_another_input_is_another_program(params: dict[str, Any], change: dict[str, Any]) -> None:
    before = go_build.run(params, check_mode=True).values["file"]
    assert Path(go_build.run(params | change, check_mode=True).values["file"]).parent != Path(before).parent


def test_another_version_of_a_module_is_another_program(params: dict[str, Any]) -> None:
    before = go_build.run(params, check_mode=True).values["file"]
    Path(params["source"], "go.sum").write_text("example.com/x v1.0.0 h1:x=\n")
    assert go_build.run(params, check_mode=True).values["file"] != before


def test_check_mode_tells_and_builds_nothing(params: dict[str, Any], compiler: Path) -> None:
    outcome = go_build.run(params, check_mode=True)
    assert outcome.changed
    assert not Path(params["cache_directory"]).exists()
    assert not (compiler / "runs").exists()


def test_a_failed_build_leaves_its_log_only_and_is_told(params: dict[str, Any], compiler: Path) -> None:
    (compiler / "status").touch()
    with pytest.raises(
        MobilityError, match=r"hello: go build ended with 3: main.go:1: undefined; everything it said is in .*failed-hello.log"
    ):
        go_build.run(params, check_mode=False)
    programs = Path(params["cache_directory"], "go/programs")
    assert {file.name for file in programs.iterdir()} == {"lock", "failed-hello.log"}
    (compiler / "status").unlink()
    assert go_build.run(params, check_mode=False).changed
    assert not (programs / "failed-hello.log").exists()


def test_a_source_without_go_mod_is_refused(params: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(MobilityError, match=r"source: .* has no go.mod"):
        go_build.run(params | {"source": str(tmp_path)}, check_mode=False)


def test_a_full_disk_is_told_before_anything_is_built(params: dict[str, Any], compiler: Path) -> None:
    with pytest.raises(MobilityError, match=r"MiB free, a build needs 1000000000 \(space_mib\)"):
        go_build.run(params | {"space_mib": 1000000000}, check_mode=False)
    assert not (compiler / "runs").exists()


def test_a_machine_without_go_is_told(params: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(go_build, "PLACES_OF_GO", ())
    with pytest.raises(MobilityError, match="there is no go in PATH"):
        go_build.run(params, check_mode=False)


def test_nothing_of_the_machine_gets_into_a_program(params: dict[str, Any]) -> None:
    command = go_build.command("go", params, Path("/target"))
    assert command == [
        *("go", "build", "-mod=readonly", "-trimpath", "-buildvcs=false", "-tags", "one,two"),
        *("-ldflags", "-s -w -X main.a=1 -X main.b=2", "-o", "/target", "."),
    ]
