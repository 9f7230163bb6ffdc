"""Clocks that step: CLOCK_REALTIME of single processes, by a small library that they load first. The machine's clock stays as it is."""

from __future__ import annotations

import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tests.faults.lab import Lab

HOSTS: Final = ("control", "ha-b")
"""Whose clock can step. Playbooks are forks of the runner and have its clock."""
_SOURCE: Final = Path(__file__).with_name("stepped_clock.c")


def make(lab: Lab) -> None:
    subprocess.run(["gcc", "-shared", "-fPIC", "-O2", "-Wall", "-o", str(_library(lab)), str(_SOURCE)], check=True)
    for host in HOSTS:
        _write(_file(lab, host), 0)


def remove(lab: Lab) -> None:
    for path in (_library(lab), *(_file(lab, host) for host in HOSTS)):
        path.unlink(missing_ok=True)


def environment(lab: Lab, host: str) -> dict[str, str]:
    """For a process that is to have the host's clock."""
    return {"LD_PRELOAD": str(_library(lab)), "STEPPED_CLOCK": str(_file(lab, host))}


@dataclass(frozen=True)
class ClockStep:
    """The host's clock is so far off from now on."""

    host: str
    offset_s: int

    @property
    def kind(self) -> str:
        return f"clock_step_{self.host}"

    def begin(self, lab: Lab) -> bool:
        _write(_file(lab, self.host), self.offset_s)
        return True

    def end(self, lab: Lab) -> None:
        """It stays."""


def _library(lab: Lab) -> Path:
    return lab.folder / "stepped_clock.so"


def _file(lab: Lab, host: str) -> Path:
    return lab.folder / f"stepped_clock.{host}"


def _write(path: Path, offset_s: int) -> None:
    """In place: the processes have the file mapped."""
    with path.open("r+b" if path.exists() else "wb") as file:
        file.write(struct.pack("=q", offset_s))
