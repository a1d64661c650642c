"""Marts of one made-up region, of any size: what features are timed on.

Only data are made here; nothing is measured.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from forecast_platform.forecasting.features.assemble import build_features
from forecast_platform.forecasting.features.history import History
from forecast_platform.vocabulary import (
    DS,
    FORMAT,
    FORMATS,
    NO_EVENT,
    SEGMENT,
    SHOPPER_COLUMNS,
    UNIQUE_ID,
    VELOCITIES,
    VELOCITY,
    Y,
)

FIRST_WEEK = pd.Timestamp("2019-01-07")
LONG_AGO = pd.Timestamp("2000-01-03")
EVENT_WEEKS = {1: "new_year", 14: "easter", 27: "independence_day", 47: "thanksgiving"}
N_ZIPS = 20
N_CUTOFFS, HORIZON, WARM_UP = 52, 4, 56
_NEVER = pd.Timestamp("2100-01-04")


def weeks_from(n: int) -> pd.DatetimeIndex:
    """Return ``n`` Mondays."""
    return pd.date_range(FIRST_WEEK, periods=n, freq="W-MON").as_unit("us")


def a_region(
    n_stores: int, n_products: int, n_weeks: int, *, horizon: int = 4, seed: int = 0
) -> History:
    """Build the marts of a region: promoted weekly demand, plans, weather and events as known."""
    rng, weeks = np.random.default_rng(seed), weeks_from(n_weeks)
    stores, products = _stores(rng, n_stores), _products(rng, n_products)
    keys = pd.DataFrame(
        {
            "store_id": stores["store_id"].repeat(n_products).to_numpy(),
            "product_id": np.tile(products["product_id"].to_numpy(), n_stores),
        }
    )
    keys.insert(0, "unique_id", keys["store_id"] + "/" + keys["product_id"])
    shape = (n_weeks + horizon, len(keys))
    discount = np.where(rng.random(shape) < 0.25, rng.choice([0.1, 0.2, 0.3], shape), 0.0)
    feature = ((discount > 0) & (rng.random(shape) < 0.5)).astype(np.float64)
    display = ((discount > 0) & (rng.random(shape) < 0.3)).astype(np.float64)
    level = rng.normal(np.log(8.0), 0.8, len(keys)) + 0.2 * rng.standard_normal(shape)
    y = rng.poisson(np.exp(level + 3 * discount + 0.4 * feature + 0.3 * display)[:n_weeks])
    price = np.round(rng.uniform(2, 5, len(keys)), 2) * (1 - discount)
    hs = range(horizon + 1)
    ahead = np.add.outer(np.arange(n_weeks), np.arange(horizon + 1))
    demand = _crossed(weeks, [0], keys, y=y[:, None].astype(np.float64))
    plans = {
        name: values[ahead]
        for name, values in (("price", price), ("feature", feature), ("display", display))
    }
    return History(
        demand=demand.drop(columns="h"),
        stores=_crossed(weeks, [0], stores).drop(columns=["h", "ds"]),
        products=_crossed(weeks, [0], products).drop(columns=["h", "ds"]),
        weather=_weather(rng, weeks, hs),
        events=_events(weeks, range(-1, horizon + 2), stores[["store_id"]]),
        prices=_crossed(weeks, hs, keys[["unique_id"]], **plans),
    )


def _crossed(
    weeks: pd.DatetimeIndex, hs: Sequence[int], keys: pd.DataFrame, **values: np.ndarray
) -> pd.DataFrame:
    """Cross weeks, weeks ahead and keys; ``values`` have shape (weeks, hs, keys)."""
    shape = (len(weeks), len(hs), len(keys))
    i, j, k = (at.ravel() for at in np.indices(shape, np.int32))
    frame = keys.take(k).reset_index(drop=True)
    h = np.asarray(hs)[j]
    frame["region"] = pd.Series("north", index=frame.index, dtype="str")
    frame["week"] = weeks.to_numpy()[i]
    frame["h"] = h
    frame["ds"] = (weeks.to_numpy()[i] + h * np.timedelta64(7, "D")).astype("datetime64[us]")
    for name, value in values.items():
        frame[name] = np.broadcast_to(value, shape).ravel()
    return frame


def _stores(rng: np.random.Generator, n: int) -> pd.DataFrame:
    frame = pd.DataFrame({"store_id": [f"s{i:04d}" for i in range(n)]})
    frame["zip"] = [f"{75000 + i % N_ZIPS}" for i in range(n)]
    frame["format"] = [FORMATS[i % 2] for i in range(n)]
    shoppers = {name: rng.normal(10, 1, n) for name in SHOPPER_COLUMNS}
    return frame.assign(opened_on=LONG_AGO, closed_on=_NEVER, **shoppers)


def _products(rng: np.random.Generator, n: int) -> pd.DataFrame:
    frame = pd.DataFrame({"product_id": [f"p{i:04d}" for i in range(n)]})
    frame["category"] = [f"category {i % 8}" for i in range(n)]
    frame["brand"] = [f"brand {i % 12}" for i in range(n)]
    sizes = rng.choice([6.0, 12.0, 64.0], n)
    return frame.assign(package_size=sizes, launched_on=LONG_AGO, delisted_on=_NEVER)


def _weather(rng: np.random.Generator, weeks: pd.DatetimeIndex, hs: Sequence[int]) -> pd.DataFrame:
    shape = (len(weeks), len(hs), N_ZIPS)
    return _crossed(
        weeks,
        hs,
        pd.DataFrame({"zip": [f"{75000 + i}" for i in range(N_ZIPS)]}),
        temperature_c=rng.normal(15, 5, shape),
        precipitation_mm=rng.gamma(1, 5, shape),
        snow_cm=np.zeros(shape),
    )


def _events(weeks: pd.DatetimeIndex, hs: Sequence[int], stores: pd.DataFrame) -> pd.DataFrame:
    frame = _crossed(weeks, hs, stores)
    event = frame["ds"].dt.isocalendar().week.map(EVENT_WEEKS).astype("str").fillna(NO_EVENT)
    has = event != NO_EVENT
    return frame.assign(event=event, n_event_days=has.astype(int), is_holiday=has)


def a_segment(n_rows: int, *, seed: int = 0) -> pd.DataFrame:
    """Build about ``n_rows`` training rows of one segment: real features, with the demand ``y``.

    The longer table has more series, as a larger region has; the weeks are the same.
    """
    n_series = max(1, n_rows // (N_CUTOFFS * HORIZON))
    n_products = max(4, min(50, n_series // 4))
    n_stores = -(-n_series // n_products)
    history = a_region(n_stores, n_products, WARM_UP + N_CUTOFFS + HORIZON, seed=seed)
    weeks = weeks_from(WARM_UP + N_CUTOFFS)[WARM_UP:]
    table = build_features(history, list(weeks), HORIZON)
    demand = history.demand.set_index([UNIQUE_ID, DS])[Y]
    y = demand.reindex(pd.MultiIndex.from_frame(table[[UNIQUE_ID, DS]])).to_numpy()
    one = {FORMAT: FORMATS[0], VELOCITY: VELOCITIES[1], SEGMENT: f"{FORMATS[0]}_{VELOCITIES[1]}"}
    return table.assign(**one, **{Y: y})[:n_rows]
