import numpy as np
import pandas as pd
import pytest

from forecast_platform.forecasting.models.base import NotFitted
from forecast_platform.forecasting.models.baseline import HistoricalAverage

DEMAND = pd.DataFrame(
    {
        "unique_id": ["s1/a", "s1/a", "s2/a", "s1/b"],
        "product_id": ["a", "a", "a", "b"],
        "ds": pd.to_datetime(["2024-01-01", "2024-01-08", "2024-01-08", "2024-01-08"]),
        "y": [2.0, 4.0, 9.0, 1.0],
    }
)


@pytest.mark.parametrize(
    ("unique_id", "product_id", "expected"),
    [
        pytest.param("s1/a", "a", 3.0, id="its-own-mean"),
        pytest.param("s9/a", "a", 5.0, id="mean-of-its-product"),
        pytest.param("s9/z", "z", 4.0, id="mean-of-all"),
    ],
)
def test_a_series_falls_back_to_its_product_and_then_to_all(unique_id, product_id, expected):
    model = HistoricalAverage().fit(DEMAND, DEMAND["y"])

    rows = pd.DataFrame({"unique_id": [unique_id], "product_id": [product_id]})

    assert model.predict(rows).tolist() == [expected]


def test_a_window_keeps_the_most_recent_weeks_in_whatever_order_rows_come():
    shuffled = DEMAND.iloc[::-1]

    model = HistoricalAverage(window=1).fit(shuffled, shuffled["y"])

    assert model.predict(DEMAND.head(1)).tolist() == [4.0]


def test_the_forecast_scales_with_demand():
    one = HistoricalAverage().fit(DEMAND, DEMAND["y"]).predict(DEMAND)
    ten = HistoricalAverage().fit(DEMAND, 10 * DEMAND["y"]).predict(DEMAND)

    assert ten == pytest.approx(10 * one)


def test_category_and_text_keys_forecast_the_same():
    model = HistoricalAverage().fit(DEMAND, DEMAND["y"])
    keys = ["unique_id", "product_id"]

    categorical = DEMAND.astype(dict.fromkeys(keys, "category"))

    assert model.predict(categorical).tolist() == model.predict(DEMAND).tolist()


@pytest.mark.parametrize("y", [[1.0], [1.0, 2.0, -1.0, 0.0], [1.0, 2.0, float("nan"), 0.0]])
def test_demand_that_cannot_be_is_refused(y):
    with pytest.raises(ValueError, match="y "):
        HistoricalAverage().fit(DEMAND, y)


def test_no_rows_and_no_fit_are_refused():
    with pytest.raises(ValueError, match="no rows"):
        HistoricalAverage().fit(DEMAND.head(0), [])
    with pytest.raises(NotFitted):
        HistoricalAverage().predict(DEMAND)
    with pytest.raises(ValueError, match="window"):
        HistoricalAverage(window=0).fit(DEMAND, DEMAND["y"])


def test_a_long_series_has_its_own_quantiles_and_a_short_one_those_of_all_around_its_mean():
    rng = np.random.default_rng(0)
    long = pd.DataFrame({"unique_id": "s1/a", "product_id": "a"}, index=range(2000))
    short = pd.DataFrame({"unique_id": ["s2/a"], "product_id": ["a"]})
    rows, y = pd.concat([long, short]), np.append(rng.gamma(4.0, 25.0, 2000), 400.0)

    made = HistoricalAverage().fit(rows, y).predict_quantiles(pd.concat([long.head(1), short]))

    assert made[0] == pytest.approx(np.quantile(y[:-1], [0.1, 0.5, 0.9]), rel=0.02)
    assert made[1, 0] < 300.0
    assert made[1, 2] > 450.0


def test_quantiles_never_cross_and_hold_the_mean():
    rng = np.random.default_rng(1)
    rows = pd.DataFrame({"unique_id": rng.integers(0, 40, 300).astype(str)})
    rows["product_id"] = rows["unique_id"].str[-1]
    y = rng.poisson(0.3, 300) * rng.integers(1, 50, 300)
    asked = pd.concat([rows, pd.DataFrame({"unique_id": ["n"], "product_id": ["z"]})])
    model = HistoricalAverage().fit(rows, y)

    made, mean = model.predict_quantiles(asked, (0.05, 0.1, 0.5, 0.9)), model.predict(asked)

    assert np.isfinite(made).all()
    assert (made >= 0).all()
    assert (np.diff(made, axis=1) >= 0).all()
    assert ((made[:, 0] <= mean) & (mean <= made[:, -1])).all()


def test_a_baseline_written_before_there_were_quantiles_still_forecasts():
    model = HistoricalAverage().fit(DEMAND, DEMAND["y"])
    values, arrays = model.to_state()
    old = {name: array for name, array in arrays.items() if not name.startswith("quantiles/")}
    del values["levels"]

    read = HistoricalAverage.from_state(values, old, "")

    assert (read.predict(DEMAND) == model.predict(DEMAND)).all()
    assert np.isnan(read.predict_quantiles(DEMAND)).all()
