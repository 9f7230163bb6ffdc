"""Network namespaces of this machine: make one, work inside, end what runs there."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Callable
from typing import TypeVar

from pyroute2 import netns  # type: ignore[import-untyped] # it has no type hints

T = TypeVar("T")


def names() -> list[str]:
    """All named network namespaces."""
    return list(netns.listnetns())


def create(name: str) -> None:
    """Raises OSError where it exists."""
    netns.create(name)


def enter(name: str) -> None:
    """Put the calling thread, and no other, into the network namespace."""
    netns.setns(name)


def in_namespace(name: str, call: Callable[[], T]) -> T:
    """The result of `call` in a thread that lives in the network namespace; the caller stays where it is. Raises what `call` raises."""
    results: list[T] = []
    errors: list[BaseException] = []

    def work() -> None:
        try:
            enter(name)
            results.append(call())
        except BaseException as error:  # carried to the caller
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


def remove(name: str) -> None:
    """Kill what runs in the namespace and remove it; nothing happens where it is not there."""
    if name not in names():
        return
    listing = subprocess.run(["ip", "netns", "pids", name], check=True, capture_output=True, text=True).stdout
    for process in map(int, listing.split()):
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    with contextlib.suppress(FileNotFoundError):
        netns.remove(name)
