"""The server: takes requests, has templates, brings the two together.

It neither imports Ansible nor runs playbooks, so nothing of a playbook can harm it. A request that no template fits is refused, so that
the ordinary command runs, and a template for its like is started meanwhile.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import selectors
import signal
import socket
import struct
import subprocess
import sys
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from closedloop_loop.errors import CommandError
from closedloop_loop.runner.collection import marks
from closedloop_loop.runner.request import Malformed, Request, fingerprint, read

MOST_TEMPLATES: Final = 4
"""About 70 MB each; the one that was not used for longest makes room."""
MOST_CONNECTIONS: Final = 64
TEMPLATE: Final = Path(__file__).with_name("template.py")
CREDENTIALS: Final = struct.Struct("3i")


@dataclass(slots=True)
class Template:
    """A template process."""

    process: subprocess.Popen[bytes]
    control: socket.socket
    started: float
    ready: bool = False


@dataclass(slots=True)
class Server:
    """One socket, its templates, its connections that have not yet said what they want. collection: folder of one to be loaded, if any."""

    path: Path
    real: Path
    collection: Path | None
    listener: socket.socket
    wake: int
    selector: selectors.BaseSelector = field(default_factory=selectors.DefaultSelector)
    templates: OrderedDict[tuple[object, ...], Template] = field(default_factory=OrderedDict)
    waiting: int = 0
    stopped: list[Template] = field(default_factory=list)

    def warm(self, env: dict[str, str], folder: Path) -> None:
        """Start a template for commands with these variables in this folder."""
        key = self._key(env, folder)
        if key in self.templates:
            return
        while len(self.templates) >= MOST_TEMPLATES:
            self._forget(next(iter(self.templates)))
        here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        # without the server's standard input and output, in a session of its own: signals of a terminal are for the server
        process = subprocess.Popen(
            [sys.executable, str(TEMPLATE), str(self.real), *([str(self.collection)] if self.collection else [])],
            env=env,
            cwd=folder,
            stdin=there.fileno(),
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        there.close()
        here.setblocking(False)
        self.templates[key] = Template(process, here, time.monotonic())
        self.selector.register(here, selectors.EVENT_READ, key)

    def serve(self) -> None:
        """Until a signal."""
        self.selector.register(self.listener, selectors.EVENT_READ, "listener")
        self.selector.register(self.wake, selectors.EVENT_READ, "wake")
        while True:
            for event, _ in self.selector.select():
                if event.data == "wake":
                    return
                if event.data == "listener":
                    self._accept()
                elif isinstance(event.fileobj, socket.socket) and event.data == "connection":
                    self._request(event.fileobj)
                else:
                    self._heard(event.data)
            self.stopped = [template for template in self.stopped if template.process.poll() is None]

    def drain(self) -> None:
        """Take no more; return when the playbooks that run have ended, or on a second signal (they go on)."""
        self.path.unlink(missing_ok=True)
        self.listener.close()
        for key in list(self.templates):
            self._forget(key)
        if self.stopped:
            log("draining", templates=len(self.stopped))
        os.read(self.wake, 512)
        while any(template.process.poll() is None for template in self.stopped):
            with selectors.DefaultSelector() as once:
                once.register(self.wake, selectors.EVENT_READ)
                if once.select(0.1):
                    return

    def _accept(self) -> None:
        try:
            conn, _ = self.listener.accept()
        except OSError:
            return
        _pid, uid, _gid = CREDENTIALS.unpack(conn.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size))
        if uid != os.geteuid() or self.waiting >= MOST_CONNECTIONS:
            log("refused", uid=uid, connections=self.waiting)
            conn.close()
            return
        conn.setblocking(False)
        with contextlib.suppress(OSError):  # one that has gone is found out when it is read
            conn.send(b"hello")
        self.waiting += 1
        self.selector.register(conn, selectors.EVENT_READ, "connection")

    def _request(self, conn: socket.socket) -> None:
        """What a connection wants; after this it is a guard's, or closed."""
        self.selector.unregister(conn)
        self.waiting -= 1
        fds: list[int] = []
        try:
            message, fds, flags, _ = socket.recv_fds(conn, 64, 253)
            if message != b"request" or len(fds) < 5 or flags & socket.MSG_CTRUNC:
                raise Malformed("this is no request")
            template = self._template(read(fds[0]), fds[1])
            socket.send_fds(template.control, [b"request"], [conn.fileno(), *fds])
        except (Malformed, OSError) as why:
            log("refused", why=str(why))
            with contextlib.suppress(OSError):
                conn.send(f"refuse {why}".encode(errors="backslashreplace"))
        finally:
            for fd in fds:
                os.close(fd)
            conn.close()

    def _template(self, request: Request, folder: int) -> Template:
        """One that fits. Raises Malformed where there is none yet."""
        if request.real != str(self.real):
            raise Malformed(f"the client stands for {request.real!r}, this server for {str(self.real)!r}")
        place = Path(f"/proc/self/fd/{folder}")
        key = self._key(request.env, place)
        template = self.templates.get(key)
        if template is None:
            self.warm(request.env, place.readlink())
            raise Malformed("no process is warm for these variables, this configuration file and these plug-ins; one is being started")
        self.templates.move_to_end(key)
        if not template.ready:
            raise Malformed("the process for these variables is still starting")
        return template

    def _key(self, env: dict[str, str], folder: Path) -> tuple[object, ...]:
        return fingerprint(env, folder), marks(self.collection)

    def _heard(self, key: tuple[object, ...]) -> None:
        """A template is ready, or gone."""
        template = self.templates.get(key)
        if template is None:
            return
        try:
            said = template.control.recv(16)
        except OSError:
            said = b""
        if said:
            template.ready = True
            log("warm", pid=template.process.pid, seconds=round(time.monotonic() - template.started, 3))
        else:
            self._forget(key)
            log("lost", pid=template.process.pid, status=template.process.poll())

    def _forget(self, key: tuple[object, ...]) -> None:
        template = self.templates.pop(key)
        self.selector.unregister(template.control)
        template.control.close()
        self.stopped.append(template)


def open_server(path: Path, collection: Path | None = None) -> Server:
    """Listen at `path`, which nobody but this user reaches. Raises CommandError."""
    if collection is not None and not (collection / "plugins").is_dir():
        raise CommandError(f"--collection: {collection} has no folder plugins: name the folder NAMESPACE/NAME of a collection")
    real = Path(sys.executable).with_name("ansible-playbook")
    if not real.is_file():
        raise CommandError(f"{real} is not there: install ansible-core beside this command")
    folder = path.absolute().parent
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = folder.stat()
    if status.st_uid != os.geteuid() or status.st_mode & 0o022:
        raise CommandError(f"--socket: others can write to {folder}: name a folder that only this user writes to")
    # kept open until the process ends; the kernel lets go of it then
    lock = os.open(path.with_name(path.name + ".lock"), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise CommandError(f"--socket: another runner serves {path}: stop it or name another") from error
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    mask = os.umask(0o177)
    try:
        listener.bind(str(path.absolute()))
    except OSError as error:
        raise CommandError(f"--socket: {path}: {error.strerror or error}: a path has at most 107 octets") from error
    finally:
        os.umask(mask)
    listener.listen(MOST_CONNECTIONS)
    listener.setblocking(False)
    awake, wake = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    signal.set_wakeup_fd(wake)
    return Server(path, real, collection.absolute() if collection else None, listener, awake)


def log(event: str, **fields: object) -> None:
    """One JSON line on standard error."""
    print(json.dumps({"event": f"runner_{event}", **fields}), file=sys.stderr, flush=True)
