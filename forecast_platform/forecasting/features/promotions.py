"""Features of the price and promotion planned for a target week, as known at the cutoff.

How a series answered to promotions is learnt in `response`; here it is read for a plan.
"""

from dataclasses import dataclass

import numpy as np

from forecast_platform.forecasting.features import compiled
from forecast_platform.forecasting.features.panel import Bools, Floats, Ints, Panel
from forecast_platform.forecasting.features.response import (
    KERNEL_DECAY,
    KERNEL_WEEKS,
    Response,
    discount_of,
    in_kernel_units,
    is_promo,
    state_of,
)
from forecast_platform.forecasting.features.windows import (
    max_of_others,
    mean_by,
    sum_by,
    zero_if_missing,
)

KERNEL_ROWS = 0.5
"""Pseudo weeks of the kernel means, at the lift that is expected anyway."""

LONGEST_PAUSE = 26


@dataclass(frozen=True)
class Plan:
    """Price, discount, feature and display of weeks ``cutoff - 3 .. cutoff + horizon``.

    Arrays have shape (3 + 1 + horizon, series); row ``3 + h`` is h weeks ahead.
    """

    price: Floats
    discount: Floats
    feature: Floats
    display: Floats

    @classmethod
    def at(cls, t: int, horizon: int, panel: Panel, learnt: Response) -> "Plan":
        """Join what was in the last weeks with what is planned at ``t``."""
        price = _recent(learnt.price, t, horizon, np.nan)
        feature = _recent(learnt.feature, t, horizon, 0)
        display = _recent(learnt.display, t, horizon, 0)
        rows = panel.plans.at(t)
        ahead = (rows["h"] > 0) & (rows["h"] <= horizon)
        cell = PAST + rows["h"][ahead], rows["series"][ahead]
        price[cell] = rows["price"][ahead]
        feature[cell] = zero_if_missing(rows["feature"][ahead])
        display[cell] = zero_if_missing(rows["display"][ahead])
        discount = _recent(learnt.discount, t, horizon, 0)
        discount[PAST + 1 :] = [discount_of(p, learnt.regular) for p in price[PAST + 1 :]]
        return cls(price, discount, feature, display)

    def state(self, h: int) -> Floats:
        """Return the promotion state h weeks ahead, shape (3, series)."""
        row = PAST + h
        return state_of(self.discount[row], self.feature[row], self.display[row])


PAST = 3


def _recent(values: Floats, t: int, horizon: int, missing: float) -> Floats:
    joined = np.full((PAST + 1 + horizon, values.shape[1]), missing, np.float32)
    known = values[max(0, t - PAST) : t + 1]
    joined[PAST + 1 - len(known) : PAST + 1] = known
    return joined


def plan_at(h: int, plan: Plan, panel: Panel, learnt: Response) -> dict[str, Floats]:
    """Return price, discount, feature and display of the target week and the weeks before it."""
    row = PAST + h
    discount, feature, display = plan.discount[row], plan.feature[row], plan.display[row]
    missing = ~(plan.price[row] > 0)
    return {
        "log_price": log_price_of(np.where(missing, learnt.regular, plan.price[row]), panel),
        "price_missing": missing,
        "discount": discount,
        "discount_squared": discount**2,
        "feature": feature,
        "display": display,
        "feature_discount": feature * discount,
        "discount_previous_1": plan.discount[row - 1],
        "discount_previous_2": plan.discount[row - 2],
        "discount_previous_3": plan.discount[row - 3],
        "feature_previous_1": plan.feature[row - 1],
        "display_previous_1": plan.display[row - 1],
    }


def log_price_of(price: Floats, panel: Panel) -> Floats:
    """Return the log, the product's mean where a series has no price, 0 where that has none."""
    known = price > 0
    log_price = np.log(price, out=np.full(len(price), np.nan), where=known)
    of_product = mean_by(panel.product, log_price, len(panel.products))
    return np.where(known, log_price, of_product[panel.product])


