"""The feature table: what it knows, what it must not know, and what it does with poor data."""

from collections.abc import Sequence
from dataclasses import fields, replace

import numpy as np
import pandas as pd
import pandas.testing as pdt
import pytest

from forecast_platform.forecasting.features.assemble import build_features
from forecast_platform.forecasting.features.history import History
from forecast_platform.forecasting.features.velocity import classify_velocity
from forecast_platform.schemas.features import DemandFeatures
from forecast_platform.vocabulary import CATEGORICAL_FEATURES, NUMERIC_FEATURES
from forecast_platform_tests.builders import a_history, weeks_from
from forecast_platform_tests.oracles import features as oracle

WEEKS = weeks_from(n=120)
KEY = ["week", "unique_id", "h"]
LAST = WEEKS[11]


def numbers(table: pd.DataFrame) -> pd.DataFrame:
    return table[list(NUMERIC_FEATURES)]


def mapped(history: History, change) -> History:
    return History(**{f.name: change(f.name, getattr(history, f.name)) for f in fields(history)})


def only(table: pd.DataFrame, unique_id: str, h: int = 1) -> pd.Series:
    return table[(table["unique_id"] == unique_id) & (table["h"] == h)].iloc[-1]


def test_the_table_satisfies_its_contract() -> None:
    table = build_features(a_history(), [LAST, WEEKS[5]], 4)

    DemandFeatures.validate(table)
    assert len(table) == 2 * 4 * 12
    assert set(CATEGORICAL_FEATURES) <= set(table.columns)
    assert table[KEY].equals(table.sort_values(["week", "h", "unique_id"])[KEY])


def rewritten(name: str, frame: pd.DataFrame, after: pd.Timestamp, seed: int) -> pd.DataFrame:
    """Change everything that rows of later weeks say, and drop some of them."""
    rng = np.random.default_rng(seed)
    frame = frame.copy()
    later = (frame["week"] > after).to_numpy()
    for column in frame.columns.difference(["region", "week", "ds", "h"]):
        if pd.api.types.is_bool_dtype(frame[column]):
            frame.loc[later, column] = ~frame.loc[later, column]
        elif pd.api.types.is_numeric_dtype(frame[column]):
            frame.loc[later, column] = (rng.gamma(1, 30, later.sum())).astype(frame[column].dtype)
        elif column in ("closed_on", "delisted_on"):
            frame.loc[later, column] = after
        elif column in ("category", "brand", "event", "format", "zip"):
            values = {"format": "small", "event": "aaa"}
            frame.loc[later, column] = values.get(column, "another")
    return frame[~later | (rng.random(len(frame)) < 0.8)]


@pytest.mark.parametrize("seed", range(4))
def test_later_weeks_never_change_earlier_features(seed: int) -> None:
    history = a_history(n_weeks=70, seed=seed)
    early = [WEEKS[3], WEEKS[40 + seed], WEEKS[60]]
    late = [WEEKS[66], WEEKS[69]]
    newcomer = history.demand[history.demand["week"] > early[-1]].assign(
        unique_id="s000/new", store_id="s000", product_id="new"
    )
    after = mapped(history, lambda name, frame: rewritten(name, frame, early[-1], seed))
    after = replace(after, demand=pd.concat([after.demand, newcomer]))

    before = build_features(history, early, 4)
    again = build_features(after, [*early, *late], 4)

    again = again[again["week"] <= early[-1]].reset_index(drop=True)
    for column in before.columns:
        pdt.assert_series_equal(before[column], again[column], rtol=1e-6, atol=1e-6)


def test_the_order_of_rows_changes_nothing() -> None:
    history = a_history(n_weeks=60)
    shuffled = mapped(history, lambda _, frame: frame.sample(frac=1, random_state=1))

    one, other = (build_features(h, [WEEKS[58], WEEKS[59]], 4) for h in (history, shuffled))

    pdt.assert_frame_equal(one, other, rtol=1e-6, atol=1e-6)


def test_a_range_of_cutoffs_equals_one_by_one() -> None:
    history = a_history(n_weeks=64)
    cutoffs = [WEEKS[2], WEEKS[30], WEEKS[62], WEEKS[63]]

    together = build_features(history, cutoffs, 4)
    parts = [
        build_features(mapped(history, lambda _, f, c=c: f[f["week"] <= c]), [c], 4)
        for c in cutoffs
    ]

    pdt.assert_frame_equal(together, pd.concat(parts, ignore_index=True), rtol=1e-6, atol=1e-6)


