"""Features of the price and promotion planned for a target week, as known at the cutoff.

How a series answered to promotions is learnt in `response`; here it is read for a plan. What
single series did at like prices is in `prices`, what a product's stores plan together in `chain`.
"""

from dataclasses import dataclass

import numpy as np

from forecast_platform.forecasting.features import compiled, compiled_plans
from forecast_platform.forecasting.features.columns import stretch
from forecast_platform.forecasting.features.panel import Floats, Panel
from forecast_platform.forecasting.features.response import (
    KERNEL_DECAY,
    KERNEL_UNIT,
    KERNEL_WEEKS,
    Response,
    state_of,
)

KERNEL_ROWS = 0.5
"""Pseudo weeks of the kernel means, at the lift that is expected anyway."""

LONGEST_PAUSE = 26
PAST = 3
"""Weeks up to the cutoff whose promotions are told beside those of the target week [weeks]."""

PLAN = stretch(
    *("log_price", "price_missing", "discount", "discount_squared", "feature", "display"),
    *("feature_discount", "discount_previous_1", "discount_previous_2", "discount_previous_3"),
    *("feature_previous_1", "display_previous_1"),
)
PAUSE = stretch("weeks_since_promo")
LIFTS = stretch("lift_own", "lift_product", "expected_promo")
KERNELS = stretch("kernel_narrow", "kernel_broad", "kernel_product", "kernel_weight")


@dataclass(frozen=True)
class Plan:
    """What is planned for weeks ``cutoff - 3 .. cutoff + horizon``, and what it is like.

    Parameters
    ----------
    rows : array of shape (4, 3 + 1 + horizon, series), float32
        Price, discount, feature and display; row ``3 + h`` is h weeks ahead.
    states : array of shape (horizon, 3, series), float32
        Promotion state of each week ahead.
    log_price : array of shape (horizon, series)
        Log of the planned price, or of the regular one.
    lifts : array of shape (horizon, 3, series)
        What a series and its product expect of the plan [log], and the clean level with the first.
    own, product : array of shape (horizon, 4, series), float32
        Total and weight of last year's weeks with a state like the planned one, by the narrow
        kernel, then by the broad one: the series' own weeks, and its product's.
    """

    rows: Floats
    states: Floats
    log_price: Floats
    lifts: Floats
    own: Floats
    product: Floats


def write_plans(t: int, panel: Panel, learnt: Response, clean: Floats, out: Floats) -> Plan:
    """Write what is planned and what it is expected to do, for all weeks ahead.

    Parameters
    ----------
    t : int
        Index of the cutoff.
    panel : Panel
    learnt : Response
    clean : array of shape (series,)
        Clean level of each series, relative to its base level [log].
    out : array of shape (horizon, features, series)
    """
    horizon, n, series = len(out), len(panel.products), learnt.series
    rows = np.empty((4, PAST + 1 + horizon, panel.n_series), np.float32)
    compiled_plans.plan_ahead(t, PAST, learnt.plans, learnt.weeks, series.regular, rows)
    states = np.ascontiguousarray(state_of(*rows[1:, PAST + 1 :]).swapaxes(0, 1))
    log_price = np.empty((horizon, panel.n_series))
    lifts, since = np.empty((horizon, 3, panel.n_series)), np.empty(panel.n_series, np.int64)
    own, product = _similar(t, states, panel, learnt)
    for h, columns in enumerate(out):
        at, place = (PAST + 1 + h, rows), columns
        compiled_plans.own_plan(*at, series.regular, panel.product, n, log_price[h], place[PLAN])
        compiled_plans.pauses(
            h + 1, PAST + 1 + h, rows, LONGEST_PAUSE, series.last_promo, t, since, place[PAUSE][0]
        )
        of_product = learnt.products.lift
        compiled_plans.lifts(
            states[h], learnt.lift_own, of_product, panel.product, clean, lifts[h], place[LIFTS]
        )
        compiled_plans.kernels(own[h], product[h], lifts[h], KERNEL_ROWS, place[KERNELS])
    return Plan(rows, states, log_price, lifts, own, product)


def _similar(t: int, states: Floats, panel: Panel, learnt: Response) -> tuple[Floats, Floats]:
    """Compare the plans of all weeks ahead with the weeks up to the cutoff."""
    wanted, decay = states / KERNEL_UNIT[:, None], decay_of_slots(t)
    own, product = np.empty((2, len(wanted), 4, panel.n_series), np.float32)
    compiled.similar_weeks(learnt.recent, decay, np.arange(panel.n_series), wanted, own)
    recent = learnt.products.recent
    compiled.similar_weeks(recent, decay, panel.product, wanted, product)
    return own, product


def decay_of_slots(t: int) -> Floats:
    """Return how much each slot of the recent weeks counts at week ``t``, by its age."""
    decay = np.zeros(compiled.SLOTS, np.float32)
    weeks = np.arange(max(0, t - KERNEL_WEEKS + 1), t + 1)
    decay[weeks % KERNEL_WEEKS] = np.exp((weeks - t) / np.float32(KERNEL_DECAY))
    return decay
