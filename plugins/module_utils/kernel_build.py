# Copyright (c) 2026, The closedloop.mobility contributors
# SPDX-License-Identifier: Apache-2.0
"""A kernel built once from given inputs: what the module closedloop.mobility.kernel_build does.

<cache>/kernel/<hash of the inputs>/     what came of them, with the configuration
<cache>/kernel/failed-<hash>.log         what the compiler said when nothing did
<cache>/kernel/work/                     a build that is going on, or was killed
<cache>/ccache/                          the compiler's cache, for the next kernel that is nearly the same
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible_collections.closedloop.mobility.plugins.module_utils import kept_builds, kernel_symbols
from ansible_collections.closedloop.mobility.plugins.module_utils.kernel_tree import KINDS, Inputs, Tree
from ansible_collections.closedloop.mobility.plugins.module_utils.outcome import MobilityError, Outcome

ARGUMENT_SPEC: dict[str, Any] = {
    "source": {"type": "path", "required": True},
    "sha256": {"type": "str"},
    "base_config": {"type": "str", "default": ""},
    "symbols": kernel_symbols.SYMBOLS_SPEC,
    "options": {"type": "dict", "default": {}},
    "kind": {"type": "str", "choices": list(KINDS), "default": "packages"},
    "cache_directory": {"type": "path", "default": "/var/cache/closedloop"},
    "space_mib": {"type": "int", "default": 3072},
}

RECIPE = 1
"""Part of every hash: another number when the same inputs are to give another kernel."""


def run(params: dict[str, Any], *, check_mode: bool) -> Outcome:
    """The kernel of these inputs, from the cache or built now. Raises MobilityError, and then nothing but a log is left."""
    try:
        return _kernel(params, check_mode)
    except MobilityError as error:
        raise MobilityError(f"host {os.uname().nodename}: {error}") from error


def _kernel(params: dict[str, Any], check_mode: bool) -> Outcome:
    source = Path(params["source"])
    digest = _digest(source, params["sha256"])
    inputs = Inputs(
        source,
        params["base_config"],
        tuple(kernel_symbols.symbols(params["symbols"])),
        {name: _value(name, value) for name, value in params["options"].items()},
        params["kind"],
    )
    wanted = _hash(digest, inputs)
    root = Path(params["cache_directory"], "kernel")
    place = root / wanted
    before = kept_builds.found(place)
    if before is None and not check_mode:
        with kept_builds.locked(root):  # of two that want the same, one builds
            if kept_builds.found(place) is None:
                _build(inputs, wanted, root, params["space_mib"])
    after = {"directory": str(place)} if check_mode else kept_builds.found(place)
    return Outcome(before, before or after, {"directory": str(place), **(kept_builds.found(place) or {"files": [], "release": ""})})


def _digest(source: Path, expected: str | None) -> str:
    try:
        with source.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise MobilityError(f"source: {source} cannot be read: {error.strerror}; give a tar archive of a kernel's source") from error
    if expected and found != expected.lower():
        raise MobilityError(
            f"sha256: {source} has the sum {found}, not {expected}; fetch it anew, or correct the sum if it is the right one"
        )
    return found


def _value(name: str, value: Any) -> str:
    """As a configuration has it: y, m, n and numbers as they are, text in quotes."""
    if not kernel_symbols.NAME.fullmatch(name):
        raise MobilityError(f"options: {name!r} is not the name of a kernel's symbol; use capitals, digits and '_'")
    if isinstance(value, bool):
        return "y" if value else "n"
    text = str(value)
    if "\n" in text or '"' in text:
        raise MobilityError(f"options: {name} has a value with a quote or a second line")
    return text if text in ("y", "m", "n") or text.isdecimal() else f'"{text}"'


def _hash(digest: str, inputs: Inputs) -> str:
    compiler = subprocess.run(["gcc", "-dumpfullversion"], capture_output=True, text=True, check=False) if shutil.which("gcc") else None
    if compiler is None or compiler.returncode:
        raise MobilityError("there is no compiler, install gcc")
    parts = [
        RECIPE,
        digest,
        inputs.base_config,
        sorted(inputs.fragment().items()),
        inputs.kind,
        os.uname().machine,
        compiler.stdout.strip(),
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def _build(inputs: Inputs, wanted: str, root: Path, space_mib: int) -> None:
    begun = time.monotonic()
    work = root / "work"
    shutil.rmtree(work, ignore_errors=True)
    free_mib = shutil.disk_usage(root).free >> 20
    if free_mib < space_mib:
        raise MobilityError(
            f"{root} has {free_mib} MiB free, a build needs {space_mib} (space_mib); make room, or name another cache_directory"
        )
    log = root / f"failed-{wanted}.log"
    log.unlink(missing_ok=True)
    try:
        result = work / "result"
        result.mkdir(parents=True)
        tree = Tree(work / "source", log, _environment(root.parent / "ccache"))
        tree.unpack(inputs)
        tree.configure(inputs, local_version=f"-mipv6-{wanted[:8]}")
        files = tree.compile(inputs, result)
        shutil.copy(work / "source/.config", result / "config")
        built = {
            "files": [str(root / wanted / name) for name in files],
            "release": tree.release(),
            "build_s": round(time.monotonic() - begun),
        }
        (result / "built.json").write_text(json.dumps(built), encoding="utf-8")
        result.rename(root / wanted)
        log.unlink(missing_ok=True)
    except OSError as error:
        raise MobilityError(f"the build in {root} failed: {error.strerror}; make room on that disk") from error
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _environment(compiler_cache: Path) -> Mapping[str, str]:
    """Nothing of the user, the host or the hour gets into a kernel."""
    return os.environ | {
        "CCACHE_DIR": str(compiler_cache),
        "CCACHE_MAXSIZE": "2G",
        "CCACHE_NOHASHDIR": "1",
        "KBUILD_BUILD_USER": "closedloop",
        "KBUILD_BUILD_HOST": "closedloop",
        "KBUILD_BUILD_TIMESTAMP": "Thu Jan  1 00:00:00 UTC 1970",
        "KBUILD_BUILD_VERSION": "1",
        "KDEB_COMPRESS": "gzip",
        "LC_ALL": "C",
    }
