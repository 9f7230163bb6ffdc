"""What the claims about the HA-PP core begin with."""

from __future__ import annotations

import pytest

from tests.unit.nf.ha_pp.harness import (
    World,
)


@pytest.fixture
def world() -> World:
    return World().start()
