"""Onset and abated alternate, and come no more often than the damping allows, whatever the signal does."""

from __future__ import annotations

from closedloop_loop.analytics.episode import Episode, Phase, Told
from closedloop_loop.policy.model import Damping, Fault
from hypothesis import given
from hypothesis import strategies as st

conditions = st.builds(
    lambda hold_s, quiet_s, onsets, within_s, repeat_s: Fault(
        alarms=["x"], hold_s=hold_s, quiet_s=quiet_s, repeat_s=repeat_s, damping=Damping(onsets=onsets, within_s=within_s)
    ),
    st.sampled_from([0.0, 1.0, 5.0]),
    st.sampled_from([0.0, 1.0, 5.0]),
    st.integers(1, 3),
    st.sampled_from([1.0, 10.0, 60.0]),
    st.sampled_from([None, None, 7.0]),
)
signals = st.lists(st.tuples(st.floats(0, 8), st.booleans()), max_size=40)


def play(condition: Fault, steps: list[tuple[float, bool]]) -> tuple[list[tuple[float, Told]], Episode]:
    """Signals after so many seconds each, and every timer at its time."""
    episode, told, t = Episode(), [], 0.0
    for gap, on in steps:
        arrival = t + gap
        while (due := episode.deadline(condition)) is not None and due <= arrival:
            t = max(t, due)
            told += [(t, word) for word in episode.advance(t, condition)]
        t = arrival
        told += [(t, word) for word in episode.signal(on, "cause", 1, t, condition)]
    return told, episode


@given(conditions, signals)
def test_onset_and_abated_alternate(condition: Fault, steps: list[tuple[float, bool]]) -> None:
    told, episode = play(condition, steps)
    words = [word for _, word in told]
    assert words == ["fire", "end"] * (len(words) // 2) + ["fire"] * (len(words) % 2)
    assert (episode.phase in (Phase.ACTIVE, Phase.CLEARING)) == (len(words) % 2 == 1)


@given(conditions, signals)
def test_flapping_is_damped(condition: Fault, steps: list[tuple[float, bool]]) -> None:
    fired = [t for t, word in play(condition, steps)[0] if word == "fire"]
    count, within_s = condition.damping.onsets, condition.damping.within_s
    for first, last in zip(fired, fired[count:], strict=False):
        assert last - first >= within_s - 1e-9


@given(conditions, signals)
def test_after_a_long_calm_nothing_is_open(condition: Fault, steps: list[tuple[float, bool]]) -> None:
    _, episode = play(condition, [*steps, (0.0, False), (1000.0, False)])
    assert episode.phase is Phase.QUIET
    assert episode.deadline(condition) is None


@given(conditions, signals)
def test_what_lasts_is_told_in_the_end(condition: Fault, steps: list[tuple[float, bool]]) -> None:
    told, _ = play(condition, [*steps, (0.0, True), (1000.0, True)])
    fired = sum(word == "fire" for _, word in told)
    assert fired > 0


def test_what_is_shorter_than_hold_is_not_told() -> None:
    assert play(Fault(alarms=["x"], hold_s=5.0), [(0, True), (4, False), (100, False)])[0] == []


def test_what_comes_back_within_quiet_is_one_episode() -> None:
    told, _ = play(Fault(alarms=["x"], quiet_s=5.0), [(0, True), (1, False), (4, True), (1, False), (100, False)])
    assert told == [(0, "fire"), (11, "end")]


def test_a_condition_that_lasts_begins_anew_after_repeat() -> None:
    told, _ = play(Fault(alarms=["x"], repeat_s=10.0, damping=Damping(onsets=100)), [(0, True), (25, True)])
    assert told == [(0, "fire"), (10, "end"), (10, "fire"), (20, "end"), (20, "fire")]
