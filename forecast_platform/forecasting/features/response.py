"""What a region has learnt, week by week, about its levels, promotions and events.

The learner passes over the weeks once, from the left: after `absorb(t)` it knows the weeks up to
``t`` and no other, so that what is read from it can leak nothing. Feature columns are made from
its state elsewhere; the loops are compiled in `compiled_learning`.

Notes
-----
``state`` of a week and series is ``(discount / 0.2, feature, display)``. The demand of a week,
on the log1p scale, is taken as *clean level + lift . state + event + noise*; levels are
exponentially weighted means and lifts are ridge regressions, decayed, a series' shrunk to its
product's, a product's to the region's.
"""

import numpy as np

from forecast_platform.forecasting.features import compiled, compiled_learning, compiled_lifts
from forecast_platform.forecasting.features.compiled_learning import (
    Constants,
    Plans,
    Products,
    Series,
    Weeks,
)
from forecast_platform.forecasting.features.panel import Floats, Ints, Panel

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


def no_weeks(n: int) -> Floats:
    """Return recent weeks of ``n`` series, shape (n, 4, slots), without a surprise in them."""
    recent = np.zeros((n, 4, compiled.SLOTS), np.float32)
    recent[:, 3] = np.nan
    return recent


class Response:
    """Online learner over the weeks of a panel.

    Parameters
    ----------
    panel : Panel
    events : array of shape (weeks, stores)
        Code of the event of each store and week, as known in it; -1 is no event.
    n_events : int
        Number of event names.

    Attributes
    ----------
    plans : Plans
        What was planned, by the week in which it was known.
    weeks : Weeks
        What is known of each week, up to the last absorbed one: log demand, price, discount,
        feature, display, clean level, demand without its lift, and surprise over the level before.
    series, products : Series, Products
        What is known now.
    lift_own : array of shape (3, series)
        Lift of each part of the promotion state [log].
    recent, recent_of_product : array of shape (n, 4, slots), float32
        The last weeks' states and surprises, in units of similarity.
    log_price : array of shape (weeks, series), float32
        Log of the price; NaN or -inf where there is none.
    """

    def __init__(self, panel: Panel, events: Ints, n_events: int) -> None:
        (n_weeks, n), n_products, self.panel = panel.x.shape, len(panel.products), panel
        price, feature, display = panel.sold_at
        discount, level, adjusted, surprise, self.log_price = (
            np.empty((n_weeks, n), np.float32) for _ in range(5)
        )
        of_plans = {"price": price, "feature": feature, "display": display, "discount": discount}
        self.weeks = Weeks(panel.x, **of_plans, level=level, adjusted=adjusted, surprise=surprise)
        self.series = _series_of(panel)
        self.products = Products(
            gram=np.zeros((n_products, 9)),
            lift=np.zeros((3, n_products)),
            recent=no_weeks(n_products),
            week=np.zeros((5, n_products)),
            event_sum=np.zeros((n_products, n_events)),
            event_n=np.zeros((n_products, n_events)),
        )
        self.recent = no_weeks(n)
        self.lift_own = np.zeros((3, n))
        self.plans, self._events = _plans_of(panel), events
        self._constants = _constants(n_weeks)
        self._known = 0  # weeks that were absorbed

    def absorb(self, t: int) -> None:
        """Learn from all weeks up to ``t`` that are not known yet."""
        first, self._known = self._known, t + 1
        state = self.weeks, self.series, self.products, self._constants
        compiled_learning.learn(first, t + 1, self._events, *state)
        compiled_lifts.lifts_of(t, *state[1:], self.lift_own)
        of_year = max(first, t + 1 - KERNEL_WEEKS)
        compiled_learning.remember(of_year, t + 1, self.weeks, self._constants, self.recent)
        with np.errstate(divide="ignore", invalid="ignore"):
            np.log(self.weeks.price[first : t + 1], out=self.log_price[first : t + 1])

    def event_lifts(self) -> tuple[Floats, Floats]:
        """Return the expected effect of each event, per product and for the region [log]."""
        total, n = self.products.event_sum, self.products.event_n
        region = total.sum(axis=0) / (n.sum(axis=0) + REGION_EVENT_ROWS)
        return (total + PRODUCT_EVENT_ROWS * region) / (n + PRODUCT_EVENT_ROWS), region


def _plans_of(panel: Panel) -> Plans:
    names = ("series", "h", "price", "feature", "display")
    return Plans(panel.plans.starts(panel.n_weeks), *(panel.plans[name] for name in names))


def _series_of(panel: Panel) -> Series:
    n = panel.n_series
    return Series(
        store=panel.store,
        product=panel.product,
        middle=np.full((2, n), np.nan, np.float32),
        ranks=np.zeros((5, n), np.int32),
        regular=np.full(n, np.nan),
        first=np.full(n, -1),
        last_promo=np.full(n, -10_000),
        last_positive=np.full(n, -1),
        n_known=np.zeros(n),
        total=np.zeros(n),
        base=np.full(n, np.nan),
        sums=np.zeros((3, n)),
        gram=np.zeros((n, 9)),
        seen=np.full(n, -1),
    )


def _constants(n_weeks: int) -> Constants:
    return Constants(
        price_window=PRICE_WINDOW,
        unit_discount=np.float32(UNIT_DISCOUNT),
        level_decay=LEVEL_DECAY,
        powers=LIFT_DECAY ** np.arange(max(2, n_weeks + 1)),
        largest_surprise=LARGEST_SURPRISE,
        penalties=(REGION_PENALTY, PRODUCT_PENALTY, OWN_PENALTY),
        kernel_weeks=KERNEL_WEEKS,
        kernel_unit=KERNEL_UNIT,
    )
