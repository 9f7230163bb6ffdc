"""A client's request as the server and the playbook's process read it, and which warm process can serve it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from closedloop_loop.runner.client import PROTOCOL

MOST_OCTETS: Final = 16 << 20
"""Longest request: Linux passes no more than 6 MB of arguments and environment to a command."""

AT_START: Final = ("HOME", "LANG", "LANGUAGE", "NO_COLOR", "PAGER", "EDITOR", "OPENSSL_CONF", "GLIBC_TUNABLES", "LOCPATH")
AT_START_PREFIXES: Final = ("ANSIBLE_", "_ANSIBLE_", "PYTHON", "LC_", "LD_", "MALLOC_")
"""Variables that Ansible, Python or the C library may have read while they started."""
PER_RUN: Final = "ANSIBLE_CACHE_PLUGIN_CONNECTION"
"""ansible-runner's name for a folder of each run; Ansible reads it when the cache is first used, not when it starts."""


class Malformed(Exception):
    """This is no request of this protocol."""


@dataclass(slots=True)
class Request:
    """What a client wants to be run, and as what."""

    real: str = ""
    terminal: bool = False
    argv: list[str] = field(default_factory=list)
    env: dict[str, str] = field(default_factory=dict)
    fds: list[int] = field(default_factory=list)
    umask: int = 0o22
    nice: int = 0
    cpus: set[int] = field(default_factory=set)
    rlimits: list[tuple[int, int, int]] = field(default_factory=list)
    """Number, soft, hard."""
    ignored: set[int] = field(default_factory=set)
    blocked: set[int] = field(default_factory=set)
    identity: list[str] = field(default_factory=list)


def read(memory: int) -> Request:
    """The request in a memory file. Raises Malformed."""
    size = os.fstat(memory).st_size
    if size > MOST_OCTETS:
        raise Malformed(f"a request of {size} octets is longer than {MOST_OCTETS}")
    return decode(os.pread(memory, size, 0))


def decode(octets: bytes) -> Request:
    """Raises Malformed."""
    request, protocol = Request(), ""
    for name, value in _items(octets):
        text = os.fsdecode(value)
        try:
            match name:
                case b"protocol":
                    protocol = text
                case b"real":
                    request.real = text
                case b"terminal":
                    request.terminal = text == "1"
                case b"argv":
                    request.argv.append(text)
                case b"env":
                    key, _, setting = text.partition("=")
                    request.env[key] = setting
                case b"fd":
                    request.fds.append(int(text))
                case b"umask":
                    request.umask = int(text)
                case b"nice":
                    request.nice = int(text)
                case b"cpus":
                    request.cpus = {int(cpu) for cpu in text.split(",")}
                case b"rlimit":
                    number, soft, hard = (int(part) for part in text.split(","))
                    request.rlimits.append((number, soft, hard))
                case b"ignored":
                    request.ignored.add(int(text))
                case b"blocked":
                    request.blocked.add(int(text))
                case b"identity":
                    request.identity.append(text)
                case _:
                    raise Malformed(f"unknown item {name!r}")
        except ValueError as error:
            raise Malformed(f"item {name!r} is not a number") from error
    if protocol != PROTOCOL:
        raise Malformed(f"protocol {protocol!r}, this server speaks {PROTOCOL!r}")
    return request


def _items(octets: bytes) -> Iterator[tuple[bytes, bytes]]:
    place = 0
    while place < len(octets):
        end = place + 4 + int.from_bytes(octets[place : place + 4], "big")
        name, separator, value = octets[place + 4 : end].partition(b"=")
        if end > len(octets) or not separator:
            raise Malformed(f"the item at octet {place} is cut off or has no name")
        yield name, value
        place = end


def at_start(env: Mapping[str, str]) -> dict[str, str]:
    """The variables that a process must have been started with to stand for one started with `env`."""
    return {
        name: value for name, value in sorted(env.items()) if name != PER_RUN and (name in AT_START or name.startswith(AT_START_PREFIXES))
    }


def fingerprint(env: Mapping[str, str], folder: Path) -> tuple[object, ...]:
    """Equal for requests that one warm process can serve, as far as is seen without Ansible: its variables and its configuration file.

    `folder` is the working directory (it may be /proc/PID/fd/N). What remains, the playbook's process compares itself.
    """
    return tuple(at_start(env).items()), tuple(_marks(env, folder))


def _marks(env: Mapping[str, str], folder: Path) -> Iterator[tuple[str, int, int, int]]:
    """Each place of a configuration file that is taken, in Ansible's order: name, inode, time of change (ns), size."""
    named = env.get("ANSIBLE_CONFIG")
    places = [folder / "ansible.cfg", Path(env.get("HOME", "/nonexistent")) / ".ansible.cfg", Path("/etc/ansible/ansible.cfg")]
    if named:
        places.insert(0, folder / named)
    for place in places:
        try:
            status = place.stat()
        except OSError:
            continue
        yield place.name, status.st_ino, status.st_mtime_ns, status.st_size
        if named:
            return
