# Copyright (c) 2026, The closedloop.mobility contributors
# SPDX-License-Identifier: Apache-2.0
"""Named network namespaces of this machine, as `ip netns` knows them.

A named namespace is a file below /run/netns with the namespace mounted on it. A creator killed between the two steps leaves a plain file;
it counts as absent here and is replaced.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import re
import signal
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ansible_collections.closedloop.mobility.plugins.module_utils.outcome import MobilityError
from ansible_collections.closedloop.mobility.plugins.module_utils.pyroute2_library import pyroute2

RUN_DIRECTORY = Path("/run/netns")
PROC = Path("/proc")
CLONE_NEWNET = 0x40000000
NSFS_MAGIC = 0x6E736673
MNT_DETACH = 2
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
SYSCTL = re.compile(r"net(\.[A-Za-z0-9_-]+)+")


class _StatFs(ctypes.Structure):
    """The first field of statfs(2) is the file system's magic number; the rest is room for the kernel to write."""

    _fields_ = [("f_type", ctypes.c_long), ("room", ctypes.c_byte * 248)]


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def path(name: str) -> Path:
    """File of the namespace. Raises MobilityError for a name that could leave the directory."""
    if not NAME.fullmatch(name):
        raise MobilityError(f"namespace name {name!r} is not valid: use 1 to 63 letters, digits, '.', '_' or '-', a letter or digit first")
    return RUN_DIRECTORY / name


def exists(name: str) -> bool:
    """Whether a namespace is mounted under this name."""
    record = _StatFs()
    return _libc().statfs(os.fsencode(path(name)), ctypes.byref(record)) == 0 and record.f_type == NSFS_MAGIC


def create(name: str) -> None:
    """Make the namespace, its loopback down. Raises MobilityError where the kernel refuses."""
    path(name).unlink(missing_ok=True)
    pyroute2().netns.create(name)
    if not exists(name):
        raise MobilityError(f"network namespace {name!r} could not be made: run as root with CAP_SYS_ADMIN")


def remove(name: str) -> None:
    """Unmount and unlink; the namespace ends with its last process.

    Its interfaces are shut first. The kernel takes a namespace's packet filter away before its interfaces: a host that must be silent would
    answer for the addresses that another one has taken over.
    """
    where = path(name)
    if exists(name):
        _shut_interfaces(name)
    libc = _libc()
    if libc.umount2(os.fsencode(where), MNT_DETACH) != 0:
        code = ctypes.get_errno()
        if code not in (errno.EINVAL, errno.ENOENT):  # not a mount point, or gone: what is wanted
            raise MobilityError(f"network namespace {name!r} cannot be unmounted: {os.strerror(code)}")
    where.unlink(missing_ok=True)


def _shut_interfaces(name: str) -> None:
    with entered(name), socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as asking:
        for _index, interface in socket.if_nameindex():
            request = struct.pack("16sH22x", interface.encode(), 0)
            with suppress(OSError):  # it has gone meanwhile
                flags = struct.unpack_from("H", fcntl.ioctl(asking, SIOCGIFFLAGS, request), 16)[0]
                fcntl.ioctl(asking, SIOCSIFFLAGS, struct.pack("16sH22x", interface.encode(), flags & ~IFF_UP))


def identity(name: str) -> int:
    """Inode of the namespace: differs from that of a later namespace of the same name. Raises MobilityError where there is none."""
    if not exists(name):
        raise MobilityError(f"there is no network namespace {name!r}: make it first (closedloop.mobility.netns)")
    return path(name).stat().st_ino


def own_identity() -> int:
    """Inode of the calling thread's namespace."""
    return (PROC / "thread-self/ns/net").stat().st_ino


@contextmanager
def entered(name: str) -> Iterator[None]:
    """Run the body in the namespace: sockets opened, /proc/sys/net and child processes belong to it. Only the calling thread moves."""
    identity(name)
    target = os.open(path(name), os.O_RDONLY | os.O_CLOEXEC)
    try:
        with inside(target):
            yield
    finally:
        os.close(target)


@contextmanager
def inside(descriptor: int) -> Iterator[None]:
    """Run the body in the network namespace that this file descriptor is of, as `entered` does."""
    with _returning() as libc:
        if libc.setns(descriptor, CLONE_NEWNET) != 0:
            raise MobilityError(f"a network namespace cannot be entered: {os.strerror(ctypes.get_errno())}; run as root")
        yield


@contextmanager
def nowhere() -> Iterator[None]:
    """Run the body in a new namespace without any way out, which ends with the body: a dry run before the real one is made."""
    with _returning() as libc:
        if libc.unshare(CLONE_NEWNET) != 0:
            raise MobilityError(f"no network namespace can be made: {os.strerror(ctypes.get_errno())}; run as root")
        yield


@contextmanager
def _returning() -> Iterator[ctypes.CDLL]:
    """Whatever the body does to the thread's network namespace is undone."""
    libc = _libc()
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield libc
    finally:
        failed = libc.setns(home, CLONE_NEWNET) != 0
        os.close(home)
        if failed:
            raise MobilityError(f"cannot return to the own network namespace: {os.strerror(ctypes.get_errno())}")


def sysctl_path(key: str) -> Path:
    """File of `net.a.b` with the dots of interface names written as '/': `net.ipv6.conf.eth0/5.forwarding`, as sysctl(8) does."""
    if not SYSCTL.fullmatch(key.replace("/", "-")) or ".." in key:
        raise MobilityError(f"sysctl {key!r} is not valid here: only names below 'net.' belong to a network namespace")
    return PROC / "sys" / key.translate(str.maketrans("./", "/."))


def read_sysctl(key: str) -> str | None:
    """Value in the present namespace, None where the kernel has no such key."""
    try:
        return " ".join(sysctl_path(key).read_text(encoding="ascii").split())
    except FileNotFoundError:
        return None


def write_sysctl(key: str, value: str) -> None:
    """Set it in the present namespace. Raises MobilityError where the kernel refuses."""
    try:
        sysctl_path(key).write_text(value, encoding="ascii")
    except OSError as error:
        raise MobilityError(f"sysctl {key} cannot be set to {value!r}: {error.strerror}; check that this kernel takes it") from error


def processes_inside(inode: int) -> list[int]:
    """Process ids whose network namespace has this inode."""
    found = []
    for entry in PROC.iterdir():
        if entry.name.isdigit():
            with suppress(OSError):  # gone meanwhile, or a zombie without namespaces
                if (entry / "ns/net").stat().st_ino == inode:
                    found.append(int(entry.name))
    return found


def end_processes(inode: int, grace_s: float) -> list[int]:
    """SIGTERM, then SIGKILL after `grace_s`, for every process in the namespace. Returns the ids that were told."""
    told = processes_inside(inode)
    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid in processes_inside(inode):
            with suppress(OSError):
                # The namespace is checked again right before: a process id that was recycled is in another one.
                if (PROC / str(pid) / "ns/net").stat().st_ino == inode:
                    os.kill(pid, number)
        deadline = time.monotonic() + grace_s
        while processes_inside(inode):
            if time.monotonic() > deadline:
                break
            time.sleep(0.01)
        else:
            return told
    raise MobilityError(f"processes {processes_inside(inode)} stay in the network namespace after SIGKILL: look at their state in /proc")
