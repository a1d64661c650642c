"""Features of the price and promotion planned for a target week, as known at the cutoff.

How a series answered to promotions is learnt in `response`; here it is read for a plan. What
single series did at like prices is in `prices`, what a product's stores plan together in `chain`.
"""

from functools import lru_cache

import numpy as np

from forecast_platform.forecasting.features import compiled, compiled_plans
from forecast_platform.forecasting.features.columns import stretch
from forecast_platform.forecasting.features.compiled_plans import Plan
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
_PLACES = (PLAN, PAUSE, LIFTS, KERNELS)


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

    Returns
    -------
    Plan
        rows : (4, 3 + 1 + horizon, series), float32
            Price, discount, feature and display; row ``3 + h`` is h weeks ahead.
        states : (horizon, 3, series), float32
            Promotion state of each week ahead.
        log_price : (horizon, series)
            Log of the planned price, or of the regular one.
        lifts : (horizon, 3, series)
            What a series and its product expect of the plan [log], and the clean level with the
            first.
        own, product : (horizon, 4, series), float32
            Total and weight of last year's weeks with a state like the planned one, by the narrow
            kernel, then by the broad one: the series' own weeks, and its product's.
        decay : (slots,), float32
            How much each slot of recent weeks counts.
    """
    horizon, n = len(out), panel.n_series
    rows = np.empty((4, PAST + 1 + horizon, n), np.float32)
    compiled_plans.plan_ahead(t, PAST, learnt.plans, learnt.weeks, learnt.series.regular, rows)
    states = np.ascontiguousarray(state_of(*rows[1:, PAST + 1 :]).swapaxes(0, 1))
    log_price, lifts, decay = np.empty((horizon, n)), np.empty((horizon, 3, n)), decay_of_slots(t)
    plan = Plan(rows, states, log_price, lifts, *_similar(states, decay, panel, learnt), decay)
    constants, at = (PAST, LONGEST_PAUSE, KERNEL_ROWS), tuple(one.start for one in _PLACES)
    of_learnt = learnt.series, learnt.products.lift, learnt.lift_own
    compiled_plans.write_plan(t, *constants, plan, *of_learnt, clean, out, at)
    return plan


def _similar(
    states: Floats, decay: Floats, panel: Panel, learnt: Response
) -> tuple[Floats, Floats]:
    """Compare the plans of all weeks ahead with the weeks up to the cutoff."""
    wanted = states / KERNEL_UNIT[:, None]
    own, product = np.empty((2, len(wanted), 4, panel.n_series), np.float32)
    compiled.similar_weeks(learnt.recent, decay, np.arange(panel.n_series), wanted, own)
    recent = learnt.products.recent
    compiled.similar_weeks(recent, decay, panel.product, wanted, product)
    return own, product


@lru_cache(maxsize=1024)
def decay_of_slots(t: int) -> Floats:
    """Return how much each slot of the recent weeks counts at week ``t``, by its age."""
    decay = np.zeros(compiled.SLOTS, np.float32)
    weeks = np.arange(max(0, t - KERNEL_WEEKS + 1), t + 1)
    decay[weeks % KERNEL_WEEKS] = np.exp((weeks - t) / np.float32(KERNEL_DECAY))
    return decay
