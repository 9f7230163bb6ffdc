"""Real things for the tests of HA-B: certificates, a PostgreSQL server, daemons that are ended whatever happens."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from closedloop_tools.postgresql import Postgresql

from tests.daemons.ha_b.certificates import Authority
from tests.daemons.ha_b.daemon import Daemon


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Postgresql]:
    directory = Path(tempfile.mkdtemp(prefix="clt-postgresql-"))
    server = Postgresql(directory)
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