def with_gaps(history: History) -> History:
    rng = np.random.default_rng(1)
    demand = history.demand[rng.random(len(history.demand)) < 0.9]
    demand = demand[demand["ds"] != WEEKS[20]]
    prices = history.prices[rng.random(len(history.prices)) < 0.9].copy()
    prices.loc[rng.random(len(prices)) < 0.05, "price"] = np.nan
    demand = demand.assign(y=demand["y"].where(rng.random(len(demand)) < 0.7, 0.0))
    return replace(history, demand=demand, prices=prices)


@pytest.mark.parametrize("cutoff", [WEEKS[6], WEEKS[20], WEEKS[31]])
def test_features_of_demand_and_plans_equal_the_oracle(cutoff: pd.Timestamp) -> None:
    history = with_gaps(a_history(n_stores=2, n_products=4, n_weeks=32))
    table = build_features(history, [cutoff], 4)
    plans = oracle.plans_of(history)
    rivals = {"c0": ("p00", "p02"), "c1": ("p01", "p03")}

    for row in table[table["h"].isin([1, 4])].itertuples():
        wanted = oracle.levels(oracle.demand_of(history, row.unique_id, cutoff), cutoff)
        wanted |= oracle.plan(plans, row.unique_id, cutoff, row.h)
        others = [f"{row.store_id}/{product}" for product in rivals[row.category]]
        wanted |= oracle.competition(plans, row.unique_id, others, cutoff, row.h)
        wanted |= oracle.relative_prices(plans, row.unique_id, others, cutoff, row.h)
        assert {name: getattr(row, name) for name in wanted} == pytest.approx(wanted, abs=2e-5)


def test_learnt_levels_and_lifts_equal_the_oracle() -> None:
    history, cutoff = with_gaps(a_history(n_stores=2, n_weeks=60)), WEEKS[58]
    table = build_features(history, [cutoff], 2)
    plans, learnt = oracle.plans_of(history), oracle.learn(history, cutoff)

    for row in table.itertuples():
        ds = cutoff + pd.Timedelta(weeks=row.h)
        state = np.array(oracle.state_at(plans, row.unique_id, cutoff, ds)) / oracle.UNITS
        own = float(learnt.own[row.unique_id] @ state)
        clean = learnt.now(row.unique_id) - row.base_level
        wanted = {
            "lift_own": own,
            "lift_product": float(learnt.product[row.product_id] @ state),
            "clean_level": clean,
            "expected_promo": clean + own,
            "year_ago": oracle.growth_of_last_year(learnt, row.unique_id, row.h),
        }
        wanted |= oracle.promotion_history(learnt, plans, row.unique_id)
        wanted |= oracle.similar_weeks(learnt, plans, row.unique_id, row.h)
        wanted |= oracle.like_prices(learnt, history, plans, row.unique_id, row.h)
        members = table.loc[table["product_id"] == row.product_id, "unique_id"].unique()
        wanted |= oracle.chain(learnt, plans, members, row.h)
        assert {name: getattr(row, name) for name in wanted} == pytest.approx(wanted, abs=1e-4)


def test_strength_of_related_series_equals_the_oracle() -> None:
    history, cutoff = with_gaps(a_history(n_stores=5, n_weeks=20)), WEEKS[18]
    table = build_features(history, [cutoff], 1)
    learnt = oracle.learn(history, cutoff)
    names = table["unique_id"].to_numpy()

    for row in table.itertuples():
        same = {
            "product": names[table["product_id"] == row.product_id],
            "store": names[table["store_id"] == row.store_id],
            "region": names,
        }
        wanted = {
            f"{of}_trend_{weeks}": oracle.trend(learnt, members, weeks)
            for of, members in same.items()
            for weeks in (4, 13)
        }
        alike = table.loc[table["format"] == row.format, "unique_id"]
        peers = [learnt.now(n) for n in alike if n in same["product"] and n != row.unique_id]
        wanted["product_level"] = float(np.mean(peers)) - row.base_level
        assert {name: getattr(row, name) for name in wanted} == pytest.approx(wanted, abs=1e-4)


def test_shoppers_are_standardised_over_the_stores_of_the_snapshot() -> None:
    history = a_history(n_stores=5)
    snapshot = history.stores[history.stores["week"] == LAST].set_index("store_id")
    table = build_features(history, [LAST], 1).drop_duplicates("store_id").set_index("store_id")

    share, income = snapshot["share_college"], np.log1p(snapshot["median_income"])

    for name, values in {"share_college": share, "median_income": income}.items():
        wanted = (values - values.mean()) / values.std(ddof=0)
        np.testing.assert_allclose(table[name], wanted[table.index], rtol=1e-4)


