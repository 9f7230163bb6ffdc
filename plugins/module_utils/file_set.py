# Copyright (c) 2026, The closedloop.mobility contributors
# SPDX-License-Identifier: Apache-2.0
"""Small files with exactly a given content and mode, written atomically: what the module closedloop.mobility.file_set does.

One task for several files, because the copies of a configuration with its secrets would otherwise cost more time than the daemon needs
to start.
"""

from __future__ import annotations

import os
import secrets
import shutil
import stat
import tempfile
from pathlib import Path
from typing import Any

from ansible_collections.closedloop.mobility.plugins.module_utils import directories, owned_directory
from ansible_collections.closedloop.mobility.plugins.module_utils.outcome import MobilityError, Outcome

ARGUMENT_SPEC: dict[str, Any] = {
    "files": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "path": {"type": "path", "required": True},
            "content": {"type": "str"},
            "secret": {"type": "str", "no_log": True},
            "random_octets": {"type": "int"},
            "copy_of": {"type": "path"},
            "directory_of": {"type": "str"},
            "mode": {"type": "str", "default": "0644"},
            "owner": {"type": "str"},
        },
        "mutually_exclusive": [("content", "secret", "random_octets", "copy_of", "directory_of"), ("owner", "directory_of")],
    },
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
}

HIDDEN = "(secret)"


def run(params: dict[str, Any], *, check_mode: bool) -> Outcome:
    """Bring every file to the wanted state. Raises MobilityError."""
    files = params["files"]
    for entry in files:
        if not Path(entry["path"]).is_absolute():
            raise MobilityError(f"files: path {entry['path']!r} is not absolute; give the whole path")
    paths = [entry["path"] for entry in files]
    if params["state"] == "absent":
        present = [name for name in paths if os.path.lexists(name)]
        if not check_mode:
            for name in present:
                _remove(Path(name))
        return Outcome({name: "present" for name in present}, {}, {"paths": paths, "changed_paths": present})
    before: dict[str, Any] = {}
    after: dict[str, Any] = {}
    changed: list[str] = []
    for entry in files:
        if entry.get("directory_of") is not None:
            directory = Path(entry["path"])
            user = owned_directory.user(entry["directory_of"])
            owners = owned_directory.owners(directory)
            if owners != {user}:
                changed.append(entry["path"])
                if not check_mode:
                    owned_directory.give(directory, user)
            before[entry["path"]] = {"owners": sorted(f"{uid}:{gid}" for uid, gid in owners)}
            after[entry["path"]] = {"owners": [f"{user[0]}:{user[1]}"]}
            continue
        found = _found(entry["path"])
        state = _wanted(entry, found, check_mode=check_mode)
        owner = owned_directory.user(entry["owner"]) if entry.get("owner") is not None else None
        if found != state or (owner is not None and owned_directory.owner_of_file(Path(entry["path"])) != owner):
            changed.append(entry["path"])
            if not check_mode:
                _write(entry["path"], *state, owner)
        before[entry["path"]] = _shown(entry, found, "previous")
        after[entry["path"]] = _shown(entry, state, "previous" if found and found[0] == state[0] else "new")
    return Outcome(before, after, {"paths": paths, "changed_paths": changed}, extra_change=bool(changed))


def _remove(path: Path) -> None:
    """A directory goes with what is in it; a symbolic link goes alone."""
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise MobilityError(f"files: {path} cannot be removed: {error.strerror}") from error


def _wanted(entry: dict[str, Any], found: tuple[bytes, int] | None, *, check_mode: bool) -> tuple[bytes, int]:
    try:
        mode = int(entry["mode"], 8)
    except ValueError as error:
        raise MobilityError(f"files: {entry['path']} has mode {entry['mode']!r}; write it in octal as a string, '0600'") from error
    if not _is_secret(entry):
        return entry["content"].encode(), mode
    if mode & 0o077:
        raise MobilityError(f"files: {entry['path']} holds a secret and has mode {entry['mode']!r}; others may not read it, use '0600'")
    if entry.get("secret") is not None:
        return entry["secret"].encode(), mode
    if entry.get("copy_of") is not None:
        return _copied(entry, check_mode=check_mode), mode
    octets = entry.get("random_octets")
    if octets is None:
        raise MobilityError(f"files: {entry['path']} has no content; give content, secret, random_octets, copy_of or directory_of")
    if not 16 <= octets <= 1024:
        raise MobilityError(f"files: {entry['path']} has random_octets {octets}; use 16 to 1024")
    return (found[0] if found and found[0].strip() else secrets.token_hex(octets).encode() + b"\n"), mode


def _copied(entry: dict[str, Any], *, check_mode: bool) -> bytes:
    try:
        return Path(entry["copy_of"]).read_bytes()
    except OSError as error:
        if check_mode:  # a dry run may precede the file
            return b""
        raise MobilityError(f"files: {entry['copy_of']} cannot be copied ({error.strerror}); make it before its copy") from error


def _is_secret(entry: dict[str, Any]) -> bool:
    return entry.get("content") is None


def _found(name: str) -> tuple[bytes, int] | None:
    path = Path(name)
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            raise MobilityError(f"files: {name} is there and is not a regular file; remove it")
        return path.read_bytes(), stat.S_IMODE(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return None


def _shown(entry: dict[str, Any], state: tuple[bytes, int] | None, age: str) -> dict[str, str]:
    if state is None:
        return {}
    return {"content": f"{HIDDEN} {age}" if _is_secret(entry) else state[0].decode("utf-8", "replace"), "mode": f"{state[1]:04o}"}


def _write(name: str, content: bytes, mode: int, owner: owned_directory.User | None) -> None:
    """A reader sees the whole old file or the whole new one, also after a crash; mode and owner are right before the content is there."""
    path = Path(name)
    try:
        directories.make(path.parent)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(descriptor, "wb") as file:
                os.fchmod(file.fileno(), mode)
                if owner is not None:
                    os.fchown(file.fileno(), *owner)
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise MobilityError(f"files: {name} cannot be written: {error.strerror}") from error
