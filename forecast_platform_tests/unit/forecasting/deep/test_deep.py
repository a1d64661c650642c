"""Laws of the deep horizon: sums add up, nothing later is read, a season is found."""

import numpy as np
import pandas as pd
import pytest

from forecast_platform.forecasting.deep.aggregates import aggregate, cluster_stores
from forecast_platform.forecasting.deep.horizon import DEEP_NUMERIC, deep_rows
from forecast_platform.forecasting.deep.models import (
    SEASONAL_NAIVE,
    DeepConfig,
    SeasonalNaive,
    backtest_deep,
    forecast_deep,
    score_deep,
)
from forecast_platform.vocabulary import SHOPPER_COLUMNS

N_WEEKS = 120
CONFIG = DeepConfig(epochs=1, cutoff_step=6, n_clusters=2)
MEMBERS = tuple(CONFIG.families)


@pytest.fixture(scope="module")
def stores() -> pd.DataFrame:
    """Two stores of rich and large, two of poor and small."""
    table = pd.DataFrame(
        {
            "store_id": ["s0", "s1", "s2", "s3"],
            "format": ["large", "large", "small", "small"],
            **dict.fromkeys(SHOPPER_COLUMNS, np.nan),
        }
    )
    return table.assign(median_income=[5.0, 5.1, 1.0, 1.1])


@pytest.fixture(scope="module")
def products() -> pd.DataFrame:
    return pd.DataFrame({"product_id": ["p0", "p1"], "category": ["bread", "cake"]})


@pytest.fixture(scope="module")
def demand() -> pd.DataFrame:
    """A level per store, growth of a fifth a year, and a strong season."""
    weeks = pd.date_range("2022-01-03", periods=N_WEEKS, freq="W-MON").as_unit("us")
    series = pd.DataFrame({"store_id": ["s0", "s1", "s2", "s3"], "level": [90.0, 80.0, 20.0, 15.0]})
    rows = series.merge(pd.DataFrame({"product_id": ["p0", "p1"]}), how="cross")
    rows = rows.merge(pd.DataFrame({"ds": weeks, "t": np.arange(N_WEEKS)}), how="cross")
    season = np.exp(0.6 * np.sin(2 * np.pi * rows["ds"].dt.dayofyear / 365.25))
    mean = rows["level"] * season * 1.2 ** (rows["t"] / 52)
    return rows.assign(y=np.random.default_rng(0).poisson(mean).astype(float))


@pytest.fixture(scope="module")
def sums(demand, stores, products) -> pd.DataFrame:
    clusters = cluster_stores(stores, demand, n_clusters=2, seed=0)
    return aggregate(demand, products, clusters)


@pytest.fixture(scope="module")
def held_out(sums) -> pd.DataFrame:
    return backtest_deep(sums, CONFIG)


def test_stores_that_are_alike_share_a_cluster_and_the_largest_is_first(stores, demand):
    clusters = cluster_stores(stores, demand, n_clusters=2, seed=0)
    shuffled = cluster_stores(
        stores.sample(frac=1, random_state=1),
        demand.sample(frac=1, random_state=1),
        n_clusters=2,
        seed=0,
    )

    assert clusters.to_dict() == {
        "s0": "cluster_1",
        "s1": "cluster_1",
        "s2": "cluster_2",
        "s3": "cluster_2",
    }
    pd.testing.assert_series_equal(clusters, shuffled)


def test_a_region_of_one_store_is_one_cluster(stores, demand):
    one = stores.head(1)

    clusters = cluster_stores(one, demand[demand["store_id"] == "s0"], n_clusters=3, seed=0)

    assert clusters.to_dict() == {"s0": "cluster_1"}


