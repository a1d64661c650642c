"""Compiled loops that keep less than what they are about: they equal what keeps everything."""

from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from forecast_platform.forecasting.features import (
    compiled_prices,
    panel,
)
from forecast_platform.forecasting.features.assemble import build_features
from forecast_platform.forecasting.features.compiled_learning import Series, Weeks
from forecast_platform_tests.builders import a_history, weeks_from
from forecast_platform_tests.oracles import features as oracle

N_WEEKS, N_SERIES, WINDOW = 90, 300, 26

Prices = Callable[[np.random.Generator], np.ndarray]


def learner(price: np.ndarray) -> tuple[Weeks, Series]:
    """Arrays of a learner that has seen nothing yet; what prices do not touch is left out."""
    zeros, n = np.zeros_like(price), price.shape[1]
    nothing = zeros[:0]
    weeks = dict.fromkeys(("x", "level", "adjusted", "surprise"), nothing)
    series = dict.fromkeys(Series._fields, nothing[0:0, 0])
    series |= {
        "middle": np.full((2, n), np.nan, np.float32),
        "ranks": np.zeros((5, n), np.int32),
        "regular": np.full(n, np.nan),
        "last_promo": np.full(n, -1),
    }
    plans = {"price": price, "discount": zeros, "feature": zeros + 0, "display": zeros + 0}
    return Weeks(**weeks, **plans), Series(**series)


@pytest.mark.parametrize(
    "prices",
    [
        pytest.param(lambda rng: rng.uniform(1, 9, (N_WEEKS, N_SERIES)), id="never-the-same"),
        pytest.param(lambda rng: rng.choice([3.0, 4, 5], (N_WEEKS, N_SERIES)), id="few"),
        pytest.param(
            lambda rng: 4 - (rng.random((N_WEEKS, N_SERIES)) < 0.2) * 1.0, id="now-and-then-cut"
        ),
        pytest.param(
            lambda rng: np.linspace(9, 1, N_WEEKS)[:, None] * np.ones(N_SERIES), id="falling"
        ),
    ],
)
@pytest.mark.parametrize("missing", [0.0, 0.3, 0.97])
@pytest.mark.parametrize("at_once", [1, N_WEEKS])
def test_the_regular_price_is_the_median_of_the_window(
    prices: Prices, missing: float, at_once: int
) -> None:
    rng = np.random.default_rng(0)
    price = prices(rng).astype(np.float32)
    price[rng.random(price.shape) < missing] = np.nan
    weeks, series = learner(price)
    regular = []

    for first in range(0, N_WEEKS, at_once):
        compiled_prices.compare_prices(first, first + at_once, weeks, series, WINDOW)
        regular.append(series.regular.copy())

    wanted = pd.DataFrame(price).rolling(WINDOW, min_periods=1).median().ffill().to_numpy()
    wanted = wanted[at_once - 1 :: at_once]
    np.testing.assert_allclose(np.stack(regular), wanted, rtol=1e-6)


@pytest.mark.parametrize(
    "units",
    [
        pytest.param([0, 1, 7, -3, np.nan, panel.LARGEST_LOOKED_UP], id="whole"),
        pytest.param([0, 1, np.nan, 2.5, -0.5], id="fractions"),
        pytest.param([0, panel.LARGEST_LOOKED_UP + 1, 10**7], id="more-than-looked-up"),
        pytest.param([np.inf, 1], id="infinite"),
    ],
)
def test_logarithms_that_are_looked_up_are_those_that_are_computed(units: list[float]) -> None:
    of_units = np.array([units], np.float32)

    found = panel._logs_of(of_units)

    np.testing.assert_array_equal(found, np.log1p(np.maximum(of_units, 0)))


def test_rivals_of_a_long_shelf_equal_the_oracle() -> None:
    weeks = weeks_from(n=4)
    history = a_history(n_stores=1, n_products=140, n_weeks=4)
    history = SimpleNamespace(**vars(history) | {"prices": history.prices.round({"price": 1})})
    table = build_features(history, [weeks[3]], 1)  # pyright: ignore[reportArgumentType]
    plans = oracle.plans_of(history)

    for row in table[table["product_id"].isin(["p00", "p77", "p99"])].itertuples():
        others = table.loc[table["category"] == row.category, "unique_id"].tolist()
        wanted = oracle.competition(plans, row.unique_id, others, weeks[3], 1)
        wanted |= oracle.relative_prices(plans, row.unique_id, others, weeks[3], 1)
        assert len(others) == 70
        assert {name: getattr(row, name) for name in wanted} == pytest.approx(wanted, abs=2e-5)
