"""A warm runner as a process."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemons.runner.both import Runner


@pytest.fixture(scope="package", autouse=True)
def attentive() -> None:
    """Signals as a shell in the foreground leaves them: a job in the background, or under nohup, passes some on as ignored."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)


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
