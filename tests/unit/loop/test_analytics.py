"""Analytics over records: who tells an onset, when, about whom; and what survives a crash."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from closedloop_loop.analytics import detector
from closedloop_loop.analytics.engine import Analytics, StateError, restore
from closedloop_loop.clock import Instant
from closedloop_loop.onset import Onset
from closedloop_loop.policy.model import Policy
from closedloop_loop.records import AnyRecord, Connected, OutOfService, Removed

from tests.unit.loop.bench import WALL, at, cleared, heartbeat, measured, policy, raised, us

FAULT = {"kind": "fault", "alarms": ["homeAgentLost"]}
SILENT = {"kind": "heartbeat_lost", "missed": 3}
OVERLOAD = {"kind": "threshold", "figure": "cpu_percent", "above": 80.0, "clear": 60.0, "window_s": 10.0, "samples": 3}
UNDERLOAD = {
    "kind": "threshold",
    "figure": "cpu_percent",
    "below": 20.0,
    "clear": 40.0,
    "window_s": 10.0,
    "samples": 1,
    "across": "all",
    "hold_s": 30.0,
}
IMBALANCE = {"kind": "imbalance", "figure": "cpu_percent", "above": 1.5, "clear": 1.2, "window_s": 10.0, "samples": 1, "floor": 5.0}


class Watch:
    """Analytics under observation: what it told, as (seconds, status, target)."""

    def __init__(self, rules: Policy) -> None:
        self.analytics = Analytics(rules, at(0))
        self.rules = rules
        self.told: list[tuple[float, str, str]] = []
        self.onsets: list[Onset] = []

    def _note(self, seconds: float, messages: list[Onset]) -> None:
        self.onsets += messages
        self.told += [(round(seconds, 3), message.status, message.target) for message in messages]

    def until(self, seconds: float) -> None:
        """Let timers ring up to then."""
        while (due := self.analytics.deadline()) is not None and due <= at(seconds).mono:
            moment = due - at(0).mono
            self._note(moment, self.analytics.tick(at(moment)))

    def see(self, seconds: float, record: AnyRecord) -> None:
        self.until(seconds)
        self._note(seconds, self.analytics.handle(record, at(seconds)))

    def crash(self, seconds: float, down_s: float = 0.0) -> None:
        """Dump, be away, restore with another monotonic clock; the bench's clock goes on as if it were the same."""
        data = self.analytics.dump(at(seconds))
        self.analytics, messages = restore(self.rules, data, at(seconds + down_s))
        self._note(seconds + down_s, messages)


def test_a_fault_is_one_onset_and_its_clearing_one_abated() -> None:
    watch = Watch(policy(FAULT))
    watch.see(0, raised(0))
    watch.see(1, raised(0))
    watch.see(2, raised(2, sequence=1, start=0, severity="MAJOR"))
    watch.see(5, cleared(5, sequence=2, start=0))
    watch.see(6, cleared(5, sequence=2, start=0))
    assert watch.told == [(0, "ONSET", "ha-pp-a"), (5, "ABATED", "ha-pp-a")]
    onset, abated = watch.onsets
    assert onset.request_id == abated.request_id
    assert (onset.alarm_start_us, abated.alarm_end_us) == (us(0), us(5))


def test_a_raising_that_comes_after_its_clearing_is_nothing() -> None:
    watch = Watch(policy(FAULT))
    watch.see(5, cleared(5, start=0))
    watch.see(6, raised(0))
    assert watch.told == []


def test_two_alarms_of_one_source_are_one_episode() -> None:
    watch = Watch(policy({"kind": "fault", "alarms": ["homeAgentLost", "mobilitySocketClosed"]}))
    watch.see(0, raised(0, "f1"))
    watch.see(1, raised(1, "f2", alarm="mobilitySocketClosed"))
    watch.see(2, cleared(2, "f1", start=0))
    assert watch.told == [(0, "ONSET", "ha-pp-a")]
    watch.see(3, cleared(3, "f2", start=1, alarm="mobilitySocketClosed"))
    assert watch.told[1:] == [(3, "ABATED", "ha-pp-a")]


