import math

import numpy as np
import pandas as pd
import pytest
import utilsforecast.losses as reference
from hypothesis import given
from hypothesis import strategies as st

from forecast_platform.forecasting.evaluation import metrics
from forecast_platform_tests.oracles import metrics as oracle

units = st.integers(0, 1000).map(float)
pairs = st.lists(st.tuples(units, units), min_size=0, max_size=20)


@given(pairs)
@pytest.mark.parametrize("name", metrics.METRICS)
def test_metrics_equal_those_computed_by_hand(name, rows):
    y, y_hat = [a for a, _ in rows], [f for _, f in rows]

    measured, expected = metrics.METRICS[name](y, y_hat), getattr(oracle, name)(y, y_hat)

    assert measured == pytest.approx(expected, nan_ok=True)


def test_mape_equals_nixtlas_where_demand_is_positive():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {"unique_id": "a", "y": rng.uniform(1, 9, 50), "model": rng.uniform(1, 9, 50)}
    )

    expected = reference.mape(frame, models=["model"])["model"].iloc[0]

    assert metrics.mape(frame["y"], frame["model"]) == pytest.approx(expected)


@given(pairs, st.sampled_from([0.5, 2.0, 64.0]))
@pytest.mark.parametrize("name", ["mape", "wape", "bias"])
def test_relative_metrics_do_not_depend_on_the_unit(name, rows, factor):
    y, y_hat = np.array([a for a, _ in rows]), np.array([f for _, f in rows])
    metric = metrics.METRICS[name]

    assert metric(factor * y, factor * y_hat) == pytest.approx(metric(y, y_hat), nan_ok=True)


@given(pairs, st.randoms())
@pytest.mark.parametrize("name", metrics.METRICS)
def test_the_order_of_rows_is_irrelevant(name, rows, random):
    shuffled = random.sample(rows, len(rows))
    metric = metrics.METRICS[name]

    before = metric([a for a, _ in rows], [f for _, f in rows])
    after = metric([a for a, _ in shuffled], [f for _, f in shuffled])

    assert after == pytest.approx(before, nan_ok=True)


@pytest.mark.parametrize("name", metrics.METRICS)
def test_a_missing_forecast_makes_a_metric_undefined_instead_of_better(name):
    assert math.isnan(metrics.METRICS[name]([0.0, 2.0, 0.0, 3.0], [1.0, math.nan, math.nan, 3.0]))


def test_a_missing_actual_makes_mape_undefined():
    assert math.isnan(metrics.mape([math.nan, 2.0], [1.0, 2.0]))


def test_coverage_counts_bounds_as_inside_and_refuses_missing_bounds():
    assert metrics.coverage([1, 2, 3, 4], [1, 0, 4, 4], [2, 1, 5, 4]) == 0.5
    assert math.isnan(metrics.coverage([1.0], [math.nan], [2.0]))
    assert math.isnan(metrics.coverage([], [], []))


def test_unequal_lengths_are_refused():
    with pytest.raises(ValueError, match="actuals"):
        metrics.mape([1.0, 2.0], [1.0])


def test_score_has_a_row_per_group_and_model_with_counts():
    frame = pd.DataFrame(
        {"segment": ["b", "a", "a"], "y": [0.0, 4.0, 0.0], "one": [1.0, 2.0, 3.0], "two": 0.0}
    )

    scores = metrics.score(frame, ["one", "two"], by=["segment"]).set_index(["segment", "model"])

    assert scores.index.tolist() == [("a", "one"), ("a", "two"), ("b", "one"), ("b", "two")]
    assert scores.loc[("a", "one"), ["mape", "rmse_0", "bias"]].tolist() == [0.5, 3.0, 0.25]
    assert scores.loc[("a", "two"), ["n_rows", "n_positive", "n_zero"]].tolist() == [2, 1, 1]
    assert math.isnan(scores.loc[("b", "one"), "mape"])


def test_score_without_groups_measures_all_rows():
    scores = metrics.score(pd.DataFrame({"y": [1.0, 3.0], "one": [2.0, 3.0]}), ["one"])

    assert scores[["model", "wape", "n_rows"]].to_numpy().tolist() == [["one", 0.25, 2]]
