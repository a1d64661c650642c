"""What the delivered world is like, and that it says the same thing in all of its files."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from forecast_platform.simulation import RetailerConfig, simulate
from forecast_platform.vocabulary import SHOPPER_COLUMNS
from forecast_platform_tests.unit.simulation.conftest import Delivered, deliver, is_fast

COLUMNS = {
    "shipments": ["store_id", "product_id", "week", "units_shipped"],
    "returns": ["store_id", "product_id", "week", "units_returned"],
    "weather": [
        "zip",
        "day",
        "kind",
        "issued_on",
        "temperature_c",
        "precipitation_mm",
        "snow_cm",
    ],
    "shoppers": ["store_id", "as_of_on", *SHOPPER_COLUMNS],
    "stores": ["store_id", "zip", "format", "opened_on", "closed_on"],
    "products": ["product_id", "category", "brand", "package_size", "launched_on", "delisted_on"],
    "events": ["event", "starts_on", "ends_on", "scope", "scope_id", "is_holiday"],
    "promotions": ["store_id", "product_id", "week", "price", "feature", "display"],
}
KEYS = {
    "shipments": ["store_id", "product_id", "week"],
    "returns": ["store_id", "product_id", "week"],
    "weather": ["zip", "day", "kind", "issued_on"],
    "shoppers": ["store_id", "as_of_on"],
    "stores": ["store_id"],
    "products": ["product_id"],
    "events": ["event", "starts_on", "scope", "scope_id"],
    "promotions": ["store_id", "product_id", "week"],
}


@pytest.mark.parametrize("source", COLUMNS)
def test_files_have_the_columns_and_the_key_of_the_contract(delivered: Delivered, source: str):
    rows = delivered.read(source)
    assert list(rows.columns[:-2]) == COLUMNS[source]
    assert not rows.duplicated([*KEYS[source], "region", "delivered_in"]).any()
    assert rows[KEYS[source]].notna().all(axis=None)


def test_units_are_about_the_week_they_are_delivered_in(delivered: Delivered):
    for source, column in (("shipments", "units_shipped"), ("returns", "units_returned")):
        rows = delivered.read(source)
        assert (rows["week"] == rows["delivered_in"]).all()
        assert (rows[column] > 0).all()


def test_net_demand_of_the_files_is_that_of_the_truth(delivered: Delivered):
    key = ["region", "store_id", "product_id", "week"]
    shipped = delivered.read("shipments").set_index(key)["units_shipped"]
    returned = delivered.read("returns").set_index(key)["units_returned"]
    net = shipped.sub(returned, fill_value=0).clip(lower=0)
    truth = delivered.truth.assign(week=delivered.truth["ds"].dt.strftime("%Y-%m-%d"))
    joined = truth.set_index(key)["y"].to_frame("y").join(net.rename("net")).fillna(0.0)
    assert (joined["y"] == joined["net"]).all()
    assert net.sum() == joined["y"].sum()


def test_the_true_expectation_is_the_mean_of_what_happens(delivered: Delivered):
    truth = delivered.truth
    assert truth["y"].sum() == pytest.approx(truth["expected"].sum(), rel=0.01)
    surprise = truth["y"] - truth["expected"]
    by_size = surprise.groupby(pd.qcut(truth["expected"], 8, duplicates="drop"), observed=True)
    standard_errors = by_size.mean() / by_size.sem()
    assert standard_errors.abs().max() < 4


def test_the_spread_is_that_of_the_stated_distribution(delivered: Delivered):
    sold = delivered.truth.query("p_selling > 0.9 and y > 0 and selling_mean > 20")
    variance = sold["selling_mean"] + sold["selling_mean"] ** 2 / sold["dispersion"]
    score = (sold["y"] - sold["selling_mean"]) / np.sqrt(variance)
    assert score.var() == pytest.approx(1.0, abs=0.06)


def test_closed_stores_and_delisted_products_ship_nothing(delivered: Delivered):
    shipped = delivered.read("shipments")
    for source, key, begin, end in (
        ("stores", ["region", "store_id"], "opened_on", "closed_on"),
        ("products", ["region", "product_id"], "launched_on", "delisted_on"),
    ):
        last = delivered.read(source).groupby(key)[[begin, end]].last()
        assert last[end].notna().any()
        assert (last[begin] > "2023-01-02").any()
        rows = shipped.join(last, on=key)
        assert (rows["week"] >= rows[begin]).all()
        assert (rows[end].isna() | (rows["week"] < rows[end])).all()


def test_an_ending_is_known_four_weeks_before(delivered: Delivered):
    stores = delivered.read("stores").dropna(subset="closed_on")
    told = stores.groupby(["region", "store_id"])[["delivered_in", "closed_on"]].first()
    ahead = pd.to_datetime(told["closed_on"]) - pd.to_datetime(told["delivered_in"])
    assert (ahead == pd.Timedelta(weeks=5)).all()


def test_small_stores_carry_less_and_sell_less(delivered: Delivered):
    formats = delivered.read("stores").drop_duplicates("store_id").set_index("store_id")["format"]
    truth = delivered.truth.join(formats, on="store_id")
    carried = truth.groupby(["format", "store_id"])["product_id"].nunique().groupby("format").mean()
    assert carried["small"] < 0.8 * carried["large"]
    per_row = truth.groupby("format")["y"].mean()
    assert per_row["small"] < 0.75 * per_row["large"]


def test_slow_movers_have_many_zeros_and_fast_movers_few(delivered: Delivered):
    zeros = delivered.truth["y"].eq(0).groupby(is_fast(delivered.truth)).mean()
    assert 0.1 < zeros[False] < 0.35
    assert zeros[True] < 0.03


def test_returns_are_a_few_percent_and_sometimes_exceed_shipments(delivered: Delivered):
    key = ["region", "store_id", "product_id", "week"]
    shipped = delivered.read("shipments").set_index(key)["units_shipped"]
    returned = delivered.read("returns").set_index(key)["units_returned"]
    assert 0.01 < returned.sum() / shipped.sum() < 0.08
    assert (returned > shipped.reindex(returned.index).fillna(0)).any()


def test_promotions_are_frequent_and_strong(delivered: Delivered):
    key = ["region", "store_id", "product_id", "week"]
    plan = delivered.read("promotions").drop_duplicates(key, keep="last")
    assert 0.2 < (plan["display"] > 0).mean() / 0.6 < 0.3  # of promotions, 60 % have a display
    usual = plan.groupby(key[:3])["price"].transform("median")
    truth = delivered.truth.assign(week=delivered.truth["ds"].dt.strftime("%Y-%m-%d"))
    cut = plan.assign(is_cut=plan["price"] < 0.88 * usual).set_index(key)["is_cut"]
    rows = truth.join(cut, on=key, how="inner")
    cut_level = rows[rows["is_cut"]].groupby(key[:3])["selling_mean"].median()
    usual_level = rows[~rows["is_cut"]].groupby(key[:3])["selling_mean"].median()
    lift = (cut_level / usual_level).dropna()
    assert 0.17 < rows["is_cut"].mean() < 0.3
    assert 1.5 < lift.median() < 3.0


def test_a_plan_is_delivered_a_horizon_ahead(delivered: Delivered):
    plan = delivered.read("promotions")
    ahead = pd.to_datetime(plan["week"]) - pd.to_datetime(plan["delivered_in"])
    later = plan["delivered_in"] > "2023-01-02"
    assert set(ahead[later] // pd.Timedelta(weeks=1)) == {4}
    assert set(ahead[~later] // pd.Timedelta(weeks=1)) == {0, 1, 2, 3, 4}
    assert 0 < plan["price"].isna().mean() < 0.01
    assert plan["price"].dropna().gt(0).all()
    assert plan[["feature", "display"]].isin([0, 0.5, 1]).all(axis=None)


def test_everything_shipped_was_in_the_plan(delivered: Delivered):
    key = ["region", "store_id", "product_id", "week"]
    plan = delivered.read("promotions").set_index(key).index
    assert delivered.read("shipments").set_index(key).index.isin(plan).all()


def test_weather_forecasts_are_issued_on_sunday_for_28_days(delivered: Delivered):
    weather = delivered.read("weather")
    observed, told = weather.query("kind == 'observed'"), weather.query("kind == 'forecast'")
    assert (observed["day"] == observed["issued_on"]).all()
    issued, day = pd.to_datetime(told["issued_on"]), pd.to_datetime(told["day"])
    assert (issued.dt.dayofweek == 6).all()
    assert (issued == pd.to_datetime(told["delivered_in"]) + pd.Timedelta(days=6)).all()
    assert set((day - issued).dt.days) == set(range(1, 29))


def test_forecast_errors_grow_with_the_lead(delivered: Delivered):
    weather = delivered.read("weather")
    observed, told = weather.query("kind == 'observed'"), weather.query("kind == 'forecast'")
    both = told.merge(observed, on=["region", "zip", "day"], suffixes=("", "_observed"))
    lead = (pd.to_datetime(both["day"]) - pd.to_datetime(both["issued_on"])).dt.days
    error = (both["temperature_c"] - both["temperature_c_observed"]).abs()
    by_week = error.groupby((lead - 1) // 7).mean()
    assert by_week[0] < 0.8 * by_week[3]
    assert by_week.is_monotonic_increasing
    assert error[lead == 1].mean() < 1.0


def test_snow_falls_only_when_it_freezes(delivered: Delivered):
    weather = delivered.read("weather").query("kind == 'observed'")
    assert weather.loc[weather["snow_cm"] > 0, "temperature_c"].max() <= 0.5
    assert weather.loc[weather["temperature_c"] < 0, "snow_cm"].max() > 1.0
    assert weather["precipitation_mm"].ge(0).all()


def test_summer_is_warm_and_july_sells_ice_cream(delivered: Delivered):
    products = delivered.read("products").drop_duplicates("product_id")
    ice = products.loc[products["category"] == "ice_cream", "product_id"]
    sold = delivered.truth[delivered.truth["product_id"].isin(ice)]
    month = sold.groupby(sold["ds"].dt.month)["expected"].mean()
    assert month[[6, 7, 8]].mean() > 1.8 * month[[12, 1, 2]].mean()
    weather = delivered.read("weather").query("kind == 'observed'")
    warm = weather.groupby(weather["day"].str[5:7])["temperature_c"].mean()
    assert warm["07"] > warm["01"] + 12


def test_events_are_told_before_they_happen(delivered: Delivered):
    events = delivered.read("events")
    ahead = pd.to_datetime(events["starts_on"]) - pd.to_datetime(events["delivered_in"])
    later = events["delivered_in"] > "2023-01-02"
    local = events["scope"] != "region"
    assert (ahead[later & local] >= pd.Timedelta(weeks=8)).all()
    assert (ahead[later & ~local] >= pd.Timedelta(weeks=20)).all()
    assert set(events["scope"]) == {"region", "zip", "store"}
    holidays = events[events["is_holiday"]]
    assert set(holidays["scope"]) == {"region"}
    years = holidays.groupby("event")["starts_on"].apply(lambda s: sorted(s.str[:4].unique()))
    assert all(found == ["2022", "2023", "2024", "2025"] for found in years)


def test_scopes_name_zips_and_stores_that_exist(delivered: Delivered):
    events, stores = delivered.read("events"), delivered.read("stores")
    assert set(events.query("scope == 'zip'")["scope_id"]) <= set(stores["zip"])
    assert set(events.query("scope == 'store'")["scope_id"]) <= set(stores["store_id"])
    assert set(stores["zip"]) == set(delivered.read("weather")["zip"])


def test_shoppers_are_told_yearly_and_shares_are_fractions(delivered: Delivered):
    shoppers = delivered.read("shoppers")
    assert (shoppers["as_of_on"] == shoppers["delivered_in"]).all()
    shares = shoppers.filter(like="share_")
    assert shares.min().min() > 0
    assert shares.max().max() < 1
    assert 0 < shoppers[list(SHOPPER_COLUMNS)].isna().mean(axis=None) < 0.1
    assert {"2023-01-02", "2024-01-01"} <= set(shoppers["as_of_on"])


def test_the_smallest_world_has_every_segment(tmp_path: Path):
    config = RetailerConfig(regions=("north_texas",), stores_per_region=4, products=5, n_weeks=20)
    world = deliver(config, tmp_path)
    formats = world.read("stores").drop_duplicates("store_id").set_index("store_id")["format"]
    rows = world.truth.join(formats, on="store_id")
    found = set(zip(rows["format"], is_fast(rows), strict=True))
    assert found == {("large", False), ("large", True), ("small", False), ("small", True)}


def test_one_store_and_one_product_are_enough(tmp_path: Path):
    config = RetailerConfig(regions=("lone_star",), stores_per_region=1, products=1, n_weeks=2)
    assert simulate(config, tmp_path).rows["shipments"] == 2


def test_without_promotions_nothing_is_featured(tmp_path: Path):
    config = RetailerConfig(
        regions=("north_texas",), stores_per_region=4, products=5, n_weeks=4, promotion_share=0
    )
    world = deliver(replace(config, seed=3), tmp_path)
    assert world.read("promotions")[["feature", "display"]].eq(0).all(axis=None)
