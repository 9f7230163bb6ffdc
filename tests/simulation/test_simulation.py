"""The cores under seeded faults, and the proof that the invariants can be broken."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from closedloop_nf.ha_b.store.memory import MemoryStore
from closedloop_nf.ha_pp import events, ownership
from closedloop_nf.ha_pp.registration import Registrar

from tests.simulation.__main__ import main, one
from tests.simulation.history import History
from tests.simulation.packet_processor import Host


def first_broken(limit: int) -> str | None:
    return next((found for seed in range(limit) if (found := one(seed)) is not None), None)


def test_the_same_seed_is_the_same_history() -> None:
    def story(seed: int) -> list[str]:
        history = History(seed, trace=True)
        history.run()
        return history.world.trace or []

    for seed in (1, 2, 3):
        told = story(seed)
        assert len(told) > 20
        assert told == story(seed)


def test_a_kernel_that_ignores_the_lease_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leases that never end in the kernel give an address two owners as soon as a host is cut off."""
    apply = Host._apply

    def forgetful(host: Host, process: Any, action: events.Action) -> None:
        apply(host, process, action)
        if isinstance(action, events.RenewLease):
            host.kernel.lease_until = float("inf")

    monkeypatch.setattr(Host, "_apply", forgetful)
    found = first_broken(2000)
    assert found is not None
    assert "is served by" in found or "is held by" in found


def test_a_disk_that_forgets_commits_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is acknowledged must be durable: a store that says done and drops one commit in ten loses it."""
    commit: Callable[..., None] = MemoryStore.commit
    chance = random.Random(1)
    monkeypatch.setattr(MemoryStore, "commit", lambda disk, batches: commit(disk, batches) if chance.random() > 0.1 else None)
    found = first_broken(500)
    assert found is not None
    assert "durable" in found


def test_an_ha_pp_that_never_answers_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Registrar, "registered", lambda *_: None)
    found = first_broken(20)
    assert found is not None
    assert "not converged" in found


def test_an_ha_pp_that_never_stops_lingering_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ownership, "LINGER_S", 1e6)
    found = first_broken(400)
    assert found is not None
    assert "still forwards" in found


def test_a_broken_seed_comes_with_the_command_that_replays_it(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(Registrar, "registered", lambda *_: None)
    assert main(["--kind", "functions", "--seeds", "20", "--processes", "1"]) == 1
    printed = capsys.readouterr().out
    seed = printed.split("seed ")[1].split(":")[0]
    assert f"python -m tests.simulation --kind functions --seed {seed}" in printed
    assert main(["--seed", seed]) == 1
