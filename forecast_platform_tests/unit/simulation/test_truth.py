"""The floor: what a forecaster who knows everything but chance is off."""

import numpy as np
import pandas as pd
import pytest

from forecast_platform.simulation import oracle_forecast
from forecast_platform_tests.unit.simulation.conftest import Delivered, is_fast


@pytest.fixture(scope="module")
def judged(delivered: Delivered) -> pd.DataFrame:
    """Last half year, with the oracle and the plain mean of all weeks before the last cutoff."""
    truth = delivered.truth.sort_values("ds")
    by_series = truth.groupby(["region", "store_id", "product_id"])["y"]
    truth["historical"] = by_series.transform(lambda y: y.expanding().mean().shift(2))
    truth = truth.assign(is_fast=is_fast(truth), oracle=oracle_forecast(truth))
    recent = truth["ds"] > truth["ds"].max() - pd.Timedelta(weeks=26)
    return truth[recent & truth["historical"].notna()]


def _mape(rows: pd.DataFrame, forecast: str) -> float:
    sold = rows[rows["y"] > 0]
    return float((abs(sold[forecast] - sold["y"]) / sold["y"]).mean())


def test_the_oracle_beats_the_historical_mean_by_the_planted_margin(judged: pd.DataFrame):
    fast, slow = judged[judged["is_fast"]], judged[~judged["is_fast"]]
    assert 0.14 < _mape(fast, "oracle") < 0.24
    assert _mape(fast, "oracle") < 0.45 * _mape(fast, "historical")
    assert _mape(slow, "oracle") < 0.33
    assert _mape(slow, "oracle") < 0.65 * _mape(slow, "historical")


def test_each_oracle_is_the_best_for_its_own_loss(delivered: Delivered):
    truth = delivered.truth
    y, sold = truth["y"].to_numpy(), truth["y"].to_numpy() > 0
    forecasts = {loss: oracle_forecast(truth, loss) for loss in ("mean", "median", "mape")}
    losses = {
        "mean": {k: np.mean((f - y) ** 2) for k, f in forecasts.items()},
        "median": {k: np.mean(abs(f - y)) for k, f in forecasts.items()},
        "mape": {k: np.mean(abs(f - y)[sold] / y[sold]) for k, f in forecasts.items()},
    }
    assert {loss: min(errors, key=lambda k: errors[k]) for loss, errors in losses.items()} == {
        loss: loss for loss in forecasts
    }


@pytest.mark.parametrize("factor", [0.9, 0.95, 1.05, 1.1])
def test_no_scaling_improves_the_oracle(delivered: Delivered, factor: float):
    sold = delivered.truth[delivered.truth["y"] > 0]
    oracle = oracle_forecast(sold)
    error = (abs(oracle - sold["y"]) / sold["y"]).mean()
    assert error < (abs(factor * oracle - sold["y"]) / sold["y"]).mean()


def test_the_oracle_agrees_with_a_slow_simulation():
    rng = np.random.default_rng(0)
    mean, shape = 12.0, 28.0
    y = rng.poisson(mean * rng.gamma(shape, 1 / shape, 200_000))
    y = y[y > 0]
    best = min(range(5, 20), key=lambda f: np.mean(abs(f - y) / y))
    truth = pd.DataFrame(
        {"expected": [mean], "selling_mean": [mean], "p_selling": [1.0], "dispersion": [shape]}
    )
    assert abs(oracle_forecast(truth)[0] - best) <= 1
