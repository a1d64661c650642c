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

from forecast_platform.forecasting.features import compiled
from forecast_platform.forecasting.features.panel import Bools, Floats, Ints, Panel
from forecast_platform.forecasting.features.windows import ridge, zero_if_missing

LEVEL_DECAY = float(np.exp(-1 / 13))
"""Per week: levels remember about a quarter of a year."""

LIFT_DECAY = float(np.exp(-1 / 104))
PRICE_WINDOW = 26
"""Weeks whose median price is the regular price [weeks]."""

UNIT_DISCOUNT = 0.2
KERNEL_WEEKS = 52
"""Recent weeks that a plan is compared with [weeks]."""

KERNEL_DECAY = 26.0
"""Age at which a similar week counts e times less [weeks]."""

KERNEL_UNIT = np.array([0.1 / UNIT_DISCOUNT, 0.5, 0.5], np.float32)
"""Distance at which a state is half as similar, per part of the state."""

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


def in_kernel_units(states: Floats) -> Floats:
    """Return promotion states, shape (..., 3, series), in units of similarity, float32."""
    return states.astype(np.float32) / KERNEL_UNIT[:, None]


def _no_weeks(n: int) -> Floats:
    """Return recent weeks of ``n`` series, shape (n, 4, slots), without a surprise in them."""
    recent = np.zeros((n, 4, compiled.SLOTS), np.float32)
    recent[:, 3] = np.nan
    return recent


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
        self.recent = _no_weeks(shape[1])
        self.recent_of_product = _no_weeks(self.n_products)
        self.base = np.full(shape[1], np.nan)
        self.regular = np.full(shape[1], np.nan)
        self.first = np.full(shape[1], -1)
        self.last_promo = np.full(shape[1], -10_000)
        self.last_positive = np.full(shape[1], -1)
        self.n_known, self.total = np.zeros((2, shape[1]))
        self.lift_own = np.zeros((3, shape[1]))
        self.lift_product = np.zeros((3, self.n_products))
        self._window = np.empty((shape[1], PRICE_WINDOW + 1), np.float32)
        self._in_window = np.zeros(shape[1], np.int64)
        self._before = np.full(shape[1], np.nan, np.float32)
        self._sums, self._weights = np.zeros((2, shape[1])), np.zeros(shape[1])
        self._gram = np.zeros((6, shape[1]))
        self._moment = np.zeros((3, shape[1]))
        self._product_sums = np.zeros((14, self.n_products))
        self._event_sum, self._event_n = np.zeros((2, self.n_products, n_events))

    def absorb(self, t: int, event: Ints) -> None:
        """Learn from week ``t``; ``event`` is the code of each series' event, -1 for none."""
        self._take_plan(t)
        x = self.panel.x[t].astype(np.float64)
        state = state_of(self.discount[t], self.feature[t], self.display[t]).astype(np.float64)
        lift = (state * self.lift_own).sum(axis=0)
        before = self.level[t - 1] if t else np.full_like(x, np.nan)
        surprise = np.clip(x - before, -LARGEST_SURPRISE, LARGEST_SURPRISE)
        self.surprise[t], self.adjusted[t] = surprise, x - lift
        self._learn_events(surprise - lift, event)
        self._learn_lifts(t, state, surprise)
        self._learn_levels(t, x, x - lift)

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
        self.feature[t, series] = zero_if_missing(rows["feature"][now])
        self.display[t, series] = zero_if_missing(rows["display"][now])
        old = self.price[t - PRICE_WINDOW] if t >= PRICE_WINDOW else self._before
        compiled.slide_median(old, self.price[t], self._window, self._in_window, self.regular)
        self.discount[t] = discount_of(self.price[t], self.regular)
        self.last_promo[is_promo(self.discount[t], self.feature[t], self.display[t])] = t

    def _learn_events(self, effect: Floats, event: Ints) -> None:
        compiled.learn_events(self.panel.product, event, effect, self._event_sum, self._event_n)

    def _learn_lifts(self, t: int, state: Floats, surprise: Floats) -> None:
        product, sums = self.panel.product, self._product_sums
        compiled.learn_products(
            state, surprise, product, LIFT_DECAY, self._gram, self._moment, sums
        )
        gram, moment = sums[:6], sums[6:9]
        nothing, first = np.zeros((3, 1)), np.zeros(self.n_products, np.int64)
        region = ridge(
            gram.sum(axis=1, keepdims=True),
            moment.sum(axis=1, keepdims=True),
            nothing,
            first[:1],
            REGION_PENALTY,
        )
        self.lift_product = ridge(gram, moment, region, first, PRODUCT_PENALTY)
        self.lift_own = ridge(self._gram, self._moment, self.lift_product, product, OWN_PENALTY)
        self._remember(t, state, surprise, sums)

    def _remember(self, t: int, state: Floats, surprise: Floats, sums: Floats) -> None:
        """Keep the week for `promotions.similar_at`, in units of similarity."""
        slot = t % KERNEL_WEEKS
        compiled.remember(in_kernel_units(state), surprise, slot, self.recent)
        means = (sums[9:13] / np.maximum(sums[13], 1)).astype(np.float32)
        means[0, sums[13] == 0] = np.nan
        compiled.remember(in_kernel_units(means[1:]), means[0], slot, self.recent_of_product)

    def _learn_levels(self, t: int, x: Floats, adjusted: Floats) -> None:
        levels = np.empty_like(self._sums)
        compiled.learn_levels(x, adjusted, LEVEL_DECAY, self._sums, self._weights, levels)
        self.base, self.level[t] = levels
        ok = ~np.isnan(x)
        self.first[ok & (self.first < 0)] = t
        self.last_positive[x > 0] = t
        self.n_known += ok
        self.total += np.where(ok, x, 0)


def is_promo(discount: Floats, feature: Floats, display: Floats) -> Bools:
    """Tell whether a week counts as a promotion."""
    return (discount > 0.05) | (feature > 0) | (display > 0)
