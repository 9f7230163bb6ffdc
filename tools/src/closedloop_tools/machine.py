"""What a figure was measured on."""

from __future__ import annotations

import os
import platform
from pathlib import Path


def describe_machine() -> dict[str, str | int]:
    """The `machine` object of a report: processor, cores this process may use, memory, kernel, Python."""
    return {
        "cpu": _first_value(Path("/proc/cpuinfo"), "model name") or platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_mb": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 1_000_000,
        "kernel": platform.release(),
        "python": platform.python_version(),
    }


def _first_value(file: Path, key: str) -> str | None:
    """The first value of `key` in a file of `key : value` lines; some architectures' cpuinfo has no such line."""
    for line in file.read_text(encoding="utf-8").splitlines():
        name, _separator, value = line.partition(":")
        if name.strip() == key:
            return value.strip()
    return None