def test_sums_add_up_to_the_region(sums, demand):
    total = demand.groupby("ds")["y"].sum()
    of = {name: rows.set_index("ds")["y"] for name, rows in sums.groupby("unique_id")}

    pd.testing.assert_series_equal(of["region/all"], total, check_freq=False)
    clusters = of["cluster_1/all"] + of["cluster_2/all"]
    categories = of["region/bread"] + of["region/cake"]
    pd.testing.assert_series_equal(clusters, total, check_freq=False)
    pd.testing.assert_series_equal(categories, total, check_freq=False)


@pytest.mark.parametrize("back", [0, 10, 60])
def test_no_feature_knows_later_weeks(sums, back):
    cutoff = sums["ds"].max() - pd.Timedelta(weeks=back)
    later = sums["ds"] > cutoff
    rewritten = sums.assign(y=sums["y"].mask(later, 1e6))
    columns = ["unique_id", "ds", "h", "week_of_year", *DEEP_NUMERIC]

    before, after = deep_rows(sums, [cutoff]), deep_rows(rewritten, [cutoff])

    pd.testing.assert_frame_equal(before[columns], after[columns])
    assert np.isfinite(before[list(DEEP_NUMERIC)]).all().all()
    assert set(before["h"]) == set(range(1, 53))


def test_rows_know_what_the_week_of_last_year_had_over_its_level(sums):
    rows = deep_rows(sums, [sums["ds"].max()])
    own = rows[rows["unique_id"] == "region/all"].set_index("h")
    logs = np.log1p(sums[sums["unique_id"] == "region/all"].sort_values("ds")["y"].to_numpy())

    last = len(logs) - 1
    expected = logs[last + 20 - 53 : last + 20 - 50].mean() - logs[-52:].mean()
    assert own.loc[20, "year_ago"] == pytest.approx(expected, rel=1e-5)


def test_the_naive_forecast_is_the_same_week_of_last_year(sums):
    rows = deep_rows(sums, [sums["ds"].max()])
    known = sums.set_index(["unique_id", "ds"])["y"]

    forecast = SeasonalNaive().fit(sums, sums["y"]).predict(rows)

    one = rows.iloc[7]
    then = known[one["unique_id"], one["ds"] - pd.Timedelta(weeks=52)]
    assert forecast[7] == then


def test_the_backtest_knows_no_week_that_it_forecasts(sums, held_out):
    """With other demand after the first cutoff, the first fold's forecasts stay."""
    first = held_out["cutoff"].min()
    rewritten = sums.assign(y=sums["y"].where(sums["ds"] <= first, sums["y"] * 3))

    again = backtest_deep(rewritten, CONFIG)

    columns = ["unique_id", "ds", "h", "ensemble", *MEMBERS, SEASONAL_NAIVE]
    of_first = held_out.loc[held_out["cutoff"] == first, columns].reset_index(drop=True)
    of_again = again.loc[again["cutoff"] == first, columns].reset_index(drop=True)
    pd.testing.assert_frame_equal(of_first, of_again)
    assert held_out["y"].notna().all()


def test_the_ensemble_beats_the_simple_methods_where_there_is_season_and_growth(held_out):
    scores = score_deep(held_out, MEMBERS).set_index(["scope", "band", "model"])["wape"]

    for scope in ("region", "cluster"):
        for band in ("1-12", "13-26"):
            of = scores.loc[scope, band]
            assert of["ensemble"] < of["historical_average"]
            assert of["ensemble"] < of[SEASONAL_NAIVE]


def test_a_year_is_forecast_in_a_range_that_never_crosses(sums, held_out):
    made = forecast_deep(sums, held_out, CONFIG)

    assert set(made["h"]) == set(range(1, 53))
    assert (made["ds"] > sums["ds"].max()).all()
    assert (made["low"] <= made["ensemble"]).all()
    assert (made["ensemble"] <= made["high"]).all()
    assert (made["low"] >= 0).all()


def test_a_short_history_has_no_backtest(sums):
    assert backtest_deep(sums[sums["ds"] < sums["ds"].min() + pd.Timedelta(weeks=70)], CONFIG).empty
