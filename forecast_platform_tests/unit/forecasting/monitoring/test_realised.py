import numpy as np
import pandas as pd
import pytest

from forecast_platform.forecasting.monitoring.realised import score_realised

WEEK = pd.Timestamp("2024-03-04")


def forecasts(**changes: object) -> pd.DataFrame:
    rows = pd.DataFrame(
        {
            "unique_id": ["a/1", "a/2", "a/1", "a/2"],
            "ds": WEEK,
            "h": [1, 1, 2, 2],
            "segment": ["large_fast", "large_slow"] * 2,
            "y_hat": [8.0, 5.0, 12.0, 5.0],
            "historical_average": [5.0, 10.0, 5.0, 10.0],
            "is_champion": [True, True, True, False],
            "is_arm": [False, False, False, True],
            "mape_promised": [0.2, np.nan, 0.2, np.nan],
            "mape_baseline_promised": [0.4, np.nan, 0.4, np.nan],
        }
    )
    return rows.assign(**changes)


ACTUALS = pd.DataFrame({"unique_id": ["a/1", "a/2"], "ds": WEEK, "y": [10.0, 5.0]})


def score_of(scores: pd.DataFrame, segment: str, h: int) -> pd.Series:
    [row] = scores[(scores["segment"] == segment) & (scores["h"] == h)].to_dict("records")
    return pd.Series(row)


def test_every_horizon_and_segment_is_scored_alone_and_together():
    scores = score_realised(forecasts(), ACTUALS)

    assert score_of(scores, "large_fast", 1)["mape"] == pytest.approx(0.2)
    assert score_of(scores, "large_fast", 0)["bias"] == pytest.approx(0.0)
    assert score_of(scores, "all", 0)["mape"] == pytest.approx(0.1)
    assert score_of(scores, "all", 2)["n_rows"] == 2
    assert len(scores) == 3 * 3


def test_what_an_arm_served_is_told_apart_from_a_failover():
    served = score_of(score_realised(forecasts(), ACTUALS), "large_slow", 0)

    assert (served["share_champion"], served["share_experiment"]) == (0.5, 0.5)


def test_value_added_is_the_baselines_mape_less_the_served_one():
    row = score_of(score_realised(forecasts(), ACTUALS), "large_fast", 1)

    assert row["mape_baseline"] == pytest.approx(0.5)
    assert row["value_added"] == pytest.approx(0.3)


def test_what_validation_promised_stands_beside_it_where_it_promised_anything():
    scores = score_realised(forecasts(), ACTUALS)

    assert score_of(scores, "large_fast", 0)["mape_promised"] == pytest.approx(0.2)
    assert np.isnan(score_of(scores, "large_slow", 0)["mape_promised"])


def test_a_series_whose_demand_is_unknown_is_not_scored():
    scores = score_realised(forecasts(), ACTUALS[:1])

    assert set(scores["segment"]) == {"all", "large_fast"}
    assert score_of(scores, "all", 0)["n_rows"] == 2


def test_coverage_needs_a_range_on_every_row():
    ranges = {"y_hat_p10": [9.0, 6.0, 9.0, 6.0], "y_hat_p90": [11.0, 9.0, 11.0, 9.0]}
    scores = score_realised(forecasts(**ranges), ACTUALS)
    holed = ranges | {"y_hat_p10": [9.0, np.nan, 9.0, 6.0]}
    without = score_realised(forecasts(**holed), ACTUALS)

    assert score_of(scores, "all", 0)["coverage_80"] == pytest.approx(0.5)
    assert np.isnan(score_of(without, "all", 0)["coverage_80"])
    assert score_of(without, "large_fast", 0)["coverage_80"] == pytest.approx(1.0)


def test_nothing_known_gives_no_score():
    assert score_realised(forecasts(), ACTUALS.iloc[:0]).empty
