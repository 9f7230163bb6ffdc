# Copyright (c) 2026, The closedloop.mobility contributors
# SPDX-License-Identifier: Apache-2.0
"""Start a program that outlives its starter: own session, own namespace, no descriptor of the starter, output to a log."""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from ansible_collections.closedloop.mobility.plugins.module_utils.namespaces import CLONE_NEWNET


def spawn(command: list[str], environment: dict[str, str], *, log: Path, enter: Path, before_exec: Callable[[], None]) -> int:
    """Execute `command` in the network namespace file `enter` and return its process id once the program has been loaded.

    `before_exec` runs in the new process. OSError tells what went wrong there or at the exec itself.
    """
    reader, writer = os.pipe2(os.O_CLOEXEC)
    middle = os.fork()
    if middle == 0:
        os.setsid()
        if os.fork() != 0:
            os._exit(0)  # the daemon is nobody's child but init's
        _become(command, environment, log, enter, before_exec, writer)
    os.close(writer)
    try:
        os.waitpid(middle, 0)
        with os.fdopen(reader, "rb") as stream:
            report = stream.read()  # ends when the exec closes the other end
    except BaseException:
        os.close(reader)
        raise
    pid, _space, problem = report.decode("utf-8", "replace").partition(" ")
    if problem or not pid.isdigit():
        raise OSError(problem or "the new process ended before it reported")
    return int(pid)


def _become(
    command: list[str], environment: dict[str, str], log: Path, enter: Path, before_exec: Callable[[], None], writer: int
) -> NoReturn:
    """In the new process: leave everything of the starter behind, then turn into the program. Never returns."""
    try:
        os.write(writer, f"{os.getpid()} ".encode())
        namespace = os.open(enter, os.O_RDONLY | os.O_CLOEXEC)
        if ctypes.CDLL(None, use_errno=True).setns(namespace, CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), f"cannot enter {enter}")
        os.umask(0o077)
        os.chdir("/")
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(output, 1)
        os.dup2(output, 2)
        before_exec()
        for number in signal.valid_signals():
            if number not in (signal.SIGKILL, signal.SIGSTOP):
                signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, set())
        os.closerange(3, writer)
        os.closerange(writer + 1, os.sysconf("SC_OPEN_MAX"))
        os.execvpe(command[0], command, environment)
    except BaseException as error:
        os.write(writer, str(error).encode("utf-8", "replace"))
    finally:
        os._exit(127)
