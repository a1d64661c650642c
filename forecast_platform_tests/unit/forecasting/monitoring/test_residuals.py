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


def test_residuals_are_averaged_by_week_and_few_rows_say_nothing():
    weeks = pd.to_datetime(["2024-01-01"] * 20 + ["2024-01-08"] * 3)
    rows = pd.DataFrame({"ds": weeks, "y": np.e - 1, "y_hat": 0.0})

    found = weekly_residuals(rows)

    assert found.iloc[0] == pytest.approx(1.0)
    assert np.isnan(found.iloc[1])
