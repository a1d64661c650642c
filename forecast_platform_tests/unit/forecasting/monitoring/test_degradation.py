import numpy as np
import pandas as pd

from forecast_platform.forecasting.monitoring.degradation import (
    BLOCK_WEEKS,
    EPOCH,
    DegradationTest,
    skill_lost,
)

N_RUNS = 300


def scores(lost: np.ndarray, first: pd.Timestamp = EPOCH, **changes: object) -> pd.DataFrame:
    """Weekly scores that lost this much log skill against a promise of 0.3 to 0.6."""
    weeks = first + pd.to_timedelta(7 * np.arange(len(lost)), unit="D")
    table = pd.DataFrame(
        {
            "ds": weeks,
            "mape": 0.3 * np.exp(lost),
            "mape_baseline": 0.6,
            "mape_promised": 0.3,
            "mape_baseline_promised": 0.6,
            "n_positive": 200,
        }
    )
    return table.assign(**changes)


def alarms(lost: np.ndarray) -> bool:
    """Whether somebody who looked every week ever saw an alarm: a block remembers its weeks."""
    table = scores(lost)
    ends = table["ds"].iloc[[*range(BLOCK_WEEKS // 2 - 1, len(lost), BLOCK_WEEKS // 2)]]
    return any(DegradationTest().judge(table, week).is_degraded for week in ends)


def test_a_week_that_is_hard_for_everybody_loses_no_skill():
    hard = scores(np.full(3, np.log(2.0)), mape_baseline=1.2)

    np.testing.assert_allclose(skill_lost(hard), 0.0, atol=1e-12)


def test_looking_every_week_of_a_half_year_raises_few_false_alarms():
    rng = np.random.default_rng(0)
    promise = rng.normal(0, 0.05, (N_RUNS, 1))  # validation is off by some percent
    lost = promise + rng.normal(0, 0.15, (N_RUNS, BLOCK_WEEKS))

    false = np.mean([alarms(one) for one in lost])

    assert false <= 0.05


def test_half_as_much_error_again_is_found_within_a_quarter():
    rng = np.random.default_rng(1)
    lost = np.log(1.5) + rng.normal(0, 0.15, (100, 13))

    found = np.mean([alarms(one) for one in lost])

    assert found >= 0.8


def test_a_better_model_than_promised_is_not_degraded():
    assert not alarms(np.full(BLOCK_WEEKS, -0.5) + np.linspace(0, 0.01, BLOCK_WEEKS))


def test_weeks_without_a_promise_or_with_few_rows_do_not_count():
    bad = np.full(12, 1.0) + np.linspace(0, 0.01, 12)
    week = scores(bad)["ds"].iloc[-1]

    assert DegradationTest().judge(scores(bad, mape_promised=np.nan), week).n_weeks == 0
    assert not DegradationTest().judge(scores(bad, n_positive=3), week).is_degraded
    assert DegradationTest().judge(scores(bad), week).is_degraded


def test_later_weeks_do_not_change_the_verdict_of_an_earlier_one():
    bad = scores(np.full(12, 1.0) + np.linspace(0, 0.01, 12))
    week = bad["ds"].iloc[2]

    assert DegradationTest().judge(bad, week) == DegradationTest().judge(bad[:3], week)
