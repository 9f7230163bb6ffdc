"""Small file systems for what must survive, filled to the last page and freed again."""

from __future__ import annotations

import errno
import os
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tests.faults.lab import Lab

DISKS: Final = {"": 48, "control": 96, "ha-b": 16}
"""Directory below the lab's state, and MiB: the operations journal, placements and the HA-PPs' queues; the intake journal and what the loop
has for temporary files; HA-B's bindings and its queue of events."""
FILLER: Final = ".filler"
_CHUNKS: Final = (1 << 20, 1 << 16, 1 << 12)


def mount(state: Path) -> None:
    for name, size in DISKS.items():
        place = state / name
        place.mkdir(parents=True, exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}m,mode=755", "closedloop-faults", str(place)], check=True)


def unmount(state: Path) -> None:
    for name in reversed(DISKS):
        subprocess.run(["umount", "--lazy", str(state / name)], check=False, capture_output=True)


@dataclass(frozen=True)
class FullDisk:
    """No page is free on it for a while."""

    disk: str

    @property
    def kind(self) -> str:
        return f"full_disk_{self.disk or 'lab'}"

    def begin(self, lab: Lab) -> bool:
        fill(lab.state / self.disk / FILLER)
        return True

    def end(self, lab: Lab) -> None:
        (lab.state / self.disk / FILLER).unlink(missing_ok=True)


def fill(path: Path) -> None:
    """With one file, until not a page is left."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        size = os.fstat(descriptor).st_size
        for chunk in _CHUNKS:
            with suppress(_Full):
                while True:
                    _extend(descriptor, size, chunk)
                    size += chunk
    finally:
        os.close(descriptor)


class _Full(Exception):
    pass


def _extend(descriptor: int, size: int, chunk: int) -> None:
    try:
        os.posix_fallocate(descriptor, size, chunk)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise _Full from None
        raise
