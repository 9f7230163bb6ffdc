"""What stands on PATH as `ansible-playbook`: hands the command to the warm runner, or becomes the ordinary command.

The server writes a copy of this file, with REAL and SOCKET filled in, as an executable whose first line is `#!PYTHON -IS`. It starts on
the path of every reaction, so it imports built-in modules alone: `socket` and `signal` would double its start for the sake of `enum`.

Nothing has happened until the guard says `ready` and is answered `go`; before that, whatever goes wrong ends in the ordinary command.
Records, one per SOCK_SEQPACKET packet:
from here `request` (with descriptors), `go`, `signal N`; to here `hello`, `refuse WHY`, `ready`, `exit N`,
`killed N`. The descriptors of `request` are: memory file of items, working directory, 0, 1, 2, then those named by `fd=N`.
An item is a 4-octet length, most significant first, and as many octets `NAME=VALUE`.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # typeshed describes `signal` only
import _socket
import fcntl
import os
import resource
import sys
import termios
from collections.abc import Iterator

REAL = ""
SOCKET = ""

PROTOCOL = "1"
PATIENCE_S = 2.0
"""How long the server may take to be ready; a stopped one must not delay a reaction for longer."""
MOST_DESCRIPTORS = 200
FORWARDED = (
    _signal.SIGHUP,
    _signal.SIGINT,
    _signal.SIGQUIT,
    _signal.SIGTERM,
    _signal.SIGUSR1,
    _signal.SIGUSR2,
    _signal.SIGTSTP,
    _signal.SIGCONT,
)
NAMESPACES = ("cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts")
STATUS = ("Uid:", "Gid:", "Groups:", "NoNewPrivs:", "Seccomp:", "CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:")


class Unavailable(Exception):
    """The ordinary command has to do it; the text says why."""


def main() -> int:
    """Exit status of the playbook; does not return where the ordinary command takes over."""
    path = os.environ.get("CLOSEDLOOP_RUNNER_SOCKET", SOCKET)
    try:
        if os.environ.get("CLOSEDLOOP_RUNNER") == "off" or not path:
            raise Unavailable("switched off")
        conn = request(path)
    except (Unavailable, OSError) as why:
        if os.environ.get("CLOSEDLOOP_RUNNER") == "explain":
            sys.stderr.write(f"closedloop runner: the ordinary command runs: {why}\n")
            sys.stderr.flush()
        ordinary()
    return attend(conn)


def ordinary() -> None:
    """Become it. Its signals and descriptors are as they were when this process began, but for what Python itself sets up."""
    os.execv(REAL, [REAL, *sys.argv[1:]])


def request(path: str) -> _socket.socket:
    """A connection whose other end has said `ready`. Raises Unavailable, OSError."""
    terminal = has_terminal()
    if terminal and os.getsid(0) != os.getpid():
        raise Unavailable("an interactive shell controls this terminal")
    inherited = list(descriptors())
    for number in (0, 1, 2):
        if not os.get_blocking(number):
            raise Unavailable(f"descriptor {number} is not blocking")
    conn = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC)
    conn.settimeout(PATIENCE_S)
    conn.connect(path)
    peer = conn.getsockopt(_socket.SOL_SOCKET, _socket.SO_PEERCRED, 12)
    if int.from_bytes(peer[4:8], sys.byteorder) != os.geteuid():
        raise Unavailable("the server runs as another user")
    # descriptors that a stopped server does not take would keep the ordinary command's pipes open
    if conn.recv(64) != b"hello":
        raise Unavailable("the server does not take requests")
    memory = os.memfd_create("closedloop-request", os.MFD_CLOEXEC)
    os.write(memory, b"".join(len(item).to_bytes(4, "big") + item for item in items(terminal, inherited)))
    folder = os.open(".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    passed = b"".join(fd.to_bytes(4, sys.byteorder) for fd in (memory, folder, 0, 1, 2, *inherited))
    conn.sendmsg([b"request"], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, passed)])
    answer = conn.recv(65536)
    if answer != b"ready":
        raise Unavailable(answer.decode("utf-8", "backslashreplace") or "the server closed the connection")
    os.close(memory)
    os.close(folder)
    return conn


def has_terminal() -> bool:
    """Does this process have a controlling terminal?"""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_CLOEXEC))
    except OSError:
        return False
    return True


def descriptors() -> Iterator[int]:
    """Those past 2 that the ordinary command would inherit (a shell's `<(...)`, ansible-runner's pipes)."""
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208  # numbers are wanted, not paths
        number = int(name)
        try:
            if number > 2 and os.get_inheritable(number):
                yield number
        except OSError:
            continue  # the one that listed them


def items(terminal: bool, inherited: list[int]) -> Iterator[bytes]:
    """All that the playbook's process takes from this one."""
    if len(inherited) > MOST_DESCRIPTORS:
        raise Unavailable(f"{len(inherited)} descriptors are inherited, at most {MOST_DESCRIPTORS} can be passed")
    yield b"protocol=" + PROTOCOL.encode()
    yield b"real=" + os.fsencode(REAL)
    yield b"terminal=%d" % terminal
    for argument in sys.argv[1:]:
        yield b"argv=" + os.fsencode(argument)
    for name, value in os.environb.items():
        yield b"env=" + name + b"=" + value
    for number in inherited:
        yield b"fd=%d" % number
    mask = os.umask(0)
    os.umask(mask)
    yield b"umask=%d" % mask
    yield b"nice=%d" % os.getpriority(os.PRIO_PROCESS, 0)
    yield b"cpus=" + ",".join(map(str, sorted(os.sched_getaffinity(0)))).encode()
    for number in limits():
        soft, hard = resource.getrlimit(number)
        yield b"rlimit=%d,%d,%d" % (number, soft, hard)
    for number in range(1, _signal.NSIG):
        # Python itself ignores these two in every process
        if number not in (_signal.SIGPIPE, _signal.SIGXFSZ) and _signal.getsignal(number) == _signal.SIG_IGN:
            yield b"ignored=%d" % number
    for number in _signal.pthread_sigmask(_signal.SIG_BLOCK, []):
        yield b"blocked=%d" % number
    for line in identity():
        yield b"identity=" + line.encode()


