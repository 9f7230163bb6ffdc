"""Break the raw Mobility Header socket of a running process: a copy of its descriptor (pidfd_getfd(2)) is shut down."""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

from closedloop_nf.wire.mobility import MOBILITY_HEADER

from tests.daemons.unprivileged import USER

_PIDFD_GETFD = 438


def shut_down_mobility_socket(pid: int) -> None:
    """As when the kernel or somebody else ends it: nothing is received, and the process is woken."""
    pidfd = os.pidfd_open(pid)
    try:
        copy = ctypes.CDLL(None, use_errno=True).syscall(_PIDFD_GETFD, pidfd, _descriptor(pid), 0)
        if copy < 0:
            raise OSError(ctypes.get_errno(), "pidfd_getfd")
        # A raw socket is not connected, which the kernel says after it has shut it down.
        with socket.socket(fileno=copy) as sock, contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)
    finally:
        os.close(pidfd)


@contextlib.contextmanager
def no_new_descriptor(pid: int) -> Iterator[None]:
    """The process cannot open anything meanwhile."""
    before = next(line for line in Path(f"/proc/{pid}/limits").read_text().splitlines() if line.startswith("Max open files")).split()[3]
    _limit_descriptors(pid, 1)
    try:
        yield
    finally:
        if Path(f"/proc/{pid}").exists():
            _limit_descriptors(pid, int(before))


def _limit_descriptors(pid: int, number: int) -> None:
    """Its own user may do that; root only with the capability sys_resource."""
    identity = (f"--reuid={USER}", f"--regid={USER}", "--clear-groups")
    subprocess.run(["setpriv", *identity, "prlimit", f"--pid={pid}", f"--nofile={number}:"], check=True)


def _descriptor(pid: int) -> int:
    """Of the process's raw socket of protocol 135."""
    rows = [line.split() for line in Path(f"/proc/{pid}/net/raw6").read_text().splitlines()[1:]]
    inodes = {row[9] for row in rows if int(row[1].rpartition(":")[2], 16) == MOBILITY_HEADER}
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            if entry.readlink().name in {f"socket:[{inode}]" for inode in inodes}:
                return int(entry.name)
    raise AssertionError(f"process {pid} has no raw Mobility Header socket")
