"""Fast and slow products, as known at a cutoff."""

import pandas as pd
import pytest

from forecast_platform.forecasting.features.velocity import classify_velocity
from forecast_platform_tests.builders import a_history, weeks_from

WEEKS = weeks_from(n=40)


@pytest.mark.parametrize("n_products", [2, 3, 5])
def test_both_velocities_exist_in_each_format(n_products: int) -> None:
    history = a_history(n_products=n_products)

    told = classify_velocity(history.demand, history.stores, WEEKS[11])

    assert (told.groupby("format")["velocity"].nunique() == 2).all()
    assert len(told) == 2 * n_products


def test_ties_are_split_by_name_whatever_the_order_of_rows() -> None:
    history = a_history(n_products=4)
    demand = history.demand.assign(y=5.0).sample(frac=1, random_state=3)

    told = classify_velocity(demand, history.stores, WEEKS[11])

    fast = told[(told["format"] == "large") & (told["velocity"] == "fast")]
    assert fast["product_id"].tolist() == ["p02", "p03"]


def test_later_weeks_and_old_weeks_do_not_count() -> None:
    history = a_history(n_weeks=40)
    recent = history.demand["ds"].between(WEEKS[13], WEEKS[25])
    changed = history.demand.assign(y=history.demand["y"].where(recent, 1e6))

    told = [classify_velocity(d, history.stores, WEEKS[25]) for d in (history.demand, changed)]

    pd.testing.assert_frame_equal(told[0], told[1])


def test_a_product_without_recent_rows_is_slow() -> None:
    history = a_history(n_weeks=40, n_products=2)
    gone = (history.demand["product_id"] == "p00") & (history.demand["ds"] > WEEKS[10])

    told = classify_velocity(history.demand[~gone], history.stores, WEEKS[39])

    assert set(told.loc[told["product_id"] == "p00", "velocity"]) == {"slow"}
