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