def test_a_sender_that_forgot_its_alarm_still_clears_it() -> None:
    watch = Watch(policy(FAULT))
    watch.see(0, raised(0, "f1"))
    watch.see(5, cleared(5, "f9", start=5))
    assert watch.told[-1] == (5, "ABATED", "ha-pp-a")


def test_less_severe_than_the_policy_asks_is_nothing() -> None:
    watch = Watch(policy(FAULT))
    watch.see(0, raised(0, severity="MINOR"))
    watch.see(1, raised(0, "f2", alarm="other"))
    assert watch.told == []


def test_a_source_out_of_scope_is_nothing() -> None:
    watch = Watch(policy(FAULT, scope={"sources": ["ha-pp-?", "other*"]}))
    watch.see(0, raised(0, source="ha-pp-10"))
    watch.see(0, raised(0, source="ha-b"))
    assert watch.told == []
    watch.see(0, raised(0, source="ha-pp-1"))
    assert watch.told == [(0, "ONSET", "ha-pp-1")]


def test_a_lost_heartbeat_is_told_when_the_third_is_missed_and_ends_with_the_next() -> None:
    watch = Watch(policy(SILENT))
    watch.see(0, heartbeat(0))
    watch.see(1, heartbeat(1))
    watch.until(10)
    watch.see(12, heartbeat(12))
    watch.until(14.9)
    assert watch.told == [(4, "ONSET", "ha-pp-a"), (12, "ABATED", "ha-pp-a")]
    assert watch.onsets[0].reason == "heartbeat_lost"


def test_a_source_that_never_sent_a_heartbeat_is_not_missed() -> None:
    watch = Watch(policy(SILENT))
    watch.see(0, measured(0, 1.0))
    assert watch.analytics.deadline() is None


def test_a_source_that_said_goodbye_is_not_missed() -> None:
    watch = Watch(policy(SILENT))
    watch.see(0, heartbeat(0))
    watch.see(1, OutOfService(source="ha-pp-a", event_id="s1", sequence=0, start_us=us(1), time_us=us(1)))
    watch.until(100)
    assert watch.told == []
    watch.see(100, heartbeat(100))
    watch.until(110)
    assert watch.told == [(103, "ONSET", "ha-pp-a")]


def test_a_source_that_is_forgotten_is_abated_and_not_watched() -> None:
    watch = Watch(policy(SILENT))
    watch.see(0, heartbeat(0))
    watch.until(5)
    assert [message.status for message in watch.analytics.forget("ha-pp-a", at(6))] == ["ABATED"]
    watch.until(100)
    assert watch.told == [(3, "ONSET", "ha-pp-a")]


def removed(source: str, seconds: float) -> Removed:
    return Removed(source=source, event_id=f"n{seconds}", sequence=0, start_us=us(seconds), time_us=us(seconds))


def test_a_source_that_was_removed_is_abated_and_not_missed() -> None:
    watch = Watch(policy(SILENT))
    watch.see(0, heartbeat(0))
    watch.until(100)
    watch.see(100, removed("ha-pp-a", 100))
    assert [status for _, status, _ in watch.told] == ["ONSET", "ABATED"]
    watch.until(1000)
    assert len(watch.told) == 2


def test_what_a_removed_source_had_sent_may_come_late_also_after_a_crash() -> None:
    watch = Watch(policy(SILENT))
    watch.see(0, heartbeat(0))
    watch.see(1, removed("ha-pp-a", 1))
    watch.crash(2)
    late = msgspec.structs.replace(heartbeat(0.9), own=True)
    watch.see(3, late)
    watch.until(1000)
    assert watch.told == []


def test_a_new_one_of_the_same_name_is_watched_from_when_ha_b_tells_that_it_is_there() -> None:
    watch = Watch(policy(SILENT))
    watch.see(1, removed("ha-pp-a", 1))
    watch.see(2, Connected(source="ha-pp-a", event_id="c", sequence=0, start_us=us(2), time_us=us(2)))
    watch.see(3, msgspec.structs.replace(heartbeat(3), own=True))
    watch.until(1000)
    assert [status for _, status, _ in watch.told] == ["ONSET"]


