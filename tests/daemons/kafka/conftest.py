"""One broker and one database server for all tests of this folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from closedloop_tools.kafka.broker import Broker
from closedloop_tools.postgresql import Postgresql
from closedloop_tools.ves_source.listener import Authority

from tests.daemons.ha_b.conftest import postgresql
from tests.daemons.kafka.bed import Bed

__all__ = ["postgresql"]

Make = Callable[..., Bed]


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    folder = tmp_path_factory.mktemp("kafka")
    broker = Broker(folder / "broker", Authority(folder, "operator"))
    broker.start()
    yield broker
    broker.kill()


@pytest.fixture
def make(tmp_path: Path, broker: Broker, postgresql: Postgresql) -> Iterator[Make]:
    """A topic and a database of their own, with these loops."""
    made: list[Bed] = []

    def bed(*loops: dict[str, Any], **more: Any) -> Bed:
        made.append(Bed(tmp_path, broker, postgresql, *loops, **more))
        return made[-1]

    yield bed
    for each in made:
        each.close()
