# Copyright (c) 2026, The closedloop.mobility contributors
# SPDX-License-Identifier: Apache-2.0
"""A container image of a few files, in an archive: what the module closedloop.mobility.scratch_image does.

<cache>/images/<hash of the inputs>/image.tar    the archive, as `ctr images import`, `podman load` and `docker load` read it
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from ansible_collections.closedloop.mobility.plugins.module_utils.outcome import MobilityError, Outcome

ARGUMENT_SPEC: dict[str, Any] = {
    "name": {"type": "str", "required": True},
    "files": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {"src": {"type": "path", "required": True}, "dest": {"type": "str", "required": True}},
    },
    "entrypoint": {"type": "list", "elements": "str", "default": []},
    "cache_directory": {"type": "path", "default": "/var/cache/closedloop"},
}

RECIPE = 1
"""Part of every hash: another number when the same inputs are to give another image."""
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
NAME = re.compile(r"[a-z0-9][a-z0-9./:_-]*:[A-Za-z0-9_][A-Za-z0-9._-]*")


@dataclass(frozen=True, slots=True)
class File:
    """A file of the image: where it comes from, what it contains, and where it is."""

    source: Path
    dest: PurePosixPath
    sha256: str


def run(params: dict[str, Any], *, check_mode: bool) -> Outcome:
    """The archive of these inputs, from the cache or written now. Raises MobilityError, and then nothing is left."""
    try:
        return _image(params, check_mode)
    except MobilityError as error:
        raise MobilityError(f"host {os.uname().nodename}: {params['name']}: {error}") from error


def _image(params: dict[str, Any], check_mode: bool) -> Outcome:
    if not NAME.fullmatch(params["name"]):
        raise MobilityError("name: an image is named repository:tag")
    files = sorted(_with_libraries(params["files"], missing_allowed=check_mode), key=lambda file: str(file.dest))
    parts = [RECIPE, params["name"], params["entrypoint"], [(str(file.dest), file.sha256) for file in files], os.uname().machine]
    wanted = hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]
    images = Path(params["cache_directory"], "images")
    archive = images / wanted / "image.tar"
    before = str(archive) if archive.is_file() else None
    if before is None and not check_mode:
        try:
            _write(params["name"], params["entrypoint"], files, images, archive)
        except OSError as error:
            raise MobilityError(f"{archive} cannot be written: {error.strerror}; make room, or name another cache_directory") from error
    return Outcome(before, str(archive), {"file": str(archive)})


def _with_libraries(declared: list[dict[str, str]], *, missing_allowed: bool) -> Iterator[File]:
    """The declared files, and the libraries that those of them which are linked dynamically need."""
    seen: set[str] = set()
    for item in declared:
        source, dest = Path(item["src"]), item["dest"]
        if not dest.startswith("/") or ".." in PurePosixPath(dest).parts:
            raise MobilityError(f"files: dest {dest!r} is not an absolute path")
        if missing_allowed and not source.exists():
            continue
        wanted = [(source, dest), *((Path(library), library) for library in _libraries(source))]
        for place, path in wanted:
            if path not in seen:
                seen.add(path)
                yield File(place.resolve(), PurePosixPath(path), _sha256(place))


def _sha256(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as error:
        raise MobilityError(f"files: src {file} cannot be read: {error.strerror}; build or install it first") from error


def _libraries(file: Path) -> list[str]:
    """Paths of the shared libraries of a program, its loader among them; none for what is not a program or linked statically."""
    try:
        with file.open("rb") as opened:
            if opened.read(4) != b"\x7fELF":
                return []
    except OSError:
        return []
    said = subprocess.run(["ldd", str(file)], capture_output=True, text=True, check=False).stdout
    if "not found" in said:
        raise MobilityError(f"files: src {file} needs a library that is not here: {said.strip()}")
    return re.findall(r"(/\S+) \(0x", said)


def _write(name: str, entrypoint: list[str], files: list[File], images: Path, archive: Path) -> None:
    images.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="work-", dir=images) as folder:
        work = Path(folder)
        with tarfile.open(work / "layer.tar", "w") as layer:
            _add_directories(layer, files)
            for file in files:
                with file.source.open("rb") as opened:
                    size = os.fstat(opened.fileno()).st_size
                    layer.addfile(_entry(file.dest, tarfile.REGTYPE, file.source.stat().st_mode & 0o755, size), opened)
        config = json.dumps(_config(entrypoint, _sha256(work / "layer.tar"))).encode()
        config_name = f"{hashlib.sha256(config).hexdigest()}.json"
        manifest = json.dumps([{"Config": config_name, "RepoTags": [name], "Layers": ["layer.tar"]}]).encode()
        (work / "result").mkdir()
        with tarfile.open(work / "result/image.tar", "w") as whole, (work / "layer.tar").open("rb") as layer_file:
            whole.addfile(_entry(PurePosixPath("layer.tar"), tarfile.REGTYPE, 0o644, os.fstat(layer_file.fileno()).st_size), layer_file)
            for path, data in ((config_name, config), ("manifest.json", manifest)):
                whole.addfile(_entry(PurePosixPath(path), tarfile.REGTYPE, 0o644, len(data)), io.BytesIO(data))
        if not archive.parent.exists():
            (work / "result").rename(archive.parent)


def _add_directories(layer: tarfile.TarFile, files: list[File]) -> None:
    folders = {parent for file in files for parent in file.dest.parents} | {PurePosixPath("/tmp"), PurePosixPath("/etc")}
    for folder in sorted(folders - {PurePosixPath("/")}):
        layer.addfile(_entry(folder, tarfile.DIRTYPE, 0o1777 if str(folder) == "/tmp" else 0o755))


def _entry(path: PurePosixPath, kind: bytes, mode: int, size: int = 0) -> tarfile.TarInfo:
    """Without owner and time: the same files give the same image."""
    entry = tarfile.TarInfo(str(path).lstrip("/"))
    entry.type, entry.mode, entry.size, entry.mtime = kind, mode, size, 0
    return entry


def _config(entrypoint: list[str], layer: str) -> dict[str, Any]:
    epoch = "1970-01-01T00:00:00Z"
    return {
        "architecture": ARCHITECTURES.get(os.uname().machine, os.uname().machine),
        "os": "linux",
        "created": epoch,
        "config": {
            "Entrypoint": entrypoint or None,
            "WorkingDir": "/",
            "Env": ["PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
        },
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer}"]},
        "history": [{"created": epoch}],
    }