def limits() -> list[int]:
    """Numbers of all resource limits."""
    return sorted({value for name, value in vars(resource).items() if name.startswith("RLIMIT_")})


def identity() -> list[str]:
    """What a process cannot take over from another: who it is, what it may, in which namespaces and root it lives."""
    with open("/proc/self/status", encoding="utf-8", errors="replace") as status:  # noqa: PTH123  # pathlib costs milliseconds here
        known = [line.strip() for line in status if line.startswith(STATUS)]
    for name in NAMESPACES:
        try:
            known.append(os.readlink(f"/proc/self/ns/{name}"))  # noqa: PTH115  # as above
        except OSError:
            known.append(f"{name}: unknown")
    root = os.stat("/")  # noqa: PTH116  # as above
    return [*known, f"root {root.st_dev}:{root.st_ino}"]


def attend(conn: _socket.socket) -> int:
    """Let the playbook go, forward signals to it, and end as it ends."""
    conn.settimeout(None)

    def forward(number: int, _frame: object) -> None:
        try:
            conn.send(b"signal %d" % number)
        except OSError:
            return  # it has ended: its status is there to be read
        if number == _signal.SIGTSTP:
            os.kill(os.getpid(), _signal.SIGSTOP)

    for number in FORWARDED:
        if _signal.getsignal(number) != _signal.SIG_IGN:
            _signal.signal(number, forward)
    release_terminal()
    conn.send(b"go")
    # the playbook has them now; who reads its pipes must see their end when it ends
    nothing = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)
    for number in descriptors():
        os.close(number)
    kind, _, value = conn.recv(64).partition(b" ")
    if kind == b"exit":
        return int(value)
    if kind == b"killed":
        die_of(int(value))
    sys.stderr.write("closedloop runner: the guard of the playbook was killed and the playbook with it\n")
    return 250


def release_terminal() -> None:
    """A session leader gives its terminal up, for the playbook to take."""
    try:
        terminal = os.open("/dev/tty", os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return
    hangup, resume = _signal.signal(_signal.SIGHUP, _signal.SIG_IGN), _signal.signal(_signal.SIGCONT, _signal.SIG_IGN)
    fcntl.ioctl(terminal, termios.TIOCNOTTY)  # sends both signals
    _signal.signal(_signal.SIGHUP, hangup)
    _signal.signal(_signal.SIGCONT, resume)
    os.close(terminal)


def die_of(number: int) -> None:
    """As the playbook did, but without a core file of this process."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    if number not in (_signal.SIGKILL, _signal.SIGSTOP):
        _signal.signal(number, _signal.SIG_DFL)
        _signal.pthread_sigmask(_signal.SIG_UNBLOCK, [number])
    os.kill(os.getpid(), number)


if __name__ == "__main__":
    status = main()
    sys.stderr.flush()
    os._exit(status)
