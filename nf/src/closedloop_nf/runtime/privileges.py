"""From root to an unprivileged user with the capabilities that a function's work needs, and no way back.

A function is started as root because its program, its configuration and its keys may lie where only root can read. It reads them, and
becomes its user before it takes anything from the network; what it writes is written as that user. `become(..., later=True)` is for one
that has more to read (modules that take long to load) and no time for it before it serves: it has no more than the user's rights from then
on either, but a thread can still read what root may read, until `finish`.

capabilities(7), credentials(7); setfsuid(2) and capset(2) act on the calling thread only.
"""

from __future__ import annotations

import ctypes
import errno
import importlib
import os
import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from enum import IntEnum
from typing import Final

from closedloop_nf.runtime.config import ConfigError
from closedloop_nf.runtime.users import User

_PR_SET_KEEPCAPS, _PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT = 8, 24, 38, 47
_PR_CAP_AMBIENT_CLEAR_ALL: Final = 4
_CAPABILITY_VERSION_3: Final = 0x20080522
_MOST_CAPABILITIES: Final = 64


_LATE: Final = ("concurrent.futures.thread", "encodings.ascii", "encodings.idna", "encodings.latin_1", "traceback")
"""What the standard library imports when it is first needed; it may lie where only root can read, too."""


class Capability(IntEnum):
    """Numbers of linux/capability.h."""

    NET_ADMIN = 12
    NET_RAW = 13


def become(user: User | None, keep: Iterable[Capability], *, later: bool = False) -> None:
    """Become `user` with exactly the capabilities `keep`, for good. Without a user, or as that user already, nothing is changed.

    To be called while there is one thread. later: `reading_as_root` works until `finish`. Raises ConfigError.
    """
    if user is None or os.getresuid() == (user.uid,) * 3:
        return
    wanted = frozenset(keep)
    for module in _LATE:
        importlib.import_module(module)
    try:
        _prctl(_PR_SET_NO_NEW_PRIVS, 1)
        _prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL)
        _bound(wanted)
        os.setgroups([])
        os.setresgid(user.gid, user.gid, user.gid)
        _prctl(_PR_SET_KEEPCAPS, 1)
        os.setresuid(user.uid, user.uid, 0 if later else user.uid)
        _set_capabilities(wanted)
    except OSError as error:
        raise ConfigError(
            f"user {user}",
            "user",
            f"cannot become it ({error.strerror}); start as root with the capabilities setuid, setgid and setpcap"
            + "".join(f", {capability.name.lower()}" for capability in sorted(wanted)),
        ) from None


@contextmanager
def reading_as_root() -> Iterator[None]:
    """Between `become(later=True)` and `finish`, the calling thread opens files as root does; elsewhere nothing is changed."""
    real, effective, saved = os.getresuid()
    if saved == effective:
        yield
        return
    libc = ctypes.CDLL(None)
    libc.setfsuid(saved)
    try:
        yield
    finally:
        libc.setfsuid(real)


def finish() -> None:
    """Give up what `become(later=True)` left. All threads of the process are the user's then, with the same capabilities as before."""
    _, effective, saved = os.getresuid()
    if saved != effective:
        os.setresuid(effective, effective, effective)


def _bound(wanted: frozenset[Capability]) -> None:
    """Nothing this process executes can have more than `wanted`."""
    for number in range(_MOST_CAPABILITIES):
        if number in wanted:
            continue
        try:
            _prctl(_PR_CAPBSET_DROP, number)
        except OSError as error:
            if error.errno != errno.EINVAL:  # beyond the kernel's last
                raise


def _set_capabilities(wanted: frozenset[Capability]) -> None:
    mask = sum(1 << capability for capability in wanted)
    low, high = mask & 0xFFFFFFFF, mask >> 32
    header = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0)
    data = struct.pack("=6I", low, low, 0, high, high, 0)
    if ctypes.CDLL(None, use_errno=True).capset(header, data):
        _fail()


def _prctl(option: int, argument: int) -> None:
    zero = ctypes.c_ulong(0)
    if ctypes.CDLL(None, use_errno=True).prctl(option, ctypes.c_ulong(argument), zero, zero, zero):
        _fail()


def _fail() -> None:
    code = ctypes.get_errno()
    raise OSError(code, os.strerror(code))
