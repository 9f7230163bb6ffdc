"""The whole loop under seeded faults, and the proof that its invariants can be broken: each test puts one bug into a core."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from closedloop_loop.analytics import detector
from closedloop_loop.dispatch.core import Dispatcher
from closedloop_loop.journal.core import JournalCore
from closedloop_loop.journal.messages import Answer, Commit, Verdict
from closedloop_loop.operations import core as operations
from closedloop_loop.operations import schedule
from closedloop_loop.operations.store.memory import MemoryStore
from closedloop_loop.policy import guards

from tests.simulation.__main__ import main, one
from tests.simulation.closed_loop import invariants, reactions
from tests.simulation.closed_loop.disks import JournalDisk
from tests.simulation.closed_loop.history import LoopHistory

SEEDS = 400


def first_broken() -> str:
    found = next((found for seed in range(SEEDS) if (found := one(seed, "loop")) is not None), None)
    assert found is not None, f"no history of {SEEDS} shows it"
    return found


def test_the_same_seed_is_the_same_history() -> None:
    def story(seed: int) -> list[str]:
        history = LoopHistory(seed, trace=True)
        history.run()
        return history.world.trace or []

    for seed in (2, 3):
        told = story(seed)
        assert len(told) > 20
        assert told == story(seed)


def test_an_answer_before_the_event_is_durable_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    submit = JournalCore._submit

    def hasty(core: JournalCore, request: Any) -> list[Any]:
        actions = submit(core, request)
        for group in (core._open, core._under_way):
            if group is not None and any(waiting.request == request.request for waiting in group.requests):
                group.requests = [waiting for waiting in group.requests if waiting.request != request.request]
                actions.append(Answer(request.request, Verdict.ACCEPTED))
        return actions

    monkeypatch.setattr(JournalCore, "_submit", hasty)
    assert "not durable" in first_broken()


def test_events_finished_without_the_state_that_took_them_in_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    commit = JournalDisk.commit
    monkeypatch.setattr(JournalDisk, "commit", lambda disk, it: commit(disk, Commit(it.rows, it.finished, it.forget)))
    assert "not converged" in first_broken()


def test_a_dispatcher_that_hands_on_only_once_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    fresh = Dispatcher._is_to_go
    monkeypatch.setattr(Dispatcher, "_is_to_go", lambda core, known, now: known.resumptions == 0 and fresh(core, known, now))
    assert "not converged" in first_broken()


def test_a_fencing_token_that_does_not_grow_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MemoryStore, "last_token", lambda store: 0)
    assert "was given twice" in first_broken()


def test_a_journal_that_asks_for_no_token_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """An actor that was taken for lost goes on beside the next one."""
    monkeypatch.setattr(operations, "_held", lambda view, request_id, token: view.get(request_id))
    found = first_broken()
    assert "a late actor acts" in found or "is not in the table" in found


def test_operations_of_one_group_that_run_beside_each_other_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both who hands on and who lets claim ask what comes first; either alone is enough, so both are switched off."""
    monkeypatch.setattr(operations, "before", lambda opened, known: None)
    monkeypatch.setattr(schedule, "due", lambda opened, now_us: list(opened))
    assert "of one group" in first_broken()


def test_more_vf_modules_than_there_may_be_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The policy allows for more than the invariant does."""
    monkeypatch.setattr(invariants, "MAX_INSTANCES", 2)
    assert "there may be" in first_broken()


def test_more_operations_than_a_loop_may_begin_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guards, "_frequency", lambda *_: None)
    assert "has begun operations at" in first_broken()


def test_a_plan_that_moves_a_mobile_node_twice_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = reactions.balance_plan
    monkeypatch.setattr(reactions, "balance_plan", lambda *arguments: plan(*arguments) * 2)
    assert "moves" in first_broken()


def test_a_request_id_that_changes_with_a_crash_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    made: Callable[..., str] = lambda *_: str(uuid.uuid4())  # noqa: E731 # as short as the bug
    monkeypatch.setattr(detector, "request_id", made)
    assert "request id" in first_broken() or "no onset of it" in first_broken()


def test_a_broken_seed_comes_with_the_command_that_replays_it(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(Dispatcher, "_is_to_go", lambda *_: False)
    assert main(["--kind", "loop", "--seeds", "20", "--processes", "1"]) == 1
    printed = capsys.readouterr().out
    seed = printed.split("seed ")[1].split(":")[0]
    assert f"python -m tests.simulation --kind loop --seed {seed}" in printed
    assert main(["--kind", "loop", "--seed", seed]) == 1
