"""Reads of the kernel: processor, memory and interfaces of this process, its host and its network namespace."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from closedloop_nf.ves.measurement import Host, Interface

_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
_PAGE_KIB: Final = os.sysconf("SC_PAGE_SIZE") // 1024


def resident_kib() -> int:
    """Resident memory of this process (proc(5), statm)."""
    return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * _PAGE_KIB


def host() -> Host:
    """The first line of /proc/stat and MemAvailable."""
    with Path("/proc/stat").open(encoding="ascii") as stat:
        ticks = [int(field) for field in stat.readline().split()[1:9]]
    user, nice, system, idle, waiting, irq, soft_irq, steal = ticks
    available = next(line for line in Path("/proc/meminfo").read_text("ascii").splitlines() if line.startswith("MemAvailable:"))
    busy = user + nice + system + irq + soft_irq + steal
    return Host(busy / _TICKS_PER_S, soft_irq / _TICKS_PER_S, (busy + idle + waiting) / _TICKS_PER_S, int(available.split()[1]))


def interfaces(wanted: Iterable[str] | None = None) -> dict[str, Interface]:
    """Counters of /proc/net/dev: of the `wanted` interfaces that exist, of all but lo where None."""
    names = None if wanted is None else set(wanted)
    found: dict[str, Interface] = {}
    for line in Path("/proc/self/net/dev").read_text("ascii", "replace").splitlines()[2:]:
        name, _, counters = line.strip().partition(":")
        if name != "lo" if names is None else name in names:
            counts = [int(field) for field in counters.split()]
            found[name] = Interface(counts[0], counts[1], counts[3], counts[8], counts[9], counts[11])
    return found
