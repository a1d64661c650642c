"""What a region has learnt, week by week, about its levels, promotions and events.

The learner passes over the weeks once, from the left: after `absorb(t)` it knows the weeks up to
``t`` and no other, so that what is read from it can leak nothing. Feature columns are made from
its state elsewhere.

Notes
-----
``state`` of a week and series is ``(discount / 0.2, feature, display)``. The demand of a week,
on the log1p scale, is taken as *clean level + lift . state + event + noise*; levels are
exponentially weighted means and lifts are ridge regressions, decayed, a series' shrunk to its
product's, a product's to the region's.
"""

import numpy as np

from forecast_platform.forecasting.features.panel import Bools, Floats, Ints, Panel
from forecast_platform.forecasting.features.windows import median_or, ridge, sum_by

LEVEL_DECAY = float(np.exp(-1 / 13))
"""Per week: levels remember about a quarter of a year."""

LIFT_DECAY = float(np.exp(-1 / 104))
PRICE_WINDOW = 26
"""Weeks whose median price is the regular price [weeks]."""

UNIT_DISCOUNT = 0.2
LARGEST_SURPRISE = 3.0
REGION_PENALTY, PRODUCT_PENALTY, OWN_PENALTY = 1.0, 4.0, 4.0
REGION_EVENT_ROWS, PRODUCT_EVENT_ROWS = 30.0, 10.0


def state_of(discount: Floats, feature: Floats, display: Floats) -> Floats:
    """Stack the promotion state, shape (3, ...)."""
    return np.stack([discount / UNIT_DISCOUNT, feature, display])


def discount_of(price: Floats, regular: Floats) -> Floats:
    """Return the price cut as a fraction of the regular price, 0 where either is missing."""
    known = (price > 0) & (regular > 0)
    ratio = np.divide(price, regular, out=np.ones_like(regular), where=known)
    return np.clip(1 - ratio, -0.5, 0.9)


