"""Features of a series' own demand, and of the strength of related series, at one cutoff.

Price plans, weather and calendars do not belong here. All values are on the log1p scale and,
but for ``base_level`` itself, relative to ``base_level``.
"""

import numpy as np

from forecast_platform.forecasting.features.panel import Floats, Ints, Panel
from forecast_platform.forecasting.features.response import Response, is_promo
from forecast_platform.forecasting.features.windows import (
    mean_by,
    mean_of_others,
    mean_or,
    median_or,
    spread,
    zero_if_missing,
)

MEAN_WINDOWS = (4, 8, 13, 26, 52)
LAGS = 8
YEAR = 52
SHORT, LONG = 4, 13
TREND_ROWS = 2.0
"""Pseudo rows that pull a group's trend to 0."""


def trailing(values: Floats, t: int, weeks: int) -> Floats:
    """Return the last ``weeks`` rows up to ``t``."""
    return values[max(0, t - weeks + 1) : t + 1]


def levels_at(t: int, panel: Panel, learnt: Response) -> dict[str, Floats]:
    """Return levels, lags and spread of each series."""
    base, x = learnt.base, panel.x
    columns: dict[str, Floats] = {"base_level": base}
    for weeks in MEAN_WINDOWS:
        columns[f"mean_{weeks}"] = mean_or(trailing(x, t, weeks), base) - base
    columns["mean_all"] = learnt.total / np.maximum(learnt.n_known, 1) - base
    for lag in range(LAGS):
        value = x[t - lag] - base if lag <= t else np.zeros_like(base)
        columns[f"lag_{lag}"] = zero_if_missing(value)
    return columns | _shape(trailing(x, t, LONG), base) | _rhythm(t, panel, learnt)


def _shape(recent: Floats, base: Floats) -> dict[str, Floats]:
    known = ~np.isnan(recent)
    some = known.any(axis=0)
    low = np.where(known, recent, np.inf).min(axis=0)
    high = np.where(known, recent, -np.inf).max(axis=0)
    return {
        "median_13": median_or(recent, base) - base,
        "min_13": np.where(some, low, base) - base,
        "max_13": np.where(some, high, base) - base,
        "sd_13": spread(recent, known, mean_or(recent, base)),
    }


def _rhythm(t: int, panel: Panel, learnt: Response) -> dict[str, Floats]:
    age = t - learnt.first + 1
    since = np.where(learnt.last_positive >= 0, t - learnt.last_positive, age)
    columns = {"weeks_since_positive": np.log1p(since), "age": np.log1p(age)}
    for weeks in (LONG, YEAR):
        recent = trailing(panel.x, t, weeks)
        zero = np.where(np.isnan(recent), np.nan, recent == 0)
        columns[f"zero_share_{weeks}"] = mean_or(zero, 0.0)
    return columns


def strength_at(t: int, panel: Panel, learnt: Response, is_large: Ints) -> dict[str, Floats]:
    """Return clean levels, trends of product, store and region, and the strength elsewhere."""
    level, base = learnt.level[t].astype(np.float64), learnt.base
    columns: dict[str, Floats] = {"clean_level": level - base}
    for weeks in (SHORT, LONG):
        recent = mean_or(trailing(learnt.adjusted, t, weeks), np.nan) - level
        if weeks == SHORT:
            columns["clean_mean_4"] = zero_if_missing(recent + level - base)
        groups = {
            "product": panel.product,
            "store": panel.store,
            "region": np.zeros(panel.n_series, np.int64),
        }
        for name, group in groups.items():
            trend = mean_by(group, recent, int(group.max()) + 1, shrink=TREND_ROWS)
            columns[f"{name}_trend_{weeks}"] = trend[group]
    cell = panel.product * 2 + is_large
    others = mean_of_others(cell, level, 2 * len(panel.products)) - base
    columns["product_level"] = zero_if_missing(others)
    columns["prior_gap"] = columns["product_level"] / (1 + learnt.n_known / 4)
    return columns | _promotion_history(t, learnt)


def _promotion_history(t: int, learnt: Response) -> dict[str, Floats]:
    parts = [trailing(v, t, YEAR) for v in (learnt.discount, learnt.feature, learnt.display)]
    surprise = trailing(learnt.surprise, t, YEAR)
    promo = is_promo(*parts) & ~np.isnan(surprise)
    lift = np.where(promo, surprise, 0).sum(axis=0) / (promo.sum(axis=0) + 1)
    return {"promo_level": lift, "promo_share_26": promo[-26:].mean(axis=0)}


def year_ago_at(t: int, h: int, panel: Panel, learnt: Response) -> dict[str, Floats]:
    """Return the growth from cutoff to target, as it was a year earlier.

    Notes
    -----
    Mean of the clean demand of the three weeks around ``ds - 52``, minus the clean level as
    known at ``cutoff - 52``; of the series, and the mean over its product and the region.
    """
    first, last = t + h - YEAR - 1, t + h - YEAR + 2
    growth = np.full(panel.n_series, np.nan)
    if last > 0 and t >= YEAR:
        around = mean_or(learnt.adjusted[max(0, first) : last], np.nan)
        growth = around - learnt.level[t - YEAR]
    product = mean_by(panel.product, growth, len(panel.products), shrink=1.0)
    region = mean_by(np.zeros(panel.n_series, np.int64), growth, 1, shrink=1.0)
    return {
        "year_ago": np.clip(zero_if_missing(growth), -3, 3),
        "year_ago_product": product[panel.product],
        "year_ago_region": np.full(panel.n_series, region[0]),
        "year_ago_missing": np.isnan(growth).astype(np.float32),
    }
