"""Calls run in processes of their own, beside each other; how each ended comes back, whatever became of it."""

from __future__ import annotations

import os
import signal
import time
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.closedloop.mobility.plugins.plugin_utils.openstack_project import calls
from ansible_collections.closedloop.mobility.plugins.plugin_utils.openstack_project.steps import Done, Step, carry_out

CLOSED: list[bool] = []


def connection() -> Any:
    CLOSED.clear()
    return SimpleNamespace(
        session=SimpleNamespace(session=SimpleNamespace(close=lambda: CLOSED.append(True))), config=SimpleNamespace(name="lab")
    )


def sleeping(_connection: Any, *, seconds: float) -> None:
    time.sleep(seconds)


def failing(_connection: Any) -> None:
    raise RuntimeError("the cloud said no")


def dying(_connection: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.fixture(autouse=True)
def own_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    for function in (sleeping, failing, dying):
        monkeypatch.setitem(calls.CALLS, f"own.{function.__name__}", function)


def run(*steps: Step) -> list[Done]:
    running = calls.Calls(connection())
    return carry_out(steps, {}, running.start, running.wait, parallel=4)


def step(name: str, call: str, /, **arguments: Any) -> Step:
    return Step("thing", name, "create", call, arguments)


def test_they_run_beside_each_other_and_their_waiting_is_counted() -> None:
    begun = time.monotonic()
    done = run(*(step(str(number), "own.sleeping", seconds=0.4) for number in range(4)))
    assert time.monotonic() - begun < 1.5
    assert all(call.message is None and call.api_s >= 0.4 for call in done)
    assert CLOSED == [True], "two processes must not share a socket"


def test_what_one_says_when_it_fails_comes_back() -> None:
    (done,) = run(step("a", "own.failing"))
    assert done.message == "RuntimeError: the cloud said no"


def test_one_that_is_killed_is_a_failure() -> None:
    (done,) = run(step("a", "own.dying"))
    assert done.message == "its process was killed"


def test_a_module_of_openstack_cloud_gets_the_connection_and_its_result_comes_back() -> None:
    there = connection()
    made = SimpleNamespace(to_dict=lambda computed: {"id": "k1", "name": "mip6-key"})
    there.compute = SimpleNamespace(find_keypair=lambda name: None)
    there.create_keypair = lambda name, public_key: made if public_key == "ssh-ed25519 AAAA" else None
    running = calls.Calls(there)
    arguments = {"name": "mip6-key", "public_key": "ssh-ed25519 AAAA"}
    keypair = Step("keypair", "mip6-key", "create", "openstack.cloud.keypair", arguments)
    (done,) = carry_out([keypair], {}, running.start, running.wait, parallel=1)
    assert done.message is None
    assert done.id == "k1"
