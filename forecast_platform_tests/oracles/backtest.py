"""Small frames with known structure to train on, and a slow, obviously right backtest."""

import numpy as np
import pandas as pd

from forecast_platform.vocabulary import CATEGORICAL_FEATURES, NUMERIC_FEATURES

EVENTS = ("none", "none", "none", "none", "none", "none", "easter", "christmas")


def a_demand(n_stores=10, n_products=10, n_weeks=60, *, seed=0, start="2022-01-03"):
    """Weekly demand of one region with levels, promotions, events and zeros."""
    rng = np.random.default_rng(seed)
    weeks = pd.date_range(start, periods=n_weeks, freq="W-MON").astype("datetime64[us]")
    rows = []
    effects = {"none": 0.0, "easter": 0.4, "christmas": -0.5}
    level = rng.normal(2.5, 0.8, (n_stores, 1)) * 0.5 + rng.normal(1.5, 1.0, (1, n_products))
    discount = np.where(rng.random((n_stores, n_products, n_weeks)) < 0.15, 0.3, 0.0)
    for w, week in enumerate(weeks):
        event = EVENTS[w % len(EVENTS)]
        mean = np.exp(level + 2.5 * discount[:, :, w] + effects[event])
        y = rng.poisson(mean * rng.lognormal(0, 0.2, mean.shape))
        s, p = np.divmod(np.arange(y.size), n_products)
        rows.append(
            pd.DataFrame(
                {
                    "ds": week,
                    "store_id": [f"s{i}" for i in s],
                    "product_id": [f"p{i}" for i in p],
                    "y": y.ravel().astype(float),
                    "discount": discount[:, :, w].ravel(),
                    "event": event,
                }
            )
        )
    demand = pd.concat(rows, ignore_index=True)
    demand["unique_id"] = demand["store_id"] + "/" + demand["product_id"]
    large = demand["store_id"].str[1:].astype(int) % 2 == 0
    demand["format"] = np.where(large, "large", "small")
    fast = demand.groupby("product_id")["y"].transform("sum")
    demand["velocity"] = np.where(fast > fast.median(), "fast", "slow")
    demand["segment"] = demand["format"] + "_" + demand["velocity"]
    return demand


def a_frame(demand: pd.DataFrame, *, first: int = 4, horizon: int = 4) -> pd.DataFrame:
    """Training rows of a demand: a row per series, cutoff and week ahead, features as known."""
    wide = demand.pivot_table(index="ds", columns="unique_id", values="y")
    logs = np.log1p(wide)
    level = logs.ewm(span=13).mean()
    about = demand.set_index(["ds", "unique_id"])
    tables = []
    for cutoff in wide.index[first:]:
        for h in range(1, horizon + 1):
            ds = cutoff + pd.Timedelta(weeks=h)
            if ds not in wide.index:
                continue
            rows = about.loc[ds].reset_index()
            rows["ds"], rows["week"], rows["h"] = ds, cutoff, h
            rows["base_level"] = rows["unique_id"].map(level.loc[cutoff])
            for lag, name in enumerate(("lag_0", "lag_1", "lag_2")):
                past = logs.shift(lag).loc[cutoff]
                rows[name] = rows["unique_id"].map(past) - rows["base_level"]
            tables.append(rows)
    frame = pd.concat(tables, ignore_index=True)
    missing = [name for name in NUMERIC_FEATURES if name not in frame]
    noise = np.random.default_rng(1).normal(size=(len(frame), len(missing))).astype(np.float32)
    frame = pd.concat([frame, pd.DataFrame(noise, columns=missing)], axis=1)
    frame["week_of_year"] = frame["ds"].dt.isocalendar().week.astype(str).str.zfill(2)
    fixed = {"category": "drinks", "brand": "b", "event_next": "none", "event_previous": "none"}
    frame = frame.assign(**fixed)
    types = dict.fromkeys(NUMERIC_FEATURES, np.float32) | dict.fromkeys(CATEGORICAL_FEATURES, "str")
    return frame.astype(types).copy()


def slow_backtest(frame, cutoffs, origins_of, fit):
    """One forecast at a time: {(origin, unique_id, h): forecast}."""
    forecasts = {}
    for cutoff in cutoffs:
        known = [row for row in frame.to_dict("records") if row["ds"] <= cutoff]
        model = fit(pd.DataFrame(known))
        for row in frame.to_dict("records"):
            if row["week"] in origins_of(cutoff) and row["ds"] > cutoff:
                key = (row["week"], row["unique_id"], row["h"])
                forecasts[key] = float(model.predict(pd.DataFrame([row]))[0])
    return forecasts
