# Copyright (c) 2026, The closedloop.mobility contributors
# SPDX-License-Identifier: Apache-2.0
"""A daemon in a network namespace: start it detached, know it again, stop it. What the module closedloop.mobility.netns_process does.

The record `<directory>/<name>.json` names the process by id *and* start time, so a recycled process id is never taken for it. The new
process writes its own record before it executes the daemon: whenever the starter is killed, either there is no process or there is a
record of it.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ansible_collections.closedloop.mobility.plugins.module_utils import directories, namespaces
from ansible_collections.closedloop.mobility.plugins.module_utils.detached import spawn
from ansible_collections.closedloop.mobility.plugins.module_utils.outcome import MobilityError, Outcome

ARGUMENT_SPEC: dict[str, Any] = {
    "name": {"type": "str", "required": True},
    "directory": {"type": "path", "required": True},
    "state": {"type": "str", "choices": ["started", "absent"], "default": "started"},
    "namespace": {"type": "str"},
    "argv": {"type": "list", "elements": "str"},
    "environment": {"type": "dict", "default": {}},
    "capabilities": {"type": "list", "elements": "str", "default": []},
    "watch": {"type": "list", "elements": "path", "default": []},
    "grace_ms": {"type": "int", "default": 5000},
}
REQUIRED_IF = [("state", "started", ("namespace", "argv"))]

BASE_ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "HOME": "/"}
POLL_S = 0.005


@dataclass(frozen=True)
class Record:
    """What was started. `fingerprint` covers everything whose change asks for a restart."""

    pid: int
    start_ticks: int
    boot_id: str
    fingerprint: str
    argv: list[str]


def run(params: dict[str, Any], *, check_mode: bool) -> Outcome:
    """Bring the process to the wanted state. Raises MobilityError."""
    name, directory = params["name"], Path(params["directory"])
    if not namespaces.NAME.fullmatch(name):
        raise MobilityError(f"process name {name!r} is not valid: use 1 to 63 letters, digits, '.', '_' or '-', a letter or digit first")
    if params["state"] == "absent":
        return _absent(directory, name, grace_s=params["grace_ms"] / 1000, check_mode=check_mode)
    return _started(directory, params, check_mode=check_mode)


def _started(directory: Path, params: dict[str, Any], *, check_mode: bool) -> Outcome:
    name, argv = params["name"], params["argv"]
    if not argv:
        raise MobilityError(f"process {name!r}: argv is empty; name at least the program")
    if shutil.which(argv[0], path=BASE_ENVIRONMENT["PATH"]) is None:
        raise MobilityError(f"process {name!r}: there is no program {argv[0]!r} to run; install it or correct argv")
    command = [*_limited(params["capabilities"]), *argv]
    environment = {**BASE_ENVIRONMENT, **{key: str(value) for key, value in params["environment"].items()}}
    fingerprint = _fingerprint(params["namespace"], command, environment, params["watch"], check_mode=check_mode)
    log = directory / f"{name}.log"
    with _locked(directory, name, check_mode=check_mode):
        found = running(directory, name)
        before = {"running": found is not None, "argv": found.argv if found else []}
        outcome = Outcome(before, {"running": True, "argv": argv}, {"pid": found.pid if found else 0, "log": str(log), "restarted": False})
        if found is not None and found.fingerprint == fingerprint:
            return outcome
        outcome.extra_change = True
        outcome.values["restarted"] = found is not None
        if not check_mode:
            if found is not None:
                stop(found, params["grace_ms"] / 1000)
            outcome.values["pid"] = _start(directory, name, params["namespace"], command, environment, argv, fingerprint)
    return outcome


def _start(
    directory: Path, name: str, namespace: str, command: list[str], environment: dict[str, str], argv: list[str], fingerprint: str
) -> int:
    def remember() -> None:
        pid = os.getpid()
        _write_record(directory, name, Record(pid, start_ticks(pid) or 0, _boot_id(), fingerprint, argv))

    try:
        return spawn(command, environment, log=directory / f"{name}.log", enter=namespaces.path(namespace), before_exec=remember)
    except OSError as error:
        raise MobilityError(f"process {name!r} in namespace {namespace!r} did not start: {error}") from error


def _absent(directory: Path, name: str, *, grace_s: float, check_mode: bool) -> Outcome:
    if not directory.is_dir():
        return Outcome({}, {}, {"pid": 0})
    with _locked(directory, name, check_mode=check_mode):
        found = running(directory, name)
        before = {"running": True, "argv": found.argv} if found else {}
        if not check_mode:
            if found is not None:
                stop(found, grace_s)
            _record_path(directory, name).unlink(missing_ok=True)
    return Outcome(before, {}, {"pid": found.pid if found else 0})


def running(directory: Path, name: str) -> Record | None:
    """The recorded process if it is alive: same boot, same process id, same start time, not a zombie."""
    try:
        record = Record(**json.loads(_record_path(directory, name).read_text(encoding="utf-8")))
    except (FileNotFoundError, NotADirectoryError, ValueError, TypeError):  # none, or not one of ours: as good as none
        return None
    alive = record.boot_id == _boot_id() and start_ticks(record.pid) == record.start_ticks
    return record if alive else None


def stop(record: Record, grace_s: float) -> None:
    """SIGTERM, then SIGKILL after `grace_s`. Raises MobilityError where the process stays."""
    for number, patience_s in ((signal.SIGTERM, grace_s), (signal.SIGKILL, 5.0)):
        if start_ticks(record.pid) != record.start_ticks:
            return
        with suppress(ProcessLookupError):
            os.kill(record.pid, number)
        deadline = time.monotonic() + patience_s
        while time.monotonic() < deadline:
            if start_ticks(record.pid) != record.start_ticks:
                return
            time.sleep(POLL_S)
    raise MobilityError(f"process {record.pid} ({record.argv[0]}) stays after SIGKILL: look at its state in /proc/{record.pid}/stack")


def start_ticks(pid: int) -> int | None:
    """Start time of a live process in clock ticks since boot, None where there is none or only a zombie (proc(5), stat, field 22)."""
    try:
        text = (namespaces.PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else int(fields[19])


def _boot_id() -> str:
    return (namespaces.PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def _limited(capabilities: list[str]) -> list[str]:
    """Prefix that leaves the process these capabilities and no way to gain others."""
    names = sorted(name.lower().removeprefix("cap_") for name in capabilities)
    wanted = ",".join(["-all", *(f"+{name}" for name in names)])
    return ["setpriv", "--no-new-privs", f"--bounding-set={wanted}", "--inh-caps=-all", "--"]


def _fingerprint(namespace: str, command: list[str], environment: dict[str, str], watch: list[str], *, check_mode: bool) -> str:
    """Digest of what the process is made from. A namespace made anew counts as a change, for the process would be in the old one."""
    inode = namespaces.identity(namespace) if namespaces.exists(namespace) or not check_mode else 0
    digest = hashlib.sha256(json.dumps([inode, command, sorted(environment.items())]).encode())
    for name in watch:
        try:
            digest.update(hashlib.sha256(Path(name).read_bytes()).digest())
        except OSError as error:
            if not check_mode:  # a dry run may precede the file
                raise MobilityError(f"watch: {name} cannot be read ({error.strerror}); write it before the process is started") from error
    return digest.hexdigest()


def _record_path(directory: Path, name: str) -> Path:
    return directory / f"{name}.json"


def _write_record(directory: Path, name: str, record: Record) -> None:
    temporary = directory / f".{name}.{record.pid}"
    temporary.write_text(json.dumps(asdict(record)), encoding="utf-8")
    temporary.replace(_record_path(directory, name))


@contextmanager
def _locked(directory: Path, name: str, *, check_mode: bool) -> Iterator[None]:
    """Two runs at the same time must not start two daemons."""
    if check_mode and not directory.is_dir():
        yield
        return
    directories.make(directory)
    descriptor = os.open(directory / f"{name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
