"""Solving for what is left out; the published figures; consistency of the model."""

from __future__ import annotations

import math
import random

import pytest
from closedloop_loop.availability.quantities import UNITS_S, Scheme, duration, scheme, unavailability, words
from closedloop_loop.availability.solve import least, mtbf, mttr, solve, system, unit
from closedloop_loop.errors import CommandError
from hypothesis import given
from hypothesis import strategies as st

FIVE_NINES = unavailability("0.99999", "--target")
HOUR, DAY = UNITS_S["h"], UNITS_S["d"]


@pytest.mark.parametrize(
    ("text", "published_s", "digits_s"),
    [("1N", 123 * DAY, 0.5 * DAY), ("2N", 9.3 * HOUR, 0.05 * HOUR), ("3N", 1.3 * HOUR, 0.05 * HOUR)],
)
def test_the_mtbf_that_the_paper_needs_with_its_repair_time(text: str, published_s: float, digits_s: float) -> None:
    assert mtbf(106.23, FIVE_NINES, scheme(text)) == pytest.approx(published_s, abs=digits_s)


@pytest.mark.parametrize(("text", "published_s", "digits_s"), [("2N", 9.365 * HOUR, 0.0005 * HOUR), ("3N", 65 * HOUR, 0.5 * HOUR)])
def test_the_repair_time_that_the_paper_allows_with_its_mtbf(text: str, published_s: float, digits_s: float) -> None:
    assert mttr(123 * DAY, FIVE_NINES, scheme(text)) == pytest.approx(published_s, abs=digits_s)


schemes = st.one_of(st.builds(Scheme, st.just(1), st.integers(0, 5)), st.builds(Scheme, st.integers(1, 20), st.integers(0, 5)))
seconds = st.floats(0.01, 1e9)


@given(seconds, st.floats(1e-12, 0.5), schemes)
def test_what_is_solved_solves(mttr_s: float, target: float, wanted: Scheme) -> None:
    found = solve(None, mttr_s, target, wanted)
    assert solve(found.mtbf_s, mttr_s, None, wanted).unavailability == pytest.approx(target, rel=1e-6)
    assert solve(found.mtbf_s, None, target, wanted).mttr_s == pytest.approx(mttr_s, rel=1e-6)
    if wanted.needed == 1:
        smallest = solve(found.mtbf_s * (1 + 1e-9), mttr_s, target, None).scheme
        assert smallest.spare <= wanted.spare


@given(st.floats(1e-9, 0.9), schemes)
def test_more_spare_is_never_worse_and_more_needed_never_better(u: float, wanted: Scheme) -> None:
    here = system(u, wanted)
    assert system(u, Scheme(wanted.needed, wanted.spare + 1)) <= here * (1 + 1e-9)
    assert system(u, Scheme(wanted.needed + 1, wanted.spare)) >= here * (1 - 1e-9)


@given(st.floats(1e-12, 0.5), schemes)
def test_unit_is_the_inverse_of_system(target: float, wanted: Scheme) -> None:
    assert system(unit(target, wanted), wanted) == pytest.approx(target, rel=1e-9)


def test_the_formula_is_what_units_that_fail_at_random_do() -> None:
    chance = random.Random(7)
    u, wanted, trials = 0.2, Scheme(3, 1), 40_000
    down = sum(sum(chance.random() < u for _ in range(4)) > 1 for _ in range(trials)) / trials
    assert down == pytest.approx(system(u, wanted), abs=4 * math.sqrt(u / trials))


def test_two_n_is_one_plus_one() -> None:
    assert system(0.003, scheme("2N")) == pytest.approx(system(0.003, scheme("1+1")))
    assert str(scheme("1+1")) == "2N"
    assert str(scheme("4+2")) == "4+2"


def test_the_least_scheme_reaches_the_target_and_one_less_does_not() -> None:
    assert str(least(10 * HOUR, 106.23, FIVE_NINES)) == "2N"
    assert str(least(9 * HOUR, 106.23, FIVE_NINES)) == "3N"


@pytest.mark.parametrize(
    ("text", "expected"), [("123d", 123 * DAY), ("106.23s", 106.23), ("9.3h", 9.3 * HOUR), ("250ms", 0.25), ("7", 7.0), ("2 min", 120.0)]
)
def test_durations(text: str, expected: float) -> None:
    assert duration(text, "x") == pytest.approx(expected)


@pytest.mark.parametrize("text", ["", "d", "-1s", "0s", "1x", "nan", "inf", "1s2", "1e99d", "١s"])
def test_what_is_no_duration_is_named_with_a_remedy(text: str) -> None:
    with pytest.raises(CommandError, match=r"^--mttr: .*106\.23s"):
        duration(text, "--mttr")


@pytest.mark.parametrize("text", ["", "N", "0N", "2M", "k+m", "0+1", "4-1", "999+2", "99999N"])
def test_what_is_no_scheme_is_named_with_a_remedy(text: str) -> None:
    with pytest.raises(CommandError, match=r"^scheme: "):
        scheme(text)


@pytest.mark.parametrize("text", ["0", "1", "1.5", "-1", "x", "nan", "", "100%"])
def test_what_is_no_availability_is_named_with_a_remedy(text: str) -> None:
    with pytest.raises(CommandError, match=r"^--target: "):
        unavailability(text, "--target")


def test_an_availability_close_to_one_keeps_its_digits() -> None:
    assert unavailability("0.99999999999999999999", "x") == pytest.approx(1e-20)
    assert unavailability("99.999%", "x") == pytest.approx(1e-5)


@pytest.mark.parametrize(
    "given_", [(None, None, 1e-5, Scheme(1, 0)), (1.0, 1.0, 1e-5, Scheme(1, 0)), (None, 1.0, None, Scheme(1, 0)), (None, None, None, None)]
)
def test_three_of_four_are_needed(given_: tuple[float | None, float | None, float | None, Scheme | None]) -> None:
    with pytest.raises(CommandError, match="give three"):
        solve(*given_)


def test_durations_read_well() -> None:
    assert [words(value) for value in (0.25, 106.23, 65 * HOUR, 123 * DAY)] == ["250 ms", "106.23 s", "65 h", "123 d"]
