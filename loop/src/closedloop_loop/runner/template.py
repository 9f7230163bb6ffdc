"""A template: a process that has imported Ansible under one set of variables and forks a guard for every playbook handed to it.

Started by the server as a script, with the variables and the working directory of the request it learnt them from. Its standard input
is the server's end of a socket pair: it says `ready` there, then takes packets of descriptors (connection, then the request's own). The
end of that socket means: no more playbooks, wait for those that run, go.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
from pathlib import Path


def main() -> None:
    """Until the server is gone."""
    # what the interpreter puts here for the ordinary command is the folder of that command
    sys.path[0] = str(Path(sys.argv[1]).parent)
    from closedloop_loop.runner.ansible_state import Warm
    from closedloop_loop.runner.guard import guard

    control = socket.socket(fileno=os.dup(0))
    nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    os.dup2(nothing, 0)
    collection = Path(sys.argv[2]) if len(sys.argv) > 2 else None
    sys.argv = [sys.argv[1]]
    warm = Warm(collection)
    os.chdir("/")
    # the server decides when this ends; a terminal's signals are for it
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, _reap)
    control.send(b"ready")
    while True:
        message, fds, _flags, _address = socket.recv_fds(control, 64, 253)
        if not message:
            break
        if os.fork() == 0:
            control.close()
            guard(socket.socket(fileno=fds[0]), fds[1:], warm)
        for fd in fds:
            os.close(fd)
    control.close()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    with contextlib.suppress(ChildProcessError):
        while True:
            os.wait()


def _reap(_number: int, _frame: object) -> None:
    """Guards that have ended."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


if __name__ == "__main__":
    main()
