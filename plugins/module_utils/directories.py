# Copyright (c) 2026, The closedloop.mobility contributors
# SPDX-License-Identifier: Apache-2.0
"""Directories that others may enter, whoever makes them: a playbook that the control loop runs has another umask than one by hand."""

from __future__ import annotations

from pathlib import Path


def make(directory: Path) -> None:
    """With those above it, each that is missing with mode 0755. Raises OSError."""
    missing = [path for path in (directory, *directory.parents) if not path.is_dir()]
    for path in reversed(missing):
        path.mkdir(exist_ok=True)
        path.chmod(0o755)
