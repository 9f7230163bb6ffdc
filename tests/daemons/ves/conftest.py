"""Listeners that end with their test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from closedloop_tools.ves_source.listener import Authority, Listener

Make = Callable[..., Listener]


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "operator")


@pytest.fixture
def make(tmp_path: Path, authority: Authority) -> Iterator[Make]:
    """A running listener with these settings."""
    made: list[Listener] = []

    def start(**settings: Any) -> Listener:
        made.append(Listener(tmp_path, authority, **settings))
        made[-1].start()
        return made[-1]

    yield start
    for listener in made:
        listener.kill()
