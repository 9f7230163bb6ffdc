"""The guard of one playbook: its parent, which speaks with the client for it.

A guard depends on nobody: when the server or the template is killed, playbook, guard and client go on. When the client is gone, the
guard kills the playbook; when the guard is gone, the kernel does.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import resource
import select
import signal
import socket
import sys
import termios
import traceback
from typing import Final, Never

from closedloop_loop.runner import client
from closedloop_loop.runner.ansible_state import Different, Warm
from closedloop_loop.runner.request import Malformed, Request, read

PR_SET_PDEATHSIG: Final = 1
LIBC: Final = ctypes.CDLL(None, use_errno=True)
UNEXPECTED: Final = 250
"""What `ansible-playbook` returns for an exception that nothing caught."""


def guard(conn: socket.socket, fds: list[int], warm: Warm) -> Never:
    """The life of a guard, in a process forked for it. `fds` as the client passed them."""
    os.setsid()
    conn.setblocking(True)  # the server's end was not
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, lambda *_: None)  # a handler, so that the pipe below is written to
    awake, wake = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    parent, pid = os.getpid(), os.fork()
    if pid == 0:
        for opened in (awake, wake):
            os.close(opened)
        here.close()
        conn.close()
        _playbook(there, fds, warm, parent)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    there.close()
    for fd in fds:
        os.close(fd)
    try:
        with contextlib.suppress(OSError):
            conn.send(here.recv(4096) or b"refuse the playbook's process ended while it began")
        _relay(conn, here, pid, awake)
    finally:
        os._exit(0)


def _relay(conn: socket.socket, here: socket.socket, pid: int, awake: int) -> None:
    """Until the playbook has ended: what the client says goes to it, how it ended goes to the client."""
    going = gone = False
    poll = select.poll()
    poll.register(conn, select.POLLIN)
    poll.register(awake, select.POLLIN)
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            code = os.waitstatus_to_exitcode(status)
            with contextlib.suppress(OSError):
                conn.send(b"exit %d" % code if code >= 0 else b"killed %d" % -code)
            return
        ready = [fd for fd, _ in poll.poll()]
        if awake in ready:
            os.read(awake, 512)
        if gone or conn.fileno() not in ready:
            continue
        try:
            said = conn.recv(64)
        except OSError:
            said = b""
        if not said:  # the client was killed, or runs the ordinary command
            gone = True
            poll.unregister(conn)
            _kill(pid, signal.SIGKILL, going)
        elif said == b"go":
            going = True
            here.send(b"go")
        elif said.startswith(b"signal "):
            number = int(said[7:])
            # the group is alone in its session, where the kernel drops SIGTSTP
            _kill(pid, signal.SIGSTOP if number == signal.SIGTSTP else number, going)


def _kill(pid: int, number: int, group: bool) -> None:
    """The playbook has not been waited for, so its number is still its own."""
    with contextlib.suppress(ProcessLookupError):
        if group:
            os.killpg(pid, number)
        else:
            os.kill(pid, number)


def _playbook(there: socket.socket, fds: list[int], warm: Warm, parent: int) -> Never:
    """The process that runs the playbook."""
    code = UNEXPECTED
    try:
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(code)
        os.setsid()
        request = _become(there, fds, warm)
        if request is None:
            os._exit(0)
        try:
            warm.playbook([request.real, *request.argv])
            code = 0
        except SystemExit as end:
            code = _code(end)
        except KeyboardInterrupt:
            code = -signal.SIGINT
            traceback.print_exc()
    except BaseException:
        traceback.print_exc()
    _end(code)


def _become(there: socket.socket, fds: list[int], warm: Warm) -> Request | None:
    """Take over all that the client is, and wait for its word; None where the ordinary command has to do it."""
    try:
        request = read(fds[0])
        _attributes(request, fds[1])
        control = socket.socket(fileno=fcntl.fcntl(there.detach(), fcntl.F_DUPFD_CLOEXEC, 512))
        there = control
        _descriptors(request, fds[2:], control.fileno())
        warm.renew()
    except (Different, Malformed, OSError, ValueError) as why:
        there.send(f"refuse {why}".encode(errors="backslashreplace")[:4000])
        return None
    there.send(b"ready")
    if there.recv(16) != b"go":
        return None
    there.close()
    if request.terminal:
        terminal = next((fd for fd in (0, 1, 2) if os.isatty(fd)), None)
        if terminal is not None:
            fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
    signal.pthread_sigmask(signal.SIG_SETMASK, request.blocked)
    return request


def _attributes(request: Request, folder: int) -> None:
    """Variables, working directory, umask, signals, limits. Raises OSError, ValueError, Different."""
    if request.identity != client.identity():
        changed = sorted(set(request.identity) ^ set(client.identity()))
        raise Different(f"the server is another user, or lives in other namespaces or with other rights: {changed[:4]}")
    os.environ.clear()
    os.environ.update(request.env)
    os.fchdir(folder)
    os.umask(request.umask)
    for number, soft, hard in request.rlimits:
        if resource.getrlimit(number) != (soft, hard):
            resource.setrlimit(number, (soft, hard))
    if os.getpriority(os.PRIO_PROCESS, 0) != request.nice:
        os.setpriority(os.PRIO_PROCESS, 0, request.nice)
    if os.sched_getaffinity(0) != request.cpus:
        os.sched_setaffinity(0, request.cpus)
    signal.set_wakeup_fd(-1)
    kept = {signal.SIGKILL, signal.SIGSTOP, signal.SIGPIPE, signal.SIGXFSZ}
    for number in signal.valid_signals() - kept:
        if number in request.ignored:
            signal.signal(number, signal.SIG_IGN)
        else:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)


def _descriptors(request: Request, fds: list[int], control: int) -> None:
    """0, 1, 2 and those named by the request are the client's under the client's numbers; nothing else is open but `control`."""
    wanted = [0, 1, 2, *request.fds]
    if len(fds) != len(wanted):
        raise Malformed(f"{len(fds)} descriptors for {len(wanted)} numbers")
    if max(wanted) >= 512:
        raise Different(f"descriptor {max(wanted)} is too high to be passed on")
    high = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 512) for fd in fds]
    for source, number in zip(high, wanted, strict=True):
        os.dup2(source, number)
    kept = {*wanted, control}
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208  # numbers are wanted, not paths
        if int(name) not in kept:
            with contextlib.suppress(OSError):
                os.close(int(name))


def _code(end: SystemExit) -> int:
    """Exit status of a SystemExit, as the interpreter would have it."""
    if end.code is None or isinstance(end.code, int):
        return (end.code or 0) & 0xFF
    print(end.code, file=sys.stderr)
    return 1


def _end(code: int) -> Never:
    """Leave as an interpreter leaves: exit handlers, then the streams; without the template's objects being torn down."""
    import atexit

    with contextlib.suppress(BaseException):
        atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            code = code or 120  # the interpreter's own status for output that was lost
    if code < 0:
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)
