"""The user that functions under test become, and what /proc says of a process's rights."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import NamedTuple

USER = 65532
"""In no user database: a number is enough."""
NET_ADMIN, NET_RAW = 1 << 12, 1 << 13
SETPRIV = ("setpriv", "--inh-caps=-all", "--no-new-privs")
AT_START = "-all,+net_admin,+net_raw,+setgid,+setuid,+setpcap"
"""Bounding set of a function's start: what it keeps, and what it needs to become its user."""


class Rights(NamedTuple):
    """Of one thread (proc(5), status). users, groups: real, effective, saved, file system; capabilities as bits of linux/capability.h."""

    users: tuple[int, ...]
    groups: tuple[int, ...]
    supplementary: tuple[int, ...]
    inheritable: int
    permitted: int
    effective: int
    bounding: int
    ambient: int
    no_new_privileges: bool


def only(capabilities: int) -> Rights:
    """The rights of USER with exactly these capabilities."""
    return Rights((USER,) * 4, (USER,) * 4, (), 0, capabilities, capabilities, capabilities, 0, True)


def rights(pid: int) -> set[Rights]:
    """Those of every thread of the process."""
    found = set()
    for thread in Path(f"/proc/{pid}/task").iterdir():
        status = dict(line.split(":", 1) for line in (thread / "status").read_text().splitlines() if ":" in line)
        users, groups, supplementary = (tuple(map(int, status[name].split())) for name in ("Uid", "Gid", "Groups"))
        sets = (int(status[f"Cap{name}"], 16) for name in ("Inh", "Prm", "Eff", "Bnd", "Amb"))
        found.add(Rights(users, groups, supplementary, *sets, no_new_privileges=status["NoNewPrivs"].strip() == "1"))
    return found


def watched(state: Path) -> dict[str, str]:
    """Environment in which a function notes what it imports too late, in a folder of USER's."""
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parent / "late_imports"), "LATE_IMPORTS": str(state / "late-imports")}


def late_imports(state: Path) -> list[str]:
    """What it noted."""
    record = state / "late-imports"
    return record.read_text().split() if record.exists() else []


def folder_of_user() -> Path:
    """A new folder in which only USER can write, and that USER can reach."""
    made = Path(tempfile.mkdtemp(prefix=f"clt{os.getpid()}-"))
    os.chown(made, USER, USER)
    return made
