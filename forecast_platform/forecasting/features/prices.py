"""Features of a planned price: beside the rivals' prices, and beside the series' own past prices.

What a promotion is and how series answered to it is learnt in `response`; plans are in
`promotions`.
"""

from functools import lru_cache

import numpy as np

from forecast_platform.forecasting.features import compiled_plans, compiled_shelves
from forecast_platform.forecasting.features.columns import stretch
from forecast_platform.forecasting.features.compiled_plans import Plan
from forecast_platform.forecasting.features.compiled_shelves import Shelves
from forecast_platform.forecasting.features.panel import Bools, Floats, Ints, Panel
from forecast_platform.forecasting.features.promotions import KERNEL_ROWS, PAST
from forecast_platform.forecasting.features.response import Response

PRICE_WEEKS = 78
"""Weeks of the series' own past that are compared with the planned week [weeks]."""

PRICE_DECAY = 40.0
"""Age at which a week of like price counts e times less [weeks]."""

PRICE_UNIT, PLAN_UNIT = 0.1, 0.5
"""Distances of the log price, and of feature and display, at which a week is half as alike."""

LIKE_PRICES = stretch("like_price_sharp", "like_price_narrow", "like_price_broad")
RIVALS = stretch(
    *("competitor_discount_mean", "competitor_discount_max"),
    *("competitor_features", "competitor_displays"),
    *("relative_price", "relative_price_lowest", "price_rank"),
)

_UNITS = np.array([PRICE_UNIT, PLAN_UNIT], np.float32)


def shelves_of(shelf: Ints) -> Shelves:
    """Put the series in order of their shelf: the products of one category in one store.

    Examples
    --------
    >>> shelves_of(np.array([7, 2, 7]))
    Shelves(series=array([1, 0, 2]), starts=array([0, 1, 3]))
    """
    order = np.argsort(shelf, kind="stable")
    starts = np.flatnonzero(np.diff(shelf[order], prepend=-1))
    return Shelves(order, np.append(starts, len(order)))


def write_rivals(plan: Plan, shelves: Shelves, alive: Bools, out: Floats) -> None:
    """Write the promotions and prices of the other products of the category in the same store.

    ``relative_price`` is to the mean and ``relative_price_lowest`` to the lowest of the others
    [log], ``price_rank`` the share of the others that are cheaper; 0 where there is none.
    ``alive`` is (horizon, series), ``out`` (horizon, features, series).
    """
    compiled_shelves.rivals(plan, PAST, alive, shelves, out, RIVALS.start)


def write_like_prices(t: int, plan: Plan, panel: Panel, learnt: Response, out: Floats) -> None:
    """Write the mean demand of past weeks like the plan, less ``base_level``, by sharpness.

    Unlike the kernels of `promotions`, which compare discounts from a regular price, it compares
    prices themselves: it needs no idea of what is regular, and follows a price that moves in steps.
    ``out`` is (horizon, features, series).
    """
    first = max(0, t - PRICE_WEEKS + 1)
    regular = np.empty(panel.n_series)
    n, product = len(panel.products), panel.product
    compiled_plans.log_prices(learnt.series.regular, product, n, regular)
    regular = regular.astype(np.float32) / _UNITS[0]
    wanted = np.empty_like(plan.states)
    wanted[:, 0] = plan.log_price / PRICE_UNIT
    wanted[:, 1:] = plan.states[:, 1:] / _UNITS[1]
    sums = np.empty((len(out), 6, panel.n_series), np.float32)
    past = first, learnt.log_price, regular, learnt.weeks, learnt.series.base
    compiled_plans.like_prices(*past, _weights(t - first + 1), _UNITS, wanted, sums)
    compiled_plans.like_means(sums, plan.lifts, KERNEL_ROWS, out, LIKE_PRICES.start)


@lru_cache(maxsize=2 * PRICE_WEEKS)
def _weights(n_weeks: int) -> Floats:
    """Return how much each of the last weeks counts, the latest last."""
    ages = np.arange(n_weeks - 1, -1, -1, dtype=np.float32) / np.float32(PRICE_DECAY)
    return np.exp(-ages)
