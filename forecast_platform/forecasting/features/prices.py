"""Features of a planned price: beside the rivals' prices, and beside the series' own past prices.

What a promotion is and how series answered to it is learnt in `response`; plans are in
`promotions`.
"""

from dataclasses import dataclass

import numpy as np

from forecast_platform.forecasting.features import compiled
from forecast_platform.forecasting.features.panel import Bools, Floats, Ints, Panel
from forecast_platform.forecasting.features.promotions import PAST, Plan, log_price_of, shrunk
from forecast_platform.forecasting.features.response import Response
from forecast_platform.forecasting.features.windows import (
    max_of_others,
    mean_of_others,
    share_below,
)

PRICE_WEEKS = 78
"""Weeks of the series' own past that are compared with the planned week [weeks]."""

PRICE_DECAY = 40.0
"""Age at which a week of like price counts e times less [weeks]."""

PRICE_UNIT, PLAN_UNIT = 0.1, 0.5
"""Distances of the log price, and of feature and display, at which a week is half as alike."""


def relative_prices_at(log_price: Floats, group: Ints, alive: Bools) -> dict[str, Floats]:
    """Return the planned price beside those of the other products of the category in the store.

    Returns
    -------
    dict
        ``relative_price`` to the mean and ``relative_price_lowest`` to the lowest of the others
        [log], and ``price_rank``: the share of the others that are cheaper. 0 where there is none.
    """
    n = int(group.max()) + 1
    alike = np.where(alive, log_price, np.nan)
    lowest = -max_of_others(group, np.where(alive, -log_price, -np.inf))
    return {
        "relative_price": np.nan_to_num(log_price - mean_of_others(group, alike, n)),
        "relative_price_lowest": np.where(np.isfinite(lowest), log_price - lowest, 0.0),
        "price_rank": share_below(group, log_price, alive),
    }


@dataclass(frozen=True)
class PastPrices:
    """A series' own past weeks, to be compared with a planned one by their price.

    Unlike the kernels of `promotions`, which compare discounts from a regular price, it compares
    prices themselves: it needs no idea of what is regular, and follows a price that moves in steps.

    Parameters
    ----------
    past : array of shape (4, weeks, series), float32
        Log price, feature and display in units of likeness; demand less ``base_level`` [log1p].
    weight : array of shape (weeks, series), float32
        How much a week counts by its age, 0 where there is no demand.
    """

    past: Floats
    weight: Floats

    @classmethod
    def at(cls, t: int, panel: Panel, learnt: Response) -> "PastPrices":
        """Take the weeks up to ``t``; a week without a price had the regular one."""
        weeks = slice(max(0, t - PRICE_WEEKS + 1), t + 1)
        price, x = learnt.price[weeks], panel.x[weeks]
        known, sold = price > 0, ~np.isnan(x)
        past = np.empty((4, *x.shape), np.float32)
        past[0] = log_price_of(learnt.regular, panel)
        np.log(price, out=past[0], where=known)
        past[0] /= PRICE_UNIT
        past[1] = learnt.feature[weeks] / PLAN_UNIT
        past[2] = learnt.display[weeks] / PLAN_UNIT
        past[3] = np.where(sold, x - learnt.base, 0)
        age = np.arange(len(x) - 1, -1, -1, dtype=np.float32)[:, None]
        return cls(past, np.where(sold, np.exp(-age / np.float32(PRICE_DECAY)), np.float32(0)))

    def like(self, h: int, plan: Plan, log_price: Floats, prior: Floats) -> dict[str, Floats]:
        """Return the mean demand of weeks like the plan, less ``base_level``, by sharpness."""
        row = PAST + h
        parts = (
            log_price / PRICE_UNIT,
            plan.feature[row] / PLAN_UNIT,
            plan.display[row] / PLAN_UNIT,
        )
        sums = np.empty((6, len(log_price)), np.float32)
        compiled.like_prices(self.past, self.weight, np.stack(parts).astype(np.float32), sums)
        return {
            "like_price_sharp": shrunk(sums[0], sums[1], prior),
            "like_price_narrow": shrunk(sums[2], sums[3], prior),
            "like_price_broad": shrunk(sums[4], sums[5], prior),
        }
