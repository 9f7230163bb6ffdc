"""What must see nothing: a name server and a listener in every network namespace, and a folder; and what is seen of started programs.

The name server and the listener are at ::1 and 127.0.0.1, because what an attack starts may run in any namespace.
"""

from __future__ import annotations

import selectors
import socket
import threading
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final

from ansible_collections.closedloop.mobility.plugins.module_utils import namespaces

from tests.hostile.payloads import Canaries

LOOPBACK: Final = ((socket.AF_INET6, "::1"), (socket.AF_INET, "127.0.0.1"))
DNS_PORT: Final = 53


class Traps:
    """`seen`: a line for everything that an attack has left behind, as `file 17`, `ran 17`, `name 17.zone`, `connection`."""

    def __init__(self, canaries: Canaries, connections_at: Iterable[int]) -> None:
        """connections_at: TCP ports to listen at."""
        self._canaries, self._ports = canaries, tuple(connections_at)
        canaries.folder.mkdir(parents=True)
        canaries.program.parent.mkdir(parents=True, exist_ok=True)
        canaries.program.write_text(f'#!/bin/sh\necho "$1" >> {self._ran}\n')
        canaries.program.chmod(0o755)
        self._network: list[str] = []
        self._selector = selectors.DefaultSelector()
        self._sockets = ExitStack()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._open()
        for name in sorted(path.name for path in namespaces.RUN_DIRECTORY.iterdir()):
            with namespaces.entered(name):
                self._open()
        self._thread.start()

    @property
    def _ran(self) -> Path:
        return self._canaries.program.with_suffix(".ran")

    def _open(self) -> None:
        for family, address in LOOPBACK:
            for kind, port in (
                (socket.SOCK_DGRAM, DNS_PORT),
                (socket.SOCK_STREAM, DNS_PORT),
                *((socket.SOCK_STREAM, one) for one in self._ports),
            ):
                sock = self._sockets.enter_context(socket.socket(family, kind))
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                sock.bind((address, port))
                if kind == socket.SOCK_STREAM:
                    sock.listen(64)
                sock.setblocking(False)
                self._selector.register(sock, selectors.EVENT_READ, kind)

    def _watch(self) -> None:
        while not self._stop.is_set():
            for key, _ in self._selector.select(0.1):
                sock = key.fileobj
                assert isinstance(sock, socket.socket)
                with suppress(OSError):
                    if key.data == socket.SOCK_STREAM:
                        connection, _peer = sock.accept()
                        connection.close()
                        self._network.append(f"connection {sock.getsockname()[1]}")
                    else:
                        query, peer = sock.recvfrom(4096)
                        self._network.append(f"name {asked(query)}")
                        sock.sendto(query[:2] + b"\x81\x83" + query[4:], peer)  # NXDOMAIN

    def seen(self) -> list[str]:
        files = [f"file {path.name}" for path in self._canaries.folder.iterdir()]
        ran = [f"ran {line}" for line in self._ran.read_text().splitlines()] if self._ran.exists() else []
        return [*files, *ran, *self._network]

    def settle(self) -> None:
        """Wait until all that has arrived is in `seen`: a query of our own comes after it."""
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
            sock.settimeout(5)
            mark = f"settled{len(self._network)}"
            sock.sendto(bytes(12) + bytes([len(mark)]) + mark.encode() + bytes(5), ("::1", DNS_PORT))
            sock.recv(512)
        self._network = [line for line in self._network if not line.startswith("name settled")]

    def forget(self) -> None:
        """What was seen so far does not count."""
        for path in self._canaries.folder.iterdir():
            path.unlink()
        self._ran.unlink(missing_ok=True)
        self._network.clear()

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        self._selector.close()
        self._sockets.close()


def asked(query: bytes) -> str:
    """The name in a query to a name server (RFC 1035 section 4.1)."""
    labels, at = [], 12
    while at < len(query) and query[at]:
        labels.append(query[at + 1 : at + 1 + query[at]].decode("ascii", "backslashreplace"))
        at += 1 + query[at]
    return ".".join(labels)