def test_velocity_equals_the_oracle_and_the_public_function() -> None:
    history = a_history(n_stores=6, n_products=5, n_weeks=30)
    table = build_features(history, [WEEKS[20]], 1)
    wanted = oracle.velocities(history, WEEKS[20])
    told = classify_velocity(history.demand, history.stores, WEEKS[20])

    found = {(r.format, r.product_id): r.velocity for r in table.itertuples()}
    assert found == wanted
    assert {(r.format, r.product_id): r.velocity for r in told.itertuples()} == wanted
    assert (table["segment"] == table["format"] + "_" + table["velocity"]).all()


def test_a_planted_promotion_is_expected_to_lift() -> None:
    history = a_history(n_stores=6, n_products=4, n_weeks=80, mean=60.0)
    table = build_features(history, list(WEEKS[60:76]), 4)
    labels = history.demand[["unique_id", "ds", "y"]]
    rows = table.merge(labels, on=["unique_id", "ds"])
    truth = np.log1p(rows["y"]) - rows["base_level"]
    promoted = rows["discount"] > 0.15

    assert rows.loc[promoted, "lift_own"].mean() > 0.4
    assert rows.loc[~promoted & (rows["discount"] == 0), "lift_own"].abs().max() < 0.05
    for name in ("expected_promo", "kernel_narrow", "kernel_product", "like_price_narrow"):
        assert np.corrcoef(rows[name], truth)[0, 1] > 0.75, name


def test_a_planted_event_is_expected_to_lift() -> None:
    history = a_history(n_weeks=104, mean=60.0)
    thanksgiving = history.demand["ds"].dt.isocalendar().week == 47
    demand = history.demand.assign(
        y=history.demand["y"].where(~thanksgiving, 3 * history.demand["y"])
    )

    table = build_features(replace(history, demand=demand), [WEEKS[97]], 4)

    assert set(table.loc[table["event"] == "thanksgiving", "h"]) == {1}
    row = only(table, "s000/p00")
    assert row["event_lift_region"] > 0.15
    assert row["event_lift_product"] > 0.15
    assert (table.loc[table["event"] == "none", "event_lift_product"] == 0).all()
    assert only(table, "s000/p00", 2)["event_previous"] == "thanksgiving"


def test_the_growth_of_last_year_is_seen() -> None:
    history = a_history(n_weeks=110, mean=60.0)
    at = history.demand["ds"]
    summer = (at >= WEEKS[54]) & (at < WEEKS[60])
    demand = history.demand.assign(y=history.demand["y"].where(~summer, 4 * history.demand["y"]))

    table = build_features(replace(history, demand=demand), [WEEKS[104]], 4)

    assert (table.loc[table["h"] == 4, "year_ago_product"] > 0.8).all()
    assert (table["year_ago_missing"] == 0).all()
    assert len(table[["h", "year_ago_region"]].drop_duplicates()) == 4


def test_a_series_of_one_week_has_finite_features_and_its_products_strength() -> None:
    history = a_history(n_weeks=12, mean=50.0)
    one = (history.demand["unique_id"] == "s000/p00") & (history.demand["ds"] < LAST)
    demand = history.demand[~one]

    row = only(build_features(replace(history, demand=demand), [LAST], 4), "s000/p00")

    y = demand.loc[(demand["unique_id"] == "s000/p00"), "y"].iloc[0]
    assert row["base_level"] == pytest.approx(np.log1p(y), abs=1e-5)
    assert row["age"] == pytest.approx(np.log1p(1))
    assert row["prior_gap"] == pytest.approx(row["product_level"] / 1.25, abs=1e-5)
    assert np.isfinite(row[list(NUMERIC_FEATURES)].astype(float)).all()


def test_a_series_is_unknown_before_its_first_row() -> None:
    history = a_history(n_weeks=12)
    late = (history.demand["unique_id"] == "s000/p00") & (history.demand["ds"] < WEEKS[8])

    table = build_features(replace(history, demand=history.demand[~late]), [WEEKS[7], WEEKS[8]], 1)

    assert table.loc[table["unique_id"] == "s000/p00", "week"].tolist() == [WEEKS[8]]


def test_a_week_without_rows_is_a_gap_and_not_zero_demand() -> None:
    history = a_history(n_weeks=12, mean=100.0)
    demand = history.demand[history.demand["ds"] != LAST]

    table = build_features(replace(history, demand=demand), [WEEKS[10], LAST], 1)

    before, after = (table[table["week"] == week] for week in (WEEKS[10], LAST))
    assert (after["zero_share_13"] == 0).all()
    assert (after["lag_0"] == 0).all()
    np.testing.assert_allclose(after["base_level"], before["base_level"])
    np.testing.assert_allclose(after["lag_1"], before["lag_0"])


