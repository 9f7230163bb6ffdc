# Copyright (c) 2026, The closedloop.mobility contributors
# SPDX-License-Identifier: Apache-2.0
"""A directory in which an unprivileged daemon keeps what it writes: it and all it holds are its user's."""

from __future__ import annotations

import os
import pwd
from contextlib import suppress
from pathlib import Path

from ansible_collections.closedloop.mobility.plugins.module_utils import directories
from ansible_collections.closedloop.mobility.plugins.module_utils.outcome import MobilityError

User = tuple[int, int]
"""User id and group id."""


def user(text: str) -> User:
    """Of a name, with its first group, or of a number, with the group of that number. Raises MobilityError."""
    if text.isascii() and text.isdigit():
        return int(text), int(text)
    try:
        entry = pwd.getpwnam(text)
    except KeyError:
        raise MobilityError(f"files: user {text!r}: this machine has no such user; give the name of one, or a number") from None
    return entry.pw_uid, entry.pw_gid


def owners(directory: Path) -> set[User]:
    """Of the directory and all it holds; nobody where it is missing. Raises MobilityError."""
    if not directory.exists():
        return set()
    if not directory.is_dir() or directory.is_symlink():
        raise MobilityError(f"files: {directory} is there and is not a directory; remove it")
    found = set()
    for path in [directory, *directory.rglob("*")]:
        with suppress(FileNotFoundError):  # removed by its daemon meanwhile
            status = path.lstat()
            found.add((status.st_uid, status.st_gid))
    return found


def owner_of_file(path: Path) -> User | None:
    """Of the file itself; None where it is missing."""
    try:
        status = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return status.st_uid, status.st_gid


def give(directory: Path, to: User) -> None:
    """Make it where it is missing; give it and all it holds to the user. Raises MobilityError."""
    try:
        directories.make(directory)
        for path in [directory, *directory.rglob("*")]:
            with suppress(FileNotFoundError):
                os.chown(path, *to, follow_symlinks=False)
    except OSError as error:
        raise MobilityError(f"files: {directory} cannot be given to user {to[0]}: {error.strerror}") from error
