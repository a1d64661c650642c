"""Features of a series' own demand, and of the strength of related series, at one cutoff.

Price plans, weather and calendars do not belong here. All values are on the log1p scale and,
but for ``base_level`` itself, relative to ``base_level``. Each function writes its columns to rows
of an array with one column per series.
"""

import numpy as np

from forecast_platform.forecasting.features import compiled_columns
from forecast_platform.forecasting.features.columns import stretch
from forecast_platform.forecasting.features.panel import Bools, Floats, Panel
from forecast_platform.forecasting.features.response import Response

MEAN_WINDOWS = (4, 8, 13, 26, 52)
LAGS = 8
YEAR = 52
SHORT, LONG = 4, 13
TREND_ROWS = 2.0
"""Pseudo rows that pull a group's trend to 0."""

LEVELS = stretch(
    "base_level",
    *(f"mean_{weeks}" for weeks in MEAN_WINDOWS),
    "mean_all",
    *(f"lag_{lag}" for lag in range(LAGS)),
)
SHAPE = stretch(
    *("median_13", "min_13", "max_13", "sd_13"),
    *("zero_share_13", "zero_share_52", "weeks_since_positive", "age"),
)
YEAR_AGO = stretch("year_ago", "year_ago_product", "year_ago_region", "year_ago_missing")
STRENGTH = stretch(
    *("product_level", "prior_gap", "product_trend_4", "product_trend_13"),
    *("store_trend_4", "store_trend_13", "region_trend_4", "region_trend_13"),
    *("clean_level", "clean_mean_4"),
)
PROMOTION_HISTORY = stretch("promo_level", "promo_share_26")

_WINDOWS, _SPANS = np.array(MEAN_WINDOWS), np.array([SHORT, LONG])


def trailing(values: Floats, t: int, weeks: int) -> Floats:
    """Return the last ``weeks`` rows up to ``t``."""
    return values[max(0, t - weeks + 1) : t + 1]


def write_levels(t: int, panel: Panel, learnt: Response, out: Floats) -> None:
    """Write levels, lags, spread and rhythm of each series."""
    recent, year = trailing(panel.x, t, LONG), trailing(panel.x, t, YEAR)
    compiled_columns.levels(t, panel.x, _WINDOWS, learnt.series, out[LEVELS])
    compiled_columns.shape(t, recent, year, learnt.series, out[SHAPE])


def write_strength(t: int, panel: Panel, learnt: Response, is_large: Bools, out: Floats) -> None:
    """Write clean levels, trends of product, store and region, and the strength elsewhere."""
    of_trends = _SPANS, is_large, len(panel.products), TREND_ROWS
    compiled_columns.strength(t, learnt.weeks, *of_trends, learnt.series, out[STRENGTH])
    first = max(0, t - YEAR + 1)
    half = max(first, t - YEAR // 2 + 1)
    compiled_columns.promotion_history(first, half, t, learnt.weeks, out[PROMOTION_HISTORY])


def write_year_ago(t: int, panel: Panel, learnt: Response, out: Floats) -> None:
    """Write the growth from cutoff to target, as it was a year earlier, for all weeks ahead.

    ``out`` is (horizon, features, series).

    Notes
    -----
    Mean of the clean demand of the three weeks around ``ds - 52``, minus the clean level as
    known at ``cutoff - 52``; of the series, and the mean over its product and the region.
    """
    product, n = panel.product, len(panel.products)
    compiled_columns.year_ago(t, YEAR, learnt.weeks, product, n, out, YEAR_AGO.start)