def empty(frame: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(columns=frame.columns)


@pytest.mark.parametrize(
    "emptied", [("prices",), ("weather",), ("events",), ("prices", "weather", "events")]
)
def test_optional_tables_may_be_empty(emptied: Sequence[str]) -> None:
    history = a_history()
    poor = mapped(history, lambda name, frame: empty(frame) if name in emptied else frame)

    table = build_features(poor, [LAST], 4)

    DemandFeatures.validate(table)
    if "prices" in emptied:
        assert (table["price_missing"] == 1).all()
        assert (table[["discount", "lift_own", "lift_product"]] == 0).all(axis=None)
    if "weather" in emptied:
        assert (table["weather_missing"] == 1).all()
    if "events" in emptied:
        assert (table[["event", "event_next", "event_previous"]] == "none").all(axis=None)


def test_a_missing_forecast_falls_back_to_what_is_usual_at_that_time_of_year() -> None:
    history = a_history(n_weeks=80)
    weather = history.weather
    weather = weather[(weather["h"] == 0) | (weather["week"] != WEEKS[70])]
    observed = weather[(weather["h"] == 0) & (weather["zip"] == "z0")].set_index("ds")

    row = only(build_features(replace(history, weather=weather), [WEEKS[70]], 2), "s000/p00", 2)

    usual = observed.loc[WEEKS[18] : WEEKS[22], "temperature_c"].mean()
    assert row["temperature"] == pytest.approx(usual, rel=1e-5)
    assert (row["temperature_anomaly"], row["weather_missing"]) == (0, 1)


def test_observed_weather_of_the_target_week_is_never_read() -> None:
    history = a_history(n_weeks=12)
    forecast = history.weather[(history.weather["week"] == WEEKS[8]) & (history.weather["h"] == 1)]

    row = only(
        build_features(history, [WEEKS[8], WEEKS[9]], 1).query("week == @WEEKS[8]"), "s000/p00"
    )

    wanted = forecast.loc[forecast["zip"] == "z0", "temperature_c"].iloc[0]
    assert row["temperature"] == pytest.approx(wanted, rel=1e-6)


def test_closed_stores_and_delisted_products_are_dropped_in_the_weeks_they_miss() -> None:
    history = a_history()
    end = LAST + pd.Timedelta(weeks=2)
    closed = history.stores["store_id"] == "s001"
    delisted = history.products["product_id"] == "p02"
    stores, products = history.stores.copy(), history.products.copy()
    stores.loc[closed, "closed_on"] = end
    products.loc[delisted, "delisted_on"] = end + pd.Timedelta(days=1)

    table = build_features(replace(history, stores=stores, products=products), [LAST], 4)

    assert set(table.loc[table["store_id"] == "s001", "h"]) == {1}
    assert set(table.loc[table["product_id"] == "p02", "h"]) == {1, 2}
    assert set(table.loc[table["unique_id"] == "s000/p00", "h"]) == {1, 2, 3, 4}


def test_a_week_without_a_snapshot_takes_the_latest_before_it() -> None:
    history = a_history()
    stores = history.stores[history.stores["week"] <= WEEKS[9]]

    table = build_features(replace(history, stores=stores), [LAST], 1)

    pdt.assert_frame_equal(table, build_features(history, [LAST], 1))


def test_constant_zero_demand_has_finite_features() -> None:
    history = a_history()
    table = build_features(replace(history, demand=history.demand.assign(y=0.0)), [LAST], 2)

    assert (table[["base_level", "mean_4", "lag_0", "sd_13"]] == 0).all(axis=None)
    assert (table["zero_share_13"] == 1).all()
    assert np.isfinite(numbers(table)).all(axis=None)


def test_missing_master_data_is_filled_and_flagged() -> None:
    history = a_history()
    products = history.products.assign(brand=None, package_size=np.nan)
    stores = history.stores.assign(median_income=np.nan)

    table = build_features(replace(history, products=products, stores=stores), [LAST], 1)

    DemandFeatures.validate(table)
    assert (table["brand"] == "unknown").all()
    assert (table["package_size_missing"] == 1).all()
    assert (table["median_income"] == 0).all()


@pytest.mark.parametrize(
    ("cutoffs", "horizon", "message"),
    [
        ([], 4, "no cutoff"),
        ([LAST], 0, "horizon"),
        ([LAST], 27, "horizon"),
        ([WEEKS[0] - pd.Timedelta(weeks=1)], 4, "no demand"),
    ],
)
def test_impossible_questions_are_refused(
    cutoffs: list[pd.Timestamp], horizon: int, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        build_features(a_history(), cutoffs, horizon)


def test_an_unknown_store_format_is_refused() -> None:
    history = a_history()

    with pytest.raises(ValueError, match="kiosk"):
        build_features(replace(history, stores=history.stores.assign(format="kiosk")), [LAST], 1)
