"""Real things for the tests of HA-B: certificates, a PostgreSQL server from the distribution, daemons that are ended whatever happens."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemons.ha_b.certificates import Authority
from tests.daemons.ha_b.daemon import Daemon

PATIENCE_S = 60.0


class Postgresql:
    """A server of its own: data directory, Unix socket, fsync on."""

    def __init__(self, directory: Path, binaries: Path) -> None:
        self.directory, self.binaries = directory, binaries
        self._databases = 0
        user = pwd.getpwnam("postgres") if os.geteuid() == 0 else None
        self._user = {} if user is None else {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        if user is not None:
            os.chown(directory, user.pw_uid, user.pw_gid)
        self._call("initdb", "-D", str(directory / "data"), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C")
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    def _call(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [str(self.binaries / program), *arguments], cwd="/", stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, **self._user
        )
        assert done.returncode == 0, done.stdout.decode(errors="replace")[-2000:]

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
            assert time.monotonic() < end, (self.directory / "log").read_text()[-2000:]
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


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Postgresql]:
    binaries = max(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    directory = Path(tempfile.mkdtemp(prefix="clt-postgresql-"))
    server = Postgresql(directory, binaries)
    yield server
    server.stop()
    shutil.rmtree(directory)


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def daemon(tmp_path: Path, authority: Authority) -> Iterator[Daemon]:
    """An HA-B on SQLite; not started yet."""
    daemon = Daemon(tmp_path, authority)
    yield daemon
    daemon.end()
