# Copyright (c) 2026, The closedloop.mobility contributors
# SPDX-License-Identifier: Apache-2.0
"""Kernel configurations: which of the wanted symbols a kernel of a given release has."""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.closedloop.mobility.plugins.module_utils.outcome import MobilityError

SYMBOLS_SPEC: dict[str, Any] = {
    "type": "list",
    "elements": "dict",
    "required": True,
    "options": {
        "name": {"type": "str", "required": True},
        "dropped_in": {"type": "str"},
        "because": {"type": "str"},
    },
}

NAME = re.compile(r"[A-Z0-9_]+")
_RELEASE = re.compile(r"(\d+)\.(\d+)")
_LINE = re.compile(r"CONFIG_(\w+)=(.*)")


@dataclass(frozen=True)
class Symbol:
    """A symbol that must be `y` or `m`; where there is a release `dropped_in`, only in kernels before it, `because` of what is said."""

    name: str
    dropped_in: str = ""
    because: str = ""

    def needed(self, release: str) -> bool:
        return not self.dropped_in or version(release) < version(self.dropped_in)


def symbols(entries: Sequence[Mapping[str, Any]]) -> list[Symbol]:
    """From arguments of SYMBOLS_SPEC. Raises MobilityError."""
    found = []
    for entry in entries:
        name = entry["name"].removeprefix("CONFIG_")
        if not NAME.fullmatch(name):
            raise MobilityError(f"symbols: {entry['name']!r} is not the name of a kernel's symbol; use capitals, digits and '_'")
        symbol = Symbol(name, entry.get("dropped_in") or "", entry.get("because") or "")
        if symbol.dropped_in:
            version(symbol.dropped_in)
        found.append(symbol)
    return found


def version(release: str) -> tuple[int, int]:
    """(6, 1) of `6.1.0-18-amd64`. Raises MobilityError."""
    found = _RELEASE.match(release)
    if not found:
        raise MobilityError(f"{release!r} is not a kernel release; it begins with two numbers, as 6.1 does")
    return int(found[1]), int(found[2])


def age(release: str) -> list[str | int]:
    """Sorts releases: 6.1.0-9-amd64 before 6.1.0-18-amd64."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", release)]


def parse(text: str) -> dict[str, str]:
    """Symbols that are set, without CONFIG_, and their values."""
    return {found[1]: found[2] for line in text.splitlines() if (found := _LINE.fullmatch(line.strip()))}


def read(file: Path) -> dict[str, str]:
    """A kernel's configuration, compressed or not. Raises MobilityError; FileNotFoundError where there is none."""
    try:
        octets = file.read_bytes()
        return parse((gzip.decompress(octets) if octets[:2] == b"\x1f\x8b" else octets).decode())
    except FileNotFoundError:
        raise
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        raise MobilityError(f"{file} cannot be read as a kernel's configuration: {error}") from error


def missing(config: Mapping[str, str], wanted: Sequence[Symbol], release: str) -> list[str]:
    """Names of the symbols that a kernel of this release and configuration lacks."""
    return [symbol.name for symbol in wanted if symbol.needed(release) and config.get(symbol.name) not in ("y", "m")]


def not_needed(wanted: Sequence[Symbol], release: str) -> dict[str, str]:
    """Why a kernel of this release does without a symbol, by name."""
    return {symbol.name: f"since {symbol.dropped_in}: {symbol.because}" for symbol in wanted if not symbol.needed(release)}