@pytest.mark.parametrize(
    ("condition", "record"),
    [(FAULT, raised(1)), (SILENT, heartbeat(1)), ({**OVERLOAD, "samples": 1}, measured(1, 90.0)), (IMBALANCE, measured(1, 90.0))],
    ids=["fault", "silent", "overload", "imbalance"],
)
def test_what_is_nowhere_to_be_found_is_abated_and_forgotten(condition: dict[str, Any], record: AnyRecord) -> None:
    """Its removal may have been told and lost. The state is to be durable before that is said, as no record leads to it again."""
    watch = Watch(policy(condition, action="failover"))
    watch.see(0, measured(0, 1.0, source="ha-pp-b"))
    watch.see(1, record)
    watch.until(5)
    assert [status for _, status, _ in watch.told] == ["ONSET"]
    watch.analytics.fleeting = False
    (target,) = watch.analytics.modules()
    assert [message.status for message in watch.analytics.dismiss(target, at(6))] == ["ABATED"]
    assert watch.analytics.fleeting
    assert watch.analytics.open() == watch.analytics.dismiss(target, at(7)) == []


def test_what_time_has_a_part_in_is_told_again_after_a_crash_and_its_end_too() -> None:
    """Else a heartbeat that comes right after the crash would leave the operation of a silence that nobody remembers."""
    watch = Watch(policy(SILENT))
    watch.see(0, heartbeat(0))
    due = watch.analytics.deadline()
    assert due is not None
    silent = watch.analytics.tick(Instant(due, WALL))
    assert [message.status for message in silent] == ["ONSET"]
    assert watch.analytics.fleeting
    kept = watch.analytics.dump(at(100), silent)
    watch.analytics, again = restore(watch.rules, kept, at(101))
    assert again == silent
    assert [message.status for message in watch.analytics.handle(heartbeat(102), at(102))] == ["ABATED"]


def test_what_follows_from_records_alone_need_not_be_kept_before_it_is_told() -> None:
    watch = Watch(policy(FAULT))
    watch.see(1, raised(1))
    assert (len(watch.told), watch.analytics.fleeting) == (1, False)
    held = Watch(policy({**FAULT, "hold_s": 5.0}))
    held.see(1, raised(1))
    held.until(10)
    assert (len(held.told), held.analytics.fleeting) == (1, True)


def test_a_raising_that_comes_after_its_clearing_and_the_removal_is_nothing() -> None:
    watch = Watch(policy(FAULT))
    watch.see(1, raised(1))
    watch.see(2, cleared(2, start=1))
    watch.see(3, removed("ha-pp-a", 3))
    watch.see(4, raised(1))
    assert [status for _, status, _ in watch.told] == ["ONSET", "ABATED"]


def test_another_source_under_a_removed_ones_name_is_watched() -> None:
    watch = Watch(policy(FAULT))
    watch.see(1, removed("ha-pp-a", 1))
    watch.see(2, raised(2))
    assert [status for _, status, _ in watch.told] == ["ONSET"]


def test_a_sender_whose_clock_steps_back_is_not_lost() -> None:
    watch = Watch(policy(SILENT))
    for second in range(20):
        watch.see(second, heartbeat(second if second < 10 else second - 3600))
    assert watch.told == []


def test_overload_needs_the_mean_of_a_window_and_ends_below_clear() -> None:
    watch = Watch(policy(OVERLOAD))
    for second, load in enumerate([10, 100, 100, 100, 100, 70, 70, 70, 70, 70, 70, 70, 70, 70, 50, 50, 50, 50, 50, 50]):
        watch.see(second, measured(second, load))
    (begin, *_), (end, *_) = watch.told
    assert [status for _, status, _ in watch.told] == ["ONSET", "ABATED"]
    assert begin == 4  # mean of 10, 100, 100, 100, 100
    assert end > 14
    assert watch.onsets[0].value == pytest.approx(82)
    assert watch.onsets[0].limit == 80


def test_one_peak_is_no_overload() -> None:
    watch = Watch(policy(OVERLOAD))
    for second, load in enumerate([10, 10, 150, 10, 10, 10, 10]):
        watch.see(second, measured(second, load))
    assert watch.told == []


