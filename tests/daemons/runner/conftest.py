"""A warm runner as a process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemons.runner.both import Runner


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    """One for a file of tests, warm."""
    with Runner(tmp_path_factory.mktemp("runner")) as started:
        started.wait_warm(2)
        yield started


@pytest.fixture
def shared(server: Runner, tmp_path: Path) -> Iterator[Runner]:
    """The file's server, with a folder and variables of the test's own."""
    own = server.beside(tmp_path)
    yield own
    own.end()


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[Runner]:
    """One of the test's own, warm."""
    with Runner(tmp_path) as started:
        started.wait_warm(2)
        yield started
