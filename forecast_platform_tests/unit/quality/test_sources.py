"""What is usual for a source, what is not, and that a season is no fault."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy.stats import wasserstein_distance

from forecast_platform.quality.drift import (
    GRID,
    Columns,
    _quantiles,
    distance,
    judge_values,
    sketch,
    sketch_weeks,
)
from forecast_platform.quality.freshness import judge_freshness
from forecast_platform.quality.verdicts import Verdict, worst
from forecast_platform.quality.volume import judge_rows, judge_stores

WEEKS = pd.date_range("2024-01-01", periods=80, freq="W-MON")
LAST = WEEKS[-1]


def counts(values: Sequence[int]) -> pd.Series:
    """Rows of the last weeks, the last of them judged."""
    return pd.Series(list(values), index=WEEKS[-len(values) :])


# freshness


@pytest.mark.parametrize(
    ("delivered", "passed"),
    [
        pytest.param([0, 1, 2, 3, 4], True, id="this-week"),
        pytest.param([0, 1, 2, 3], False, id="not-this-week"),
    ],
)
def test_what_must_come_every_week_is_fresh_only_when_it_did(delivered: list[int], passed: bool):
    weeks = [WEEKS[i] for i in delivered]

    assert judge_freshness(weeks, WEEKS[4], every_week=True).passed is passed


@pytest.mark.parametrize(("silent", "passed"), [(6, True), (7, False)])
def test_other_sources_may_be_silent_three_times_as_long_as_ever(silent: int, passed: bool):
    weeks = [WEEKS[i] for i in (0, 1, 3, 4)]  # silent for two weeks at most

    verdict = judge_freshness(weeks, WEEKS[4 + silent], every_week=False)

    assert verdict.passed is passed
    assert verdict.value == 7 * silent
    assert verdict.limit == 42


def test_deliveries_of_later_weeks_are_not_known():
    verdict = judge_freshness(list(WEEKS), WEEKS[3], every_week=True)

    assert verdict == judge_freshness(list(WEEKS[:4]), WEEKS[3], every_week=True)


@pytest.mark.parametrize("delivered", [[], [WEEKS[0]], list(WEEKS[:3])])
def test_a_source_without_a_rhythm_is_not_judged(delivered: list[pd.Timestamp]):
    verdict = judge_freshness(delivered, LAST, every_week=False)

    assert verdict.passed
    assert np.isnan(verdict.value)


# volume


def test_half_of_the_rows_are_not_usual_and_all_of_them_are():
    usual = [100, 101, 99, 100, 102, 98, 100, 100]

    assert judge_rows(counts([*usual, 101]), LAST).passed
    assert not judge_rows(counts([*usual, 50]), LAST).passed
    assert not judge_rows(counts([*usual, 200]), LAST).passed


def test_one_odd_week_before_does_not_hide_the_next():
    usual = [100, 101, 99, 10, 102, 98, 100, 100]

    assert judge_rows(counts([*usual, 101]), LAST).passed
    assert not judge_rows(counts([*usual, 10]), LAST).passed


def test_a_week_that_is_closed_every_year_is_no_fault():
    usual = [100] * 70
    season = [*usual, 40]
    season[-1 - 52] = 40

    assert not judge_rows(counts([*usual, 40]), LAST).passed
    assert judge_rows(counts(season), LAST).passed
    season[-1] = 5
    assert not judge_rows(counts(season), LAST).passed, "less than in the same week of last year"


@given(st.lists(st.integers(100, 110), min_size=9, max_size=9), st.integers(2, 50))
def test_rows_are_judged_alike_at_any_scale_above_that_of_counting(few: list[int], times: int):
    many = [n * 1000 for n in few]

    assert (
        judge_rows(counts(many), LAST).passed
        == judge_rows(counts([n * times for n in many]), LAST).passed
    )


def test_rows_without_weeks_before_are_not_judged():
    assert np.isnan(judge_rows(counts([100, 100, 100, 1]), LAST).value)
    assert np.isnan(judge_rows(counts([100] * 9), LAST + pd.Timedelta(weeks=1)).value)


def test_missing_regular_stores_are_named():
    before = [{"a", "b", "c", "d"}] * 8

    verdict = judge_stores(before, {"a", "b"}, closed=set())

    assert not verdict.passed
    assert verdict.value == 0.5
    assert "c, d" in verdict.description


@pytest.mark.parametrize(
    ("now", "closed"),
    [
        pytest.param("abc", "", id="one-store-alone-may-be-closed-for-a-week"),
        pytest.param("ab", "cd", id="closed-by-the-master-data"),
        pytest.param("abcdxyz", "", id="new-stores"),
    ],
)
def test_stores_may_be_missing_for_a_reason(now: str, closed: str):
    assert judge_stores([set("abcd")] * 8, set(now), set(closed)).passed


def test_a_store_that_does_not_come_every_week_is_not_waited_for():
    before = [*[set("abcd")] * 7, set("ab")]

    assert judge_stores(before, set("ab"), closed=set()).passed


# values

UNITS = Columns(ratios=("units",), texts=("store",))


def units(seed: int, *, factor: float = 1.0, store: str = "s") -> pd.DataFrame:
    values = np.random.default_rng(seed).lognormal(3, 0.8, 80).round() * factor
    return pd.DataFrame({"units": values, "store": [f"{store}{i % 8}" for i in range(80)]})


def temperatures(seed: int, mean: float) -> pd.DataFrame:
    values = np.random.default_rng(seed).normal(mean, 4, 60)
    return pd.DataFrame({"temperature": values})


PAST = [sketch(units(seed), UNITS) for seed in range(8)]


def test_the_same_distribution_is_usual_in_nearly_every_week():
    alarms = [not judge_values(PAST, sketch(units(seed), UNITS)).passed for seed in range(100, 300)]

    assert sum(alarms) == 0


@pytest.mark.parametrize("factor", [1 / 12, 1 / 6, 12, 100])
def test_units_in_another_unit_are_found(factor: float):
    verdict = judge_values(PAST, sketch(units(99, factor=factor), UNITS))

    assert not verdict.passed
    assert verdict.description.startswith("units is shifted")


@pytest.mark.parametrize("season", [-10, 0, 15, 28])
def test_fahrenheit_is_found_and_a_change_of_weather_is_not(season: float):
    columns = Columns(numbers=("temperature",))
    past = [sketch(temperatures(i, season + i), columns) for i in range(8)]  # 1 degree a week
    next_week = temperatures(9, season + 9)

    assert judge_values(past, sketch(next_week, columns)).passed
    assert not judge_values(past, sketch(next_week * 1.8 + 32, columns)).passed


def test_missing_values_are_found():
    rows = units(99)
    rows.loc[::3, "units"] = np.nan

    verdict = judge_values(PAST, sketch(rows, UNITS))

    assert not verdict.passed
    assert "missing in 34%" in verdict.description


def test_codes_that_nobody_knows_are_found():
    verdict = judge_values(PAST, sketch(units(99, store="t"), UNITS))

    assert not verdict.passed
    assert "store is new in 100%" in verdict.description


def test_zeros_have_no_unit():
    rows = pd.concat([units(99), units(99).assign(units=0.0)])

    assert judge_values(PAST, sketch(rows, UNITS)).passed


def test_few_rows_or_weeks_are_not_judged():
    assert np.isnan(judge_values(PAST, sketch(units(1).head(5), UNITS)).value)
    assert np.isnan(judge_values(PAST[:3], sketch(units(1), UNITS)).value)


@settings(deadline=None)
@given(st.integers(0, 10_000), st.floats(-3, 3), st.floats(0.5, 2))
def test_the_distance_is_that_of_scipy(seed: int, shift: float, width: float):
    draw = np.random.default_rng(seed)
    one, others = draw.normal(shift, width, 20_000), draw.normal(0, 1, (8, 20_000))
    grid = (np.arange(50) + 0.5) / 50

    measured = distance(np.quantile(one, grid), np.quantile(others, grid, axis=1).T)

    exact = wasserstein_distance(one, others.ravel()) / others.std()
    assert measured == pytest.approx(exact, abs=0.06)


@given(arrays(float, array_shapes(max_dims=2, min_side=20), elements=st.floats(-1e6, 1e6)))
def test_quantiles_are_those_of_numpy(values: np.ndarray):
    expected = np.moveaxis(np.quantile(values, GRID, axis=-1), 0, -1)

    np.testing.assert_allclose(_quantiles(values), expected, rtol=1e-9, atol=1e-6)


def test_weeks_together_are_summed_up_as_each_alone():
    weeks = {WEEKS[i]: units(i).assign(week=WEEKS[i]) for i in range(3)}
    weeks[WEEKS[1]].loc[::4, "units"] = np.nan

    found = sketch_weeks(pd.concat(weeks.values()), UNITS)

    assert list(found) == list(weeks)
    for week, rows in weeks.items():
        alone = sketch(rows, UNITS)
        assert found[week].texts == alone.texts
        assert found[week].missing == alone.missing
        np.testing.assert_array_equal(found[week].quantiles["units"], alone.quantiles["units"])


def test_the_worst_of_several_verdicts_speaks_and_all_failures_are_told():
    usual = Verdict("c", passed=True, value=0.5, limit=1, description="usual")
    far, near = (
        Verdict("c", passed=False, value=value, limit=1, description=text)
        for value, text in ((9, "far"), (2, "near"))
    )

    joined = worst("c", [usual, near, far])

    assert (joined.passed, joined.value) == (False, 9)
    assert joined.description == "near; far"
    assert worst("c", [usual]) == usual
