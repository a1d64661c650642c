import numpy as np
import pandas as pd
import pytest

from forecast_platform.forecasting.monitoring.residuals import ResidualTest, weekly_residuals


def test_weeks_like_those_before_seldom_raise_an_alarm():
    rng = np.random.default_rng(0)
    weeks = rng.normal(0.05, 0.08, (1000, 27))

    false = np.mean([ResidualTest().judge(one[:-1], one[-1]).is_drifted for one in weeks])

    assert false <= 0.02


def test_a_third_less_demand_is_found_in_its_first_week():
    rng = np.random.default_rng(1)
    past = rng.normal(0.0, 0.05, (200, 26))

    found = np.mean([ResidualTest().judge(one, np.log(2 / 3)).is_drifted for one in past])

    assert found >= 0.95


def test_too_short_a_past_is_not_judged():
    shift = ResidualTest().judge([0.0, 0.1], 9.0)

    assert not shift.is_drifted
    assert np.isnan(shift.limit)


def test_a_past_without_any_spread_still_allows_a_tenth():
    assert not ResidualTest().judge(np.zeros(20), 0.09).is_drifted
    assert ResidualTest().judge(np.zeros(20), 0.11).is_drifted


def test_a_shift_that_no_week_shows_is_found_when_it_lasts():
    rng = np.random.default_rng(2)
    weeks = rng.normal(0.0, 0.12, (300, 29))
    weeks[:, -3:] += np.log(0.7)

    def share(max_weeks: int) -> float:
        test = ResidualTest(max_weeks=max_weeks)
        return float(
            np.mean(
                [
                    any(test.judge(one[:at], one[at]).is_drifted for at in (26, 27, 28))
                    for one in weeks
                ]
            )
        )

    assert share(3) >= 0.85
    assert share(3) - share(1) >= 0.15


def test_weeks_that_follow_one_another_do_not_look_like_a_shift():
    """Residuals with memory: holidays and weather last longer than a week."""
    rng = np.random.default_rng(3)
    noise = rng.normal(0.0, 0.1, (1000, 40))
    weeks = np.zeros_like(noise)
    for at in range(1, 40):
        weeks[:, at] = 0.3 * weeks[:, at - 1] + noise[:, at]

    false = np.mean([ResidualTest().judge(one[:-1], one[-1]).is_drifted for one in weeks])

    assert false <= 0.04


def test_residuals_compare_sums_by_week_and_few_rows_say_nothing():
    weeks = pd.to_datetime(["2024-01-01"] * 20 + ["2024-01-08"] * 3)
    rows = pd.DataFrame({"ds": weeks, "y": 5.0, "y_hat": [2.0] * 10 + [3.0] * 10 + [1.0] * 3})

    found = weekly_residuals(rows)

    assert found.iloc[0] == pytest.approx(np.log(101 / 51))
    assert np.isnan(found.iloc[1])