def test_a_measurement_that_comes_twice_counts_once() -> None:
    watch = Watch(policy(OVERLOAD))
    for _ in range(5):
        watch.see(0, measured(0, 100))
    assert watch.told == []


def test_an_overload_whose_source_falls_silent_is_abated() -> None:
    watch = Watch(policy(OVERLOAD))
    for second in range(3):
        watch.see(second, measured(second, 100))
    watch.until(1000)
    assert watch.told == [(2, "ONSET", "ha-pp-a"), (32, "ABATED", "ha-pp-a")]


def test_sustained_underload_of_all_names_the_idlest() -> None:
    watch = Watch(policy(UNDERLOAD, action="scale_in"))
    for second in range(0, 60, 5):
        watch.see(second, measured(second, 12, source="ha-pp-a"))
        watch.see(second, measured(second, 8, source="ha-pp-b"))
    assert watch.told == [(30, "ONSET", "ha-pp-b")]
    for second in range(60, 80, 5):
        watch.see(second, measured(second, 90, source="ha-pp-a"))
    assert [message[1:] for message in watch.told] == [("ONSET", "ha-pp-b"), ("ABATED", "ha-pp-b")]


def test_imbalance_names_the_busiest_and_ignores_idleness() -> None:
    watch = Watch(policy(IMBALANCE, action="rebalance"))
    watch.see(0, measured(0, 3, source="ha-pp-a"))
    watch.see(0, measured(0, 0, source="ha-pp-b"))
    assert watch.told == []
    watch.see(20, measured(20, 10, source="ha-pp-a"))
    watch.see(20, measured(20, 90, source="ha-pp-b"))
    assert watch.told == [(20, "ONSET", "ha-pp-b")]
    watch.see(40, measured(40, 50, source="ha-pp-b"))
    watch.see(40, measured(40, 50, source="ha-pp-a"))
    assert [status for _, status, _ in watch.told] == ["ONSET", "ABATED"]


def test_a_restart_keeps_open_onsets_and_gives_every_source_its_time_again() -> None:
    watch = Watch(policy(SILENT))
    watch.see(0, heartbeat(0, source="ha-pp-a"))
    watch.see(2, heartbeat(2, source="ha-pp-b"))
    watch.until(4)
    watch.crash(4, down_s=60)
    watch.see(65, heartbeat(65, source="ha-pp-a"))
    watch.until(66.9)
    assert watch.told == [(3, "ONSET", "ha-pp-a"), (65, "ABATED", "ha-pp-a")]
    watch.until(67.1)
    assert watch.told[-1] == (67, "ONSET", "ha-pp-b")


def test_a_loop_that_left_the_policy_is_abated() -> None:
    analytics = Analytics(policy(FAULT), at(0))
    analytics.handle(raised(0), at(0))
    other = policy(SILENT, name="other")
    _, told = restore(other, analytics.dump(at(1)), at(2))
    assert [(message.name, message.status) for message in told] == [("loop", "ABATED")]


def test_levels_may_change_without_forgetting() -> None:
    analytics = Analytics(policy(OVERLOAD), at(0))
    for second in range(3):
        analytics.handle(measured(second, 100), at(second))
    _, told = restore(policy({**OVERLOAD, "above": 90.0, "clear": 10.0}), analytics.dump(at(3)), at(4))
    assert told == []


@pytest.mark.parametrize("data", [b"", b"{}", b"[1]", b'{"version":99,"t":0,"wall":0,"loops":{}}', b"\xff"])
def test_a_dump_that_is_none_is_named(data: bytes) -> None:
    with pytest.raises(StateError, match="start without it"):
        restore(policy(FAULT), data, at(0))


def test_memory_is_bounded_and_what_is_open_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detector, "MAX_KEYS", 10)
    analytics = Analytics(policy(FAULT), at(0))
    analytics.handle(raised(0, source="first"), at(0))
    for number in range(100):
        analytics.handle(cleared(1, f"f{number}", source=f"s{number}", start=0), at(1))
    assert len(analytics._detectors["loop"].subjects) <= 10
    assert [message.target for message in analytics.open()] == ["first"]
