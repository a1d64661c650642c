"""Small frames for tests: one call builds the marts of one simulated region.

Everything is seeded, and sizes are small by default. What a test claims belongs to the test.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from forecast_platform.forecasting.features.history import History
from forecast_platform.vocabulary import FORMATS, NO_EVENT, SHOPPER_COLUMNS

FIRST_WEEK = pd.Timestamp("2021-01-04")
EVENT_WEEKS = {1: "new_year", 27: "independence_day", 47: "thanksgiving", 52: "christmas"}
LONG_AGO = pd.Timestamp("2000-01-03")


def weeks_from(first: pd.Timestamp = FIRST_WEEK, n: int = 8) -> pd.DatetimeIndex:
    """Return ``n`` Mondays."""
    return pd.date_range(first, periods=n, freq="W-MON").as_unit("us")


def crossed(
    weeks: pd.DatetimeIndex, hs: Sequence[int], keys: pd.DataFrame, **values: object
) -> pd.DataFrame:
    """Cross weeks, weeks ahead and keys; ``values`` have shape (weeks, hs, keys)."""
    shape = (len(weeks), len(hs), len(keys))
    i, j, k = (at.ravel() for at in np.indices(shape))
    h = np.asarray(hs)[j]
    frame = keys.take(k).reset_index(drop=True)
    frame["region"] = pd.Series("north", index=frame.index, dtype="str")
    frame["week"] = weeks[i]
    frame["h"] = h
    frame["ds"] = weeks[i] + pd.to_timedelta(7 * h, unit="D")
    for name, value in values.items():
        frame[name] = np.broadcast_to(np.asarray(value), shape).ravel()
    return frame.astype({"week": "datetime64[us]", "ds": "datetime64[us]"})


def a_history(
    *,
    n_stores: int = 4,
    n_products: int = 3,
    n_weeks: int = 12,
    horizon: int = 4,
    seed: int = 0,
    mean: float = 8.0,
) -> History:
    """Build the marts of a region: dense demand that answers to discount, feature and display."""
    rng, weeks = np.random.default_rng(seed), weeks_from(n=n_weeks)
    stores, products = _stores(rng, n_stores), _products(n_products)
    keys = stores[["store_id"]].merge(products[["product_id"]], how="cross")
    keys.insert(0, "unique_id", keys["store_id"] + "/" + keys["product_id"])
    discount, feature, display = _promotions(rng, (n_weeks + horizon, len(keys)))
    lift = 3 * discount + 0.4 * feature + 0.3 * display
    noise = rng.normal(np.log(mean), 0.8, len(keys)) + rng.normal(0, 0.2, lift.shape)
    y = rng.poisson(np.exp(noise + lift))[:n_weeks, None].astype(float)
    price = np.round(rng.uniform(2, 5, len(keys)), 2) * (1 - discount)
    hs = range(horizon + 1)
    ahead = np.add.outer(np.arange(n_weeks), np.arange(horizon + 1))
    demand = crossed(weeks, [0], keys, y=y, units_shipped=y, units_returned=0.0, is_filled=False)
    return History(
        demand=demand.drop(columns="h"),
        stores=crossed(weeks, [0], stores).drop(columns=["h", "ds"]),
        products=crossed(weeks, [0], products).drop(columns=["h", "ds"]),
        weather=_weather(rng, weeks, hs, sorted(set(stores["zip"]))),
        events=_events(weeks, range(-1, horizon + 2), stores[["store_id"]]),
        prices=crossed(
            weeks, hs, keys, price=price[ahead], feature=feature[ahead], display=display[ahead]
        ),
    )


def _stores(rng: np.random.Generator, n: int) -> pd.DataFrame:
    frame = pd.DataFrame({"store_id": [f"s{i:03d}" for i in range(n)]})
    frame["zip"] = [f"z{i % 3}" for i in range(n)]
    frame["format"] = [FORMATS[i % 2] for i in range(n)]
    shoppers = {name: rng.normal(10, 1, n) for name in SHOPPER_COLUMNS}
    return frame.assign(opened_on=LONG_AGO, closed_on=pd.NaT, **shoppers)


def _products(n: int) -> pd.DataFrame:
    frame = pd.DataFrame({"product_id": [f"p{i:02d}" for i in range(n)]})
    frame["category"] = [f"c{i % 2}" for i in range(n)]
    frame["brand"] = [f"b{i % 3}" for i in range(n)]
    return frame.assign(package_size=64.0, launched_on=LONG_AGO, delisted_on=pd.NaT)


def _promotions(rng: np.random.Generator, shape: tuple[int, int]) -> list[np.ndarray]:
    discount = np.where(rng.random(shape) < 0.25, rng.choice([0.1, 0.2, 0.3], shape), 0.0)
    shares = [(discount > 0) & (rng.random(shape) < share) for share in (0.5, 0.3)]
    return [discount, *(share.astype(float) for share in shares)]


def _weather(
    rng: np.random.Generator, weeks: pd.DatetimeIndex, hs: Sequence[int], zips: list[str]
) -> pd.DataFrame:
    shape = (len(weeks), len(hs), len(zips))
    return crossed(
        weeks,
        hs,
        pd.DataFrame({"zip": zips}),
        temperature_c=rng.normal(15, 5, shape),
        precipitation_mm=rng.gamma(1, 5, shape),
        snow_cm=0.0,
        n_days=7,
    )


def _events(weeks: pd.DatetimeIndex, hs: Sequence[int], stores: pd.DataFrame) -> pd.DataFrame:
    frame = crossed(weeks, hs, stores)
    event = frame["ds"].dt.isocalendar().week.map(EVENT_WEEKS).astype("str").fillna(NO_EVENT)
    has = event != NO_EVENT
    return frame.assign(event=event, n_event_days=has.astype(int), is_holiday=has)
