"""Steps are carried out as soon as they can be, so many at a time, and nothing is begun after a failure."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.closedloop.mobility.plugins.plugin_utils.openstack_project.steps import Done, Ref, Step, carry_out
from ansible_collections.closedloop.mobility.plugins.plugin_utils.openstack_project.times import times


def step(name: str, *needs: str, **arguments: Any) -> Step:
    return Step("thing", name, "create", "module", arguments, frozenset(f"thing/{need}" for need in needs))


class Runner:
    """Ends the oldest call first."""

    def __init__(self, failing: str = "") -> None:
        self.running: list[Step] = []
        self.begun: list[tuple[str, dict[str, Any]]] = []
        self.most = 0
        self._failing = failing

    def start(self, begun: Step, arguments: dict[str, Any]) -> None:
        self.running.append(begun)
        self.begun.append((begun.name, arguments))
        self.most = max(self.most, len(self.running))

    def wait(self) -> Done:
        ended = self.running.pop(0)
        return Done(ended, "no" if ended.name == self._failing else None, f"id-{ended.name}", 1.0, 1.5)


def test_what_is_needed_comes_first_and_its_id_is_known() -> None:
    runner = Runner()
    done = carry_out([step("b", "a", of=[{"x": Ref("thing", "a")}]), step("a")], {}, runner.start, runner.wait, parallel=4)
    assert runner.begun == [("a", {}), ("b", {"of": [{"x": "id-a"}]})]
    assert [call.step.name for call in done] == ["a", "b"]


def test_no_more_at_a_time_than_allowed() -> None:
    runner = Runner()
    carry_out([step(str(number)) for number in range(9)], {}, runner.start, runner.wait, parallel=3)
    assert runner.most == 3
    assert len(runner.begun) == 9


def test_what_is_there_already_needs_no_step() -> None:
    runner = Runner()
    carry_out([step("b", "a", of=Ref("thing", "a"))], {("thing", "a"): "old"}, runner.start, runner.wait, parallel=1)
    assert runner.begun == [("b", {"of": "old"})]


def test_after_a_failure_nothing_is_begun_and_what_runs_is_waited_for() -> None:
    runner = Runner(failing="a")
    steps = [step("a"), step("b"), step("c"), step("d", "a")]
    done = carry_out(steps, {}, runner.start, runner.wait, parallel=2)
    assert [name for name, _arguments in runner.begun] == ["a", "b"]
    assert [call.message for call in done] == ["no", None]


def test_steps_that_wait_for_each_other_are_an_error() -> None:
    runner = Runner()
    with pytest.raises(ValueError, match="thing/a, thing/b"):
        carry_out([step("a", "b"), step("b", "a")], {}, runner.start, runner.wait, parallel=2)


def test_time_is_told_by_kind() -> None:
    done = [Done(step("a"), None, None, 2.0, 2.5), Done(step("b"), None, None, 1.0, 1.25)]
    told = times(done, read_api_s=0.5, read_wall_s=0.75, wall_s=1.75)
    assert told["kinds"]["thing"] == {"calls": 2, "api_ms": 3000, "own_ms": 750}
    assert told["api_ms"] == 3500
    assert told["wall_to_api_ratio"] == 0.5
    assert told["lines"][0] == "1.8 s; waiting for the cloud, one call after the other, would be 3.5 s"
