"""The broker as a process: started and killed as often as one likes."""

from __future__ import annotations

import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from closedloop_tools.kafka import node
from closedloop_tools.ves_source.listener import Authority

PATIENCE_S: Final = 120.0


class Broker:
    def __init__(self, folder: Path, authority: Authority) -> None:
        self.folder, self.authority = folder, authority
        folder.mkdir(parents=True, exist_ok=True)
        self.port = _two_free_ports()
        self._command = node.prepare(folder, *authority.issue("broker"), self.port)
        self._log = folder / "log"
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def servers(self) -> str:
        return f"localhost:{self.port}"

    def arguments(self, topic: str) -> dict[str, Any]:
        """`kafka` of an intake or a worker."""
        return {
            "servers": [self.servers],
            "topic": topic,
            "ca": str(self.authority.file),
            "username": node.USER,
            "password_file": str(self.folder / "password"),
        }

    def start(self) -> None:
        """Returns when it serves."""
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(self._command, stdout=log, stderr=log, cwd=self.folder)
        deadline = time.monotonic() + PATIENCE_S
        context = ssl.create_default_context(cafile=str(self.authority.file))
        while True:
            try:
                with (
                    socket.create_connection(("localhost", self.port), timeout=5) as plain,
                    context.wrap_socket(plain, server_hostname="localhost"),
                ):
                    return
            except OSError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(self._log.read_text()[-3000:]) from None
                time.sleep(0.1)

    def kill(self) -> None:
        self.end(signal.SIGKILL)

    def end(self, number: int) -> None:
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(PATIENCE_S)
            self.process = None

    def topic(self, name: str, partitions: int, more: Mapping[str, str] | None = None) -> None:
        node.make_topic(self.servers, self.authority.file, name, partitions, more)


def _two_free_ports() -> int:
    """The first of two neighbours."""
    while True:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = int(free.getsockname()[1])
            try:
                with socket.create_server(("127.0.0.1", port + 1)):
                    return port
            except OSError:
                continue
