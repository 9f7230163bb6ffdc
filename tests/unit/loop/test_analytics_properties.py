"""Analytics over any plan of records, with crashes in between."""

from __future__ import annotations

import msgspec
import pytest
from closedloop_loop.analytics.engine import Analytics, restore
from closedloop_loop.clock import Instant
from closedloop_loop.policy.model import Policy
from closedloop_loop.records import AnyRecord
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.loop.bench import WALL, at, cleared, heartbeat, measured, policy, raised
from tests.unit.loop.test_analytics import FAULT, IMBALANCE, OVERLOAD, SILENT, UNDERLOAD, Watch

steps = st.lists(
    st.one_of(
        st.tuples(st.just("fault"), st.integers(0, 2), st.integers(0, 3), st.booleans()),
        st.tuples(st.just("load"), st.integers(0, 2), st.integers(0, 120), st.booleans()),
        st.tuples(st.just("beat"), st.integers(0, 2), st.integers(0, 3), st.booleans()),
    ),
    max_size=50,
)
MIXED = msgspec.convert(
    {
        "version": 1,
        "loops": [
            {"name": name, "scope": {"sources": ["*"]}, "action": "failover", "condition": {**condition, **more}}
            for name, condition, more in (
                ("fault", FAULT, {"quiet_s": 2.0, "damping": {"onsets": 2, "within_s": 20.0}}),
                ("silent", SILENT, {}),
                ("over", OVERLOAD, {"repeat_s": 6.0}),
                ("under", UNDERLOAD, {"hold_s": 3.0}),
                ("uneven", IMBALANCE, {}),
            )
        ],
    },
    Policy,
)


def record_of(number: int, step: tuple[str, int, int, bool]) -> AnyRecord:
    kind, source, value, on = step
    name = f"ha-pp-{source}"
    if kind == "fault":
        return (
            raised(number, f"f{value}", source=name, sequence=2 * number, start=0)
            if on
            else cleared(number, f"f{value}", source=name, sequence=2 * number, start=0)
        )
    return measured(number, value, source=name) if kind == "load" else heartbeat(number, source=name)


@given(steps)
def test_for_each_loop_and_target_onset_and_abated_alternate_and_share_their_request(plan: list[tuple[str, int, int, bool]]) -> None:
    watch = Watch(MIXED)
    for number, step in enumerate(plan):
        watch.see(number, record_of(number, step))
    watch.until(len(plan) + 3600)
    open_by: dict[str, str] = {}
    seen: set[str] = set()
    for message in watch.onsets:
        key = message.name if message.name in ("under", "uneven") else f"{message.name}|{message.target}"
        if message.status == "ONSET":
            assert key not in open_by
            assert message.request_id not in seen
            seen.add(message.request_id)
            open_by[key] = message.request_id
        else:
            assert open_by.pop(key) == message.request_id
            assert (message.alarm_end_us or 0) >= message.alarm_start_us
    assert {message.request_id for message in watch.analytics.open()} == set(open_by.values())


@given(steps, st.integers(0, 50))
def test_a_crash_without_delay_changes_nothing_that_is_told(plan: list[tuple[str, int, int, bool]], when: int) -> None:
    """Only timers of heartbeats, silence and hold begin anew; a plan without gaps in them tells the same."""
    rules = msgspec.convert({"version": 1, "loops": [msgspec.to_builtins(loop) for loop in MIXED.loops if loop.name == "fault"]}, Policy)
    calm, shaken = Watch(rules), Watch(rules)
    for number, step in enumerate(plan):
        calm.see(number, record_of(number, step))
        shaken.see(number, record_of(number, step))
        if number == when:
            shaken.crash(number)
    calm.until(len(plan) + 100)
    shaken.until(len(plan) + 100)
    assert shaken.onsets == calm.onsets


@given(steps)
def test_records_replayed_after_a_crash_give_the_same_requests(plan: list[tuple[str, int, int, bool]]) -> None:
    first, second = Watch(MIXED), Watch(MIXED)
    for number, step in enumerate(plan):
        first.see(number, record_of(number, step))
        second.see(number, record_of(number, step))
    assert first.onsets == second.onsets


def test_a_dump_of_another_boot_goes_on() -> None:
    analytics = Analytics(policy({**FAULT, "quiet_s": 10.0}), at(0))
    analytics.handle(raised(0), at(0))
    analytics.handle(cleared(1, start=0), at(1))
    rebooted, _ = restore(policy({**FAULT, "quiet_s": 10.0}), analytics.dump(at(2)), Instant(7.0, WALL + 5))
    assert rebooted.deadline() == pytest.approx(13.0)
    assert [message.status for message in rebooted.tick(Instant(13.0, WALL + 11))] == ["ABATED"]


@given(steps, st.integers(0, 50), st.integers(0, 50))
def test_after_a_crash_records_since_the_dump_lead_to_no_request_that_would_not_have_been(
    plan: list[tuple[str, int, int, bool]], dumped: int, lost: int
) -> None:
    """What was told between dump and crash is told again under the same request ids, which the operations journal knows."""
    rules = policy({**FAULT, "damping": {"onsets": 1000}})
    calm, shaken = Watch(rules), Watch(rules)
    dumped = min(dumped, len(plan))
    crash = min(dumped + lost, len(plan))
    for number, step in enumerate(plan):
        calm.see(number, record_of(number, step))
    for number in range(dumped):
        shaken.see(number, record_of(number, plan[number]))
    data = shaken.analytics.dump(at(dumped))
    told_before = list(shaken.onsets)
    for number in range(dumped, crash):
        shaken.see(number, record_of(number, plan[number]))
    shaken.analytics, messages = restore(rules, data, at(crash + 30))
    shaken.onsets = told_before + messages
    for number in range(dumped, len(plan)):
        shaken.onsets += shaken.analytics.handle(record_of(number, plan[number]), at(crash + 31 + number))
    assert [(told.request_id, told.status) for told in shaken.onsets] == [(told.request_id, told.status) for told in calm.onsets]