class Response:
    """Online learner over the weeks of a panel.

    Parameters
    ----------
    panel : Panel
    n_events : int
        Number of event names; code -1 is no event.
    """

    def __init__(self, panel: Panel, n_events: int) -> None:
        shape, self.panel = panel.x.shape, panel
        self.n_products = len(panel.products)
        self.price = np.full(shape, np.nan, np.float32)
        self.discount = np.zeros(shape, np.float32)
        self.feature = np.zeros(shape, np.float32)
        self.display = np.zeros(shape, np.float32)
        self.level = np.full(shape, np.nan, np.float32)
        self.adjusted = np.full(shape, np.nan, np.float32)
        self.surprise = np.full(shape, np.nan, np.float32)
        self.product_surprise = np.zeros((shape[0], self.n_products), np.float32)
        self.product_weight = np.zeros((shape[0], self.n_products), np.float32)
        self.product_state = np.zeros((3, shape[0], self.n_products), np.float32)
        self.base = np.full(shape[1], np.nan)
        self.regular = np.full(shape[1], np.nan)
        self.first = np.full(shape[1], -1)
        self.last_promo = np.full(shape[1], -10_000)
        self.last_positive = np.full(shape[1], -1)
        self.n_known, self.total = np.zeros((2, shape[1]))
        self.lift_own = np.zeros((3, shape[1]))
        self.lift_product = np.zeros((3, self.n_products))
        self._sums, self._weights = np.zeros((2, 2, shape[1]))
        self._gram = np.zeros((6, shape[1]))
        self._moment = np.zeros((3, shape[1]))
        self._event_sum, self._event_n = np.zeros((2, self.n_products, n_events))

    def absorb(self, t: int, event: Ints) -> None:
        """Learn from week ``t``; ``event`` is the code of each series' event, -1 for none."""
        self._take_plan(t)
        x, ok = self.panel.x[t].astype(np.float64), ~np.isnan(self.panel.x[t])
        state = state_of(self.discount[t], self.feature[t], self.display[t]).astype(np.float64)
        lift = (state * self.lift_own).sum(axis=0)
        before = self.level[t - 1] if t else np.full_like(x, np.nan)
        surprise = np.clip(x - before, -LARGEST_SURPRISE, LARGEST_SURPRISE)
        self.surprise[t], self.adjusted[t] = surprise, x - lift
        self._learn_events(surprise - lift, event)
        self._learn_lifts(t, state, surprise)
        self._learn_levels(t, x, x - lift, ok)

    def event_lifts(self) -> tuple[Floats, Floats]:
        """Return the expected effect of each event, per product and for the region [log]."""
        region = self._event_sum.sum(axis=0) / (self._event_n.sum(axis=0) + REGION_EVENT_ROWS)
        product = (self._event_sum + PRODUCT_EVENT_ROWS * region) / (
            self._event_n + PRODUCT_EVENT_ROWS
        )
        return product, region

    def _take_plan(self, t: int) -> None:
        rows = self.panel.plans.at(t)
        now = rows["h"] == 0
        series = rows["series"][now]
        self.price[t, series] = rows["price"][now]
        self.feature[t, series] = np.nan_to_num(rows["feature"][now])
        self.display[t, series] = np.nan_to_num(rows["display"][now])
        window = self.price[max(0, t - PRICE_WINDOW + 1) : t + 1]
        if not np.isnan(window).all():
            self.regular = median_or(window, self.regular)
        self.discount[t] = discount_of(self.price[t], self.regular)
        self.last_promo[is_promo(self.discount[t], self.feature[t], self.display[t])] = t

    def _learn_events(self, effect: Floats, event: Ints) -> None:
        has = (event >= 0) & ~np.isnan(effect)
        if has.any():
            cell = self.panel.product[has] * self._event_n.shape[1] + event[has]
            shape, size = self._event_n.shape, self._event_n.size
            self._event_sum += np.bincount(cell, effect[has], size).reshape(shape)
            self._event_n += np.bincount(cell, minlength=size).reshape(shape)

    def _learn_lifts(self, t: int, state: Floats, surprise: Floats) -> None:
        ok = ~np.isnan(surprise)
        z, r = np.where(ok, state, 0), np.where(ok, surprise, 0)
        pairs = [(0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)]
        self._gram = self._gram * LIFT_DECAY + np.stack([z[i] * z[j] for i, j in pairs])
        self._moment = self._moment * LIFT_DECAY + z * r
        product, n = self.panel.product, self.n_products
        gram = np.stack([sum_by(product, g, n) for g in self._gram])
        moment = np.stack([sum_by(product, m, n) for m in self._moment])
        region = ridge(
            gram.sum(axis=1, keepdims=True),
            moment.sum(axis=1, keepdims=True),
            np.zeros((3, 1)),
            REGION_PENALTY,
        )
        self.lift_product = ridge(gram, moment, region, PRODUCT_PENALTY)
        prior = self.lift_product[:, product]
        self.lift_own = ridge(self._gram, self._moment, prior, OWN_PENALTY)
        weight = np.bincount(product, ok, n)
        share = 1 / np.maximum(weight, 1)
        self.product_weight[t] = weight > 0
        self.product_surprise[t] = sum_by(product, r, n) * share
        self.product_state[:, t] = np.stack([sum_by(product, v, n) for v in z]) * share

    def _learn_levels(self, t: int, x: Floats, adjusted: Floats, ok: Bools) -> None:
        observed = np.where(ok, np.stack([x, adjusted]), 0)
        self._sums = np.where(ok, self._sums * LEVEL_DECAY + observed, self._sums)
        self._weights = np.where(ok, self._weights * LEVEL_DECAY + 1, self._weights)
        levels = np.full_like(self._sums, np.nan)
        np.divide(self._sums, self._weights, out=levels, where=self._weights > 0)
        self.base, self.level[t] = levels
        self.first = np.where((self.first < 0) & ok, t, self.first)
        self.last_positive = np.where(ok & (x > 0), t, self.last_positive)
        self.n_known += ok
        self.total += np.where(ok, x, 0)


def is_promo(discount: Floats, feature: Floats, display: Floats) -> Bools:
    """Tell whether a week counts as a promotion."""
    return (discount > 0.05) | (feature > 0) | (display > 0)
