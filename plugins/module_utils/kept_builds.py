# Copyright (c) 2026, The closedloop.mobility contributors
# SPDX-License-Identifier: Apache-2.0
"""What is built once and kept in a directory called after its inputs: how it is found, and that one builds at a time."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ansible_collections.closedloop.mobility.plugins.module_utils.outcome import MobilityError


def found(place: Path) -> dict[str, Any] | None:
    """What is told of it; None where it was not built to the end."""
    try:
        return dict(json.loads((place / "built.json").read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None


@contextmanager
def locked(root: Path) -> Iterator[None]:
    """Makes the directory of builds where it is not there, and waits for who builds in it. Raises MobilityError."""
    try:
        root.mkdir(parents=True, exist_ok=True)
        lock = (root / "lock").open("w")
    except OSError as error:
        raise MobilityError(f"cache_directory: {root} cannot be made: {error.strerror}; name another one, or run as root") from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
