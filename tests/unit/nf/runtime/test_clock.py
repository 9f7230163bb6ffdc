"""Wall time that does not step."""

from __future__ import annotations

import time

import pytest
from closedloop_nf.runtime.clock import SteadyClock


def test_a_step_of_the_machines_clock_does_not_reach_it(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SteadyClock()
    before = clock.now()
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 3600)
    after = clock.now()
    assert 0 <= after.wall - before.wall < 60
    assert abs((after.wall - before.wall) - (after.mono - before.mono)) < 0.1


def test_the_next_process_goes_on_with_it_over_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    first = SteadyClock()
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() - 3600)
    second = SteadyClock(first.boot, first.began_us)
    assert 0 <= second.now().wall - first.now().wall + 0.1 < 60


def test_after_another_start_of_the_machine_its_clock_counts_again() -> None:
    first = SteadyClock()
    second = SteadyClock(first.boot ^ 1, 0)
    assert abs(second.now().wall - time.time()) < 1
