"""A PostgreSQL server of its own, from the distribution's programs."""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
import time
from pathlib import Path
from typing import Any, Final

PATIENCE_S: Final = 60.0


def binaries() -> Path:
    """Of the newest release that is installed."""
    return max(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))


class Postgresql:
    """A server of its own: data directory, Unix socket, fsync on."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.binaries = directory, binaries()
        self._databases = 0
        user = pwd.getpwnam("postgres") if os.geteuid() == 0 else None
        self._user: dict[str, Any] = {} if user is None else {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        if user is not None:
            os.chown(directory, user.pw_uid, user.pw_gid)
        self._call("initdb", "-D", str(directory / "data"), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C")
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    def _call(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [str(self.binaries / program), *arguments],
            cwd="/",
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
            **self._user,
        )
        if done.returncode != 0:
            raise RuntimeError(done.stdout.decode(errors="replace")[-2000:])

    def start(self) -> None:
        with (self.directory / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    str(self.binaries / "postgres"),
                    *("-D", str(self.directory / "data"), "-k", str(self.directory), "-c", "listen_addresses=", "-c", "fsync=on"),
                ],
                cwd="/",
                stdout=log,
                stderr=log,
                **self._user,
            )
        end = time.monotonic() + PATIENCE_S
        while True:
            ready = subprocess.run(
                [str(self.binaries / "pg_isready"), "-q", "-h", str(self.directory), "-U", "postgres"], cwd="/", check=False
            )
            if ready.returncode == 0:
                return
            if time.monotonic() > end:
                raise RuntimeError((self.directory / "log").read_text()[-2000:])
            time.sleep(0.05)

    def stop(self, number: int = signal.SIGINT) -> None:
        """SIGINT: fast shutdown. SIGQUIT: as after a crash."""
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(PATIENCE_S)
            self.process = None

    def database(self) -> str:
        """URL of a fresh database."""
        self._databases += 1
        name = f"t{self._databases}"
        self._call("createdb", "-h", str(self.directory), "-U", "postgres", name)
        return f"postgresql://postgres@/{name}?host={self.directory}"
