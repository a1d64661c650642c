"""Features of the price and promotion planned for a target week, as known at the cutoff.

How a series answered to promotions is learnt in `response`; here it is read for a plan.
"""

from dataclasses import dataclass

import numpy as np

from forecast_platform.forecasting.features.panel import Bools, Floats, Ints, Panel
from forecast_platform.forecasting.features.response import (
    UNIT_DISCOUNT,
    Response,
    discount_of,
    is_promo,
    state_of,
)
from forecast_platform.forecasting.features.windows import max_of_others, mean_by, sum_by

KERNEL_WEEKS = 52
KERNEL_DECAY = 26.0
"""Age at which a similar week counts e times less [weeks]."""

KERNEL_UNIT = np.array([0.1 / UNIT_DISCOUNT, 0.5, 0.5], np.float32)
"""Distance at which a state is half as similar, per part of the state."""

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
        feature[cell] = np.nan_to_num(rows["feature"][ahead])
        display[cell] = np.nan_to_num(rows["display"][ahead])
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
        "log_price": _log_price(np.where(missing, learnt.regular, plan.price[row]), panel),
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


def _log_price(price: Floats, panel: Panel) -> Floats:
    """Take the mean of the product where a series has no price, 0 where that has none."""
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


class Kernel:
    """Mean surprise of the last year's weeks whose promotion state was like the planned one.

    Parameters
    ----------
    states : array of shape (3, weeks, series)
    surprises : array of shape (weeks, series)
        NaN where there is none; the last week is the cutoff.
    """

    def __init__(self, states: Floats, surprises: Floats) -> None:
        known = ~np.isnan(surprises)
        age = np.arange(len(surprises) - 1, -1, -1, dtype=np.float32)[:, None]
        self._states = states / KERNEL_UNIT[:, None, None]
        self._weights = np.where(known, np.exp(-age / np.float32(KERNEL_DECAY)), np.float32(0))
        self._values = np.where(known, surprises, np.float32(0)) * self._weights

    def means(self, state: Floats, prior: Floats) -> list[tuple[Floats, Floats]]:
        """Return mean and weight of similar weeks, first of the narrow, then the broad kernel."""
        wanted = state.astype(np.float32) / KERNEL_UNIT[:, None]
        distance = np.square(self._states[0] - wanted[0])
        for part in (1, 2):
            distance += np.square(self._states[part] - wanted[part])
        broad = 1 / (1 + distance)
        narrow = np.square(1 / (1 + 4 * distance))
        return [self._mean(kernel, prior) for kernel in (narrow, broad)]

    def _mean(self, kernel: Floats, prior: Floats) -> tuple[Floats, Floats]:
        weight = np.einsum("ws,ws->s", kernel, self._weights)
        total = np.einsum("ws,ws->s", kernel, self._values)
        return (total + KERNEL_ROWS * prior) / (weight + KERNEL_ROWS), weight


def kernels_at(t: int, panel: Panel, learnt: Response) -> tuple[Kernel, Kernel]:
    """Return the kernels of the series' own history and of their products' at the cutoff."""
    weeks = slice(max(0, t - KERNEL_WEEKS + 1), t + 1)
    own = state_of(learnt.discount[weeks], learnt.feature[weeks], learnt.display[weeks])
    surprise = learnt.product_surprise[weeks]
    surprise = np.where(learnt.product_weight[weeks] > 0, surprise, np.nan)
    return (
        Kernel(own.astype(np.float32), learnt.surprise[weeks]),
        Kernel(
            learnt.product_state[:, weeks][:, :, panel.product],
            surprise[:, panel.product].astype(np.float32),
        ),
    )


def similar_weeks_at(
    h: int, plan: Plan, kernels: tuple[Kernel, Kernel], lifts: dict[str, Floats]
) -> dict[str, Floats]:
    """Return what similar weeks of the series and of its product had over their level [log]."""
    state = plan.state(h)
    (narrow, weight), (broad, _) = kernels[0].means(state, lifts["lift_own"])
    (product, _), _ = kernels[1].means(state, lifts["lift_product"])
    return {
        "kernel_narrow": narrow,
        "kernel_broad": broad,
        "kernel_product": product,
        "kernel_weight": np.log1p(weight),
    }
