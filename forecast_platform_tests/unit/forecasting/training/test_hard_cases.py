"""Series that break forecasters, in the region that `benchmarks.accuracy.hard_cases` plants."""

import numpy as np
import pandas as pd
import pytest

from benchmarks.accuracy.hard_cases import CASES, Tried, table, tried
from forecast_platform.forecasting.evaluation.metrics import wape


@pytest.fixture(scope="module")
def done() -> Tried:
    return tried()


def of(done: Tried, case: str) -> pd.DataFrame:
    rows = done.rows[(done.rows["case"] == case) & done.rows["y"].notna()]
    assert len(rows)
    return rows


def beats_the_average(rows: pd.DataFrame) -> bool:
    return wape(rows["y"], rows["ensemble"]) < wape(rows["y"], rows["historical_average"])


def test_every_forecast_is_a_number_within_its_range(done: Tried):
    numbers = done.rows[["ensemble", "low", "high"]]

    assert np.isfinite(numbers).all(axis=None)
    assert (numbers >= 0).all(axis=None)
    assert done.rows["ensemble"].between(done.rows["low"], done.rows["high"]).all()


def test_an_intermittent_series_is_forecast_low_with_a_range_up_to_a_sale(done: Tried):
    rows = of(done, "intermittent")

    assert beats_the_average(rows)
    assert rows["low"].max() < 0.5
    assert rows["high"].max() > 1.0


def test_a_new_product_is_forecast_like_its_category(done: Tried):
    assert beats_the_average(of(done, "new product"))
    assert wape(*of(done, "new product")[["y", "ensemble"]].to_numpy().T) < 0.4


def test_a_new_store_is_forecast_from_its_products_and_shoppers(done: Tried):
    assert beats_the_average(of(done, "new store"))
    assert wape(*of(done, "new store")[["y", "ensemble"]].to_numpy().T) < 0.4


def test_closed_stores_and_delisted_products_get_no_forecast(done: Tried):
    assert done.gone
    assert done.gone.isdisjoint(done.rows["unique_id"].astype("str"))


def test_a_level_shift_is_forecast_between_the_old_level_and_the_new(done: Tried):
    """Followed slowly: no other series of the region has ever shifted; see docs/accuracy.md."""
    rows = of(done, "level shift")
    old = rows["unique_id"].astype("str").map(done.usual)

    assert (rows["ensemble"] > 0.6 * old).all()
    assert rows["ensemble"].mean() < 1.3 * rows["y"].mean()


def test_a_gap_of_missing_weeks_is_no_demand_of_zero(done: Tried):
    rows = of(done, "gap")
    usual = rows["unique_id"].astype("str").map(done.usual)

    assert (rows["ensemble"] > 0.5 * usual).all()
    assert wape(rows["y"], rows["ensemble"]) < 0.45


def test_one_huge_outlier_does_not_lift_the_forecast(done: Tried):
    rows = of(done, "outlier")
    usual = rows["unique_id"].astype("str").map(done.usual)

    assert beats_the_average(rows)
    assert (rows["ensemble"] < 2.5 * usual).all()


def test_a_series_that_never_sold_is_forecast_at_nothing(done: Tried):
    rows = of(done, "constant zero")

    assert rows["ensemble"].max() < 0.5
    assert rows["high"].max() <= 1.0


def test_a_segment_of_three_series_has_an_ensemble_and_a_range(done: Tried):
    rows = of(done, "segment of three series")

    assert {done.models.sizes[name][1] for name in ("small_fast", "small_slow")} <= {3, 4}
    assert beats_the_average(rows)
    assert rows["high"].gt(rows["low"]).all()


def test_the_report_has_a_line_for_every_case(done: Tried):
    assert list(table(done.rows)["case"]) == list(CASES)
    assert (table(done.rows)["rows"] > 0).all()
