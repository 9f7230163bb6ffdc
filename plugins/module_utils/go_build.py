# Copyright (c) 2026, The closedloop.mobility contributors
# SPDX-License-Identifier: Apache-2.0
"""A program built once from Go modules: what the module closedloop.mobility.go_build does.

<cache>/go/programs/<hash of the inputs>/    the program, and built.json
<cache>/go/programs/failed-<name>.log        what Go said when there was none
<cache>/go/build/, <cache>/go/mod/           compiled packages and fetched modules, for the next program
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible_collections.closedloop.mobility.plugins.module_utils import kept_builds
from ansible_collections.closedloop.mobility.plugins.module_utils.outcome import MobilityError, Outcome

ARGUMENT_SPEC: dict[str, Any] = {
    "name": {"type": "str", "required": True},
    "source": {"type": "path", "required": True},
    "package": {"type": "str", "default": "."},
    "variables": {"type": "dict", "default": {}},
    "tags": {"type": "list", "elements": "str", "default": []},
    "cgo": {"type": "bool", "default": False},
    "cache_directory": {"type": "path", "default": "/var/cache/closedloop"},
    "space_mib": {"type": "int", "default": 6144},
}

RECIPE = 1
"""Part of every hash: another number when the same inputs are to give another program."""
PLACES_OF_GO = ("/usr/local/go/bin", "/usr/lib/go/bin")


def run(params: dict[str, Any], *, check_mode: bool) -> Outcome:
    """The program of these inputs, from the cache or built now. Raises MobilityError, and then nothing but a log is left."""
    try:
        return _program(params, check_mode)
    except MobilityError as error:
        raise MobilityError(f"host {os.uname().nodename}: {params['name']}: {error}") from error


def _program(params: dict[str, Any], check_mode: bool) -> Outcome:
    name = params["name"]
    if name != Path(name).name or name in ("", ".", "..", "built.json"):
        raise MobilityError(f"name: {name!r} is not the name of a file")
    root = Path(params["cache_directory"], "go")
    place = root / "programs" / _hash(params)
    before = kept_builds.found(place)
    if before is None and not check_mode:
        # of two that want the same, one builds; of two that want something else, too: they share all cores
        with kept_builds.locked(root / "programs"):
            if kept_builds.found(place) is None:
                _build(params, root, place)
    found = kept_builds.found(place)
    after = {"file": str(place / name)} if check_mode else found
    return Outcome(before, before or after, {"file": str(place / name), **(found or {})})


def _hash(params: dict[str, Any]) -> str:
    source = Path(params["source"])
    if not (source / "go.mod").is_file():
        raise MobilityError(f"source: {source} has no go.mod; name the directory of a Go module")
    files = sorted(file for file in source.iterdir() if file.suffix in (".mod", ".sum", ".go"))
    parts = [
        RECIPE,
        [(file.name, hashlib.sha256(file.read_bytes()).hexdigest()) for file in files],
        [params["name"], params["package"], sorted(params["variables"].items()), sorted(params["tags"]), params["cgo"]],
        os.uname().machine,
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def _build(params: dict[str, Any], root: Path, place: Path) -> None:
    begun = time.monotonic()
    name = params["name"]
    free_mib = shutil.disk_usage(root).free >> 20
    if free_mib < params["space_mib"]:
        raise MobilityError(
            f"{root} has {free_mib} MiB free, a build needs {params['space_mib']} (space_mib); make room, or name another cache_directory"
        )
    go = shutil.which("go", path=os.pathsep.join((os.environ.get("PATH", ""), *PLACES_OF_GO)))
    if go is None:
        raise MobilityError(f"there is no go in PATH, nor in {', '.join(PLACES_OF_GO)}; install Go")
    log = root / "programs" / f"failed-{name}.log"
    with tempfile.TemporaryDirectory(prefix="work-", dir=root / "programs") as folder:
        result = Path(folder, "result")
        result.mkdir()
        with log.open("wb") as said:
            status = subprocess.run(
                command(go, params, result / name),
                cwd=params["source"],
                env=_environment(root, cgo=params["cgo"]),
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
                check=False,
            ).returncode
        if status:
            raise MobilityError(f"go build ended with {status}: {_tail(log)}; everything it said is in {log}")
        built = {"build_s": round(time.monotonic() - begun)}
        (result / "built.json").write_text(json.dumps(built), encoding="utf-8")
        result.rename(place)
    log.unlink()


def command(go: str, params: dict[str, Any], target: Path) -> list[str]:
    """The build's command: nothing of the machine, the user or the checkout gets into a program."""
    linked = " ".join(["-s -w", *(f"-X {name}={value}" for name, value in sorted(params["variables"].items()))])
    tags = ["-tags", ",".join(sorted(params["tags"]))] if params["tags"] else []
    return [go, "build", "-mod=readonly", "-trimpath", "-buildvcs=false", *tags, "-ldflags", linked, "-o", str(target), params["package"]]


def _environment(root: Path, *, cgo: bool) -> Mapping[str, str]:
    inherited = {name: value for name, value in os.environ.items() if name not in ("GOFLAGS", "GOOS", "GOARCH")}
    return inherited | {
        "CGO_ENABLED": str(int(cgo)),
        "GOCACHE": str(root / "build"),
        "GOMODCACHE": str(root / "mod"),
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
        "HOME": inherited.get("HOME", "/root"),
    }


def _tail(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return " / ".join(lines[-3:])
