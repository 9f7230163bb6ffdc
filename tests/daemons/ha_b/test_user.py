"""HA-B as an unprivileged user without a capability: what it reads lies where only root can read, what it writes is its user's."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from closedloop_nf.link import messages as m
from closedloop_tools.postgresql import Postgresql

from tests.daemons.ha_b.certificates import Authority
from tests.daemons.ha_b.daemon import Daemon, PacketProcessor
from tests.daemons.unprivileged import USER, folder_of_user, late_imports, only, rights, watched


@pytest.fixture
def state() -> Iterator[Path]:
    made = folder_of_user()
    yield made
    shutil.rmtree(made)


@pytest.fixture(params=["sqlite", "postgresql"])
def daemon(request: pytest.FixtureRequest, tmp_path: Path, state: Path, authority: Authority, postgresql: Postgresql) -> Iterator[Daemon]:
    """It reports to a collector that is not there, so that its event queue is used too."""
    postgresql.directory.chmod(0o755)  # anybody may reach the server's socket
    place = {"path": str(state / "ha-b.sqlite")} if request.param == "sqlite" else {"url": postgresql.database()}
    certificate, key = authority.issue("ha-b")
    ves = {
        "url": "https://[::1]:1",
        "tls": {"ca": str(authority.ca), "certificate": str(certificate), "key": str(key)},
        "queue": str(state / "events.sqlite"),
    }
    made = Daemon(tmp_path, authority, database=place, user=USER, ves=ves)
    made.environment = watched(state)
    yield made
    made.end()
    assert late_imports(state) == [], "an unprivileged ha-b cannot import what only root can read"


def owners(folder: Path) -> set[int]:
    return {path.stat().st_uid for path in folder.iterdir()}


async def test_it_serves_without_any_capability_and_starts_again_after_a_kill(daemon: Daemon, state: Path) -> None:
    for start in range(1, 4):
        await asyncio.to_thread(daemon.start)
        assert daemon.process is not None
        agent = PacketProcessor(daemon, "a", instance=str(start))
        await agent.join()
        agent.register(start, start)
        assert (await agent.wait(m.Registered)).status == 0
        assert len((await daemon.api("GET", "/v1/bindings")).body["bindings"]) == start
        assert "ha_b_bindings" in (await daemon.api("GET", "/metrics")).body
        assert rights(daemon.process.pid) == {only(0)}
        daemon.kill()
        await agent.end()
    assert owners(state) == {USER}


def test_a_store_that_its_user_cannot_write_is_named(daemon: Daemon, tmp_path: Path) -> None:
    daemon.config["database"] = {"path": str(tmp_path / "of-root.sqlite")}
    daemon.start(wait=False)
    assert daemon.process is not None
    assert daemon.process.wait(20) == 2
    refused = daemon.find("configuration refused")
    assert refused is not None
    assert "give a path this user can write" in refused["problem"]
    assert list(tmp_path.glob("of-root*")) == []
