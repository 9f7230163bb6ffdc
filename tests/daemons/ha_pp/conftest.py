"""The network, the scripted HA-B and the scripted mobile node of each test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.daemons.ha_pp.backend import Backend
from tests.daemons.ha_pp.lab import (
    Lab,
    lab_in,
)
from tests.daemons.ha_pp.node import Node


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with lab_in(tmp_path) as network:
        yield network


@pytest.fixture
async def backend(lab: Lab) -> AsyncIterator[Backend]:
    server = await Backend(lab).listen()
    yield server
    await server.close()


@pytest.fixture
async def node(lab: Lab) -> AsyncIterator[Node]:
    scripted = Node(lab)
    yield scripted
    scripted.close()
