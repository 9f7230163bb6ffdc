"""Users in a configuration file: a name of the user database, or a number that needs no entry there."""

from __future__ import annotations

import pwd
from typing import Final

LARGEST: Final = 2**32 - 2
"""The largest user id; the one after it means `no change` to the kernel."""


class User:
    """A user who is not root, and the group that is used with it."""

    __slots__ = ("gid", "uid")

    def __init__(self, uid: int, gid: int) -> None:
        self.uid: Final = uid
        self.gid: Final = gid

    @classmethod
    def from_value(cls, value: str | int) -> User:
        """A name with its first group; a number with the group of that number. Raises ValueError that names the remedy."""
        if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 10:
            value = int(value)
        if isinstance(value, int):
            if not 1 <= value <= LARGEST:
                raise ValueError(f"{value} is no unprivileged user; give a number from 1 to {LARGEST}")
            return cls(value, value)
        try:
            entry = pwd.getpwnam(value)
        except (KeyError, ValueError):
            raise ValueError("this machine has no such user; give the name of one, or a number") from None
        if entry.pw_uid == 0 or entry.pw_gid == 0:
            raise ValueError("it is root, or in root's group; give an unprivileged user")
        return cls(entry.pw_uid, entry.pw_gid)

    def __str__(self) -> str:
        return f"{self.uid}:{self.gid}"

    def __repr__(self) -> str:
        return f"User({self})"