def pauses_at(t: int, horizon: int, plan: Plan, learnt: Response) -> list[Floats]:
    """Return, for h = 1 .. horizon, the log1p weeks since the promotion before the target week."""
    since, pauses = t - learnt.last_promo, []
    for h in range(1, horizon + 1):
        since = since + 1
        if h > 1:
            row = PAST + h - 1
            since = np.where(
                is_promo(plan.discount[row], plan.feature[row], plan.display[row]), 1, since
            )
        pauses.append(np.log1p(np.minimum(since, LONGEST_PAUSE)))
    return pauses


def competition_at(h: int, plan: Plan, group: Ints, alive: Bools) -> dict[str, Floats]:
    """Return the promotions of the other products of the category in the same store."""
    row, n = PAST + h, int(group.max()) + 1
    others = np.bincount(group, alive, n)[group] - alive

    def sum_others(values: Floats) -> Floats:
        counted = np.where(alive, values, 0).astype(np.float64)
        return np.maximum(sum_by(group, counted, n)[group] - counted, 0)

    discount = plan.discount[row]
    counted = np.where(alive, discount, 0).astype(np.float64)
    total = sum_by(group, counted, n)[group] - counted
    largest = max_of_others(group, np.where(alive, discount, -np.inf))
    return {
        "competitor_discount_mean": total / np.maximum(others, 1),
        "competitor_discount_max": np.where(np.isfinite(largest), largest, 0),
        "competitor_features": np.log1p(sum_others(plan.feature[row])),
        "competitor_displays": np.log1p(sum_others(plan.display[row])),
    }


def lifts_at(h: int, plan: Plan, panel: Panel, learnt: Response) -> dict[str, Floats]:
    """Return the lift that the learnt responses expect of the plan [log]."""
    state = plan.state(h)
    own = (learnt.lift_own * state).sum(axis=0)
    product = (learnt.lift_product[:, panel.product] * state).sum(axis=0)
    return {"lift_own": own, "lift_product": product}


@dataclass(frozen=True)
class Similar:
    """Weeks of the last year whose promotion state was like the planned one, summed.

    Arrays have shape (horizon, 4, series): total and weight of the narrow kernel, then of the
    broad one; of the series' own weeks, and of its product's.
    """

    own: Floats
    product: Floats


def similar_at(t: int, plan: Plan, panel: Panel, learnt: Response) -> Similar:
    """Compare the plans of all weeks ahead with the weeks up to the cutoff."""
    ahead = slice(PAST + 1, None)
    states = state_of(plan.discount[ahead], plan.feature[ahead], plan.display[ahead])
    wanted = in_kernel_units(np.ascontiguousarray(states.swapaxes(0, 1)))
    decay = decay_of_slots(t)
    own, product = np.empty((2, len(wanted), 4, panel.n_series), np.float32)
    compiled.similar_weeks(learnt.recent, decay, np.arange(panel.n_series), wanted, own)
    compiled.similar_weeks(learnt.recent_of_product, decay, panel.product, wanted, product)
    return Similar(own, product)


def similar_weeks_at(h: int, similar: Similar, lifts: dict[str, Floats]) -> dict[str, Floats]:
    """Return what similar weeks of the series and of its product had over their level [log]."""
    own, product = similar.own[h - 1], similar.product[h - 1]
    return {
        "kernel_narrow": shrunk(own[0], own[1], lifts["lift_own"]),
        "kernel_broad": shrunk(own[2], own[3], lifts["lift_own"]),
        "kernel_product": shrunk(product[0], product[1], lifts["lift_product"]),
        "kernel_weight": np.log1p(own[1]),
    }


def decay_of_slots(t: int) -> Floats:
    """Return how much each slot of the recent weeks counts at week ``t``, by its age."""
    decay = np.zeros(compiled.SLOTS, np.float32)
    weeks = np.arange(max(0, t - KERNEL_WEEKS + 1), t + 1)
    decay[weeks % KERNEL_WEEKS] = np.exp((weeks - t) / np.float32(KERNEL_DECAY))
    return decay


def shrunk(total: Floats, weight: Floats, prior: Floats) -> Floats:
    """Return the mean of weeks of this total and weight, with pseudo weeks at the prior."""
    return (total + KERNEL_ROWS * prior) / (weight + KERNEL_ROWS)
