"""Compiled loops that write feature columns of the plans: own, and of the chain.

Only numba functions of arrays belong here; each is called from the module that knows what its
numbers mean. Columns are rows of ``out``, one value per series.
"""

from typing import Any, NamedTuple

import numpy as np

from forecast_platform.forecasting.compiling import FAST, kept
from forecast_platform.forecasting.features.compiled import compiled, mean_by, similar_weeks
from forecast_platform.forecasting.features.compiled_prices import discount_of, is_promo

BLOCK = 128
"""Series whose past weeks are compared at once, so that their sums stay in the first cache."""


class Plan(NamedTuple):
    """What is planned for weeks ``cutoff - 3 .. cutoff + horizon``; see `promotions.plan_of`."""

    rows: Any
    states: Any
    log_price: Any
    lifts: Any
    own: Any
    product: Any
    decay: Any


@compiled
def plan_ahead(t, past, plans, weeks, regular, out):  # pragma: no cover
    """Join the last weeks with those planned at ``t``.

    ``out`` (4, past + 1 + horizon, series): price, discount, feature and display.
    """
    n_rows = out.shape[1]
    for row in range(n_rows):
        week = t - past + row
        for s in range(out.shape[2]):
            is_past = 0 <= week <= t
            out[0, row, s] = weeks.price[week, s] if is_past else np.nan
            out[1, row, s] = weeks.discount[week, s] if is_past else 0
            out[2, row, s] = weeks.feature[week, s] if is_past else 0
            out[3, row, s] = weeks.display[week, s] if is_past else 0
    for row in range(plans.starts[t], plans.starts[t + 1]):
        place = past + plans.h[row]
        if past < place < n_rows:
            s = plans.series[row]
            feature, display = plans.feature[row], plans.display[row]
            out[0, place, s] = plans.price[row]
            out[2, place, s] = 0 if np.isnan(feature) else feature
            out[3, place, s] = 0 if np.isnan(display) else display
    for row in range(past + 1, n_rows):
        for s in range(out.shape[2]):
            out[1, row, s] = discount_of(out[0, row, s], regular[s])


@compiled
def log_prices(price, product, n_products, out):  # pragma: no cover
    """Write the log, the product's mean where a series has no price, 0 where that has none."""
    for s in range(len(price)):
        out[s] = np.log(price[s]) if price[s] > 0 else np.nan
    of_product = mean_by(product, out, n_products, 0.0)
    for s in range(len(price)):
        if np.isnan(out[s]):
            out[s] = of_product[product[s]]


@compiled
def write_plan(
    t, past, longest, kernel_rows, plan, series, of_product, lift_own, clean, columns, at
):  # pragma: no cover
    """Write the columns of a plan and of what it is like, for all weeks ahead.

    ``at`` are the first rows of `promotions.PLAN`, ``PAUSE``, ``LIFTS`` and ``KERNELS``.
    """
    since, product = np.empty(len(clean), np.int64), series.product
    for h in range(len(columns)):
        row, out, lift = past + 1 + h, columns[h], plan.lifts[h]
        regular, n_products = series.regular, of_product.shape[1]
        own_plan(row, plan.rows, regular, product, n_products, plan.log_price[h], out[at[0] :])
        pauses(h + 1, row, plan.rows, longest, series.last_promo, t, since, out[at[1]])
        lifts(plan.states[h], lift_own, of_product, product, clean, lift, out[at[2] :])
        kernels(plan.own[h], plan.product[h], lift, kernel_rows, out[at[3] :])


@compiled
def own_plan(row, plan, regular, product, n_products, log_price, out):  # pragma: no cover
    """Write price, discount, feature and display of a row of a plan and of the weeks before it."""
    price = np.empty(len(regular))
    for s in range(len(price)):
        price[s] = plan[0, row, s] if plan[0, row, s] > 0 else regular[s]
    log_prices(price, product, n_products, log_price)
    for s in range(len(price)):
        discount, feature, display = plan[1, row, s], plan[2, row, s], plan[3, row, s]
        out[0, s], out[1, s] = log_price[s], not plan[0, row, s] > 0
        out[2, s], out[3, s] = discount, discount * discount
        out[4, s], out[5, s], out[6, s] = feature, display, feature * discount
        out[7, s], out[8, s] = plan[1, row - 1, s], plan[1, row - 2, s]
        out[9, s] = plan[1, row - 3, s]
        out[10, s], out[11, s] = plan[2, row - 1, s], plan[3, row - 1, s]


@compiled
def pauses(weeks, row, plan, longest, last_promo, t, since, out):  # pragma: no cover
    """Write the log1p of the weeks since the promotion before the target week.

    ``since`` is carried from one week ahead to the next.
    """
    for s in range(len(since)):
        if weeks == 1:
            since[s] = t - last_promo[s]
        since[s] += 1
        if weeks > 1 and is_promo(plan[1, row - 1, s], plan[2, row - 1, s], plan[3, row - 1, s]):
            since[s] = 1
        out[s] = np.log1p(np.float64(min(since[s], longest)))


@compiled
def lifts(states, lift_own, lift_product, product, clean, own, out):  # pragma: no cover
    """Write the lift that a series and its product expect of a plan, and the level with it.

    ``states`` is (3, series); ``own`` holds the first two without rounding.
    """
    for s in range(len(product)):
        i, j, k, p = states[0, s], states[1, s], states[2, s], product[s]
        own[0, s] = lift_own[0, s] * i + lift_own[1, s] * j + lift_own[2, s] * k
        own[1, s] = lift_product[0, p] * i + lift_product[1, p] * j + lift_product[2, p] * k
        own[2, s] = clean[s] + own[0, s]
        out[0, s], out[1, s], out[2, s] = own[0, s], own[1, s], own[2, s]


@compiled
def shrunk(total, weight, prior, rows):  # pragma: no cover
    """Return the mean of weeks of this total and weight, with ``rows`` more at the prior."""
    return (total + rows * prior) / (weight + np.float32(rows))


@compiled
def kernels(own, product, lift, rows, out):  # pragma: no cover
    """Write the means of similar weeks from their sums, (4, series) each; see `promotions`."""
    for s in range(own.shape[1]):
        out[0, s] = shrunk(own[0, s], own[1, s], lift[0, s], rows)
        out[1, s] = shrunk(own[2, s], own[3, s], lift[0, s], rows)
        out[2, s] = shrunk(product[0, s], product[1, s], lift[1, s], rows)
        out[3, s] = np.log1p(own[1, s])


@compiled
def chain(plan, alive, recent, units, product, rows, columns, at):  # pragma: no cover
    """Write products' mean plans over their stores, and what like weeks had.

    ``alive`` (h, series); ``units`` (2, 3): of the state as features show it, and of similarity.
    ``at`` are the first rows of `chain.PLANNED` and ``KERNELS``.
    """
    n_products = recent.shape[0]
    wanted = np.empty((1, 3, n_products), np.float32)
    sums, everyone = np.empty((1, 4, n_products), np.float32), np.arange(n_products)
    for h in range(len(columns)):
        planned = _mean_plan(plan.states[h], plan.lifts[h, 0], alive[h], product, n_products)
        for part in range(3):
            for p in range(n_products):
                wanted[0, part, p] = np.float32(planned[part, p]) / np.float32(units[1, part])
        similar_weeks(recent, plan.decay, everyone, wanted, sums)
        out, like = columns[h, at[0] :], columns[h, at[1] :]
        for s in range(len(product)):
            p = product[s]
            for part in range(3):
                out[part, s] = planned[part, p] * units[0, part]
            like[0, s] = shrunk(sums[0, 0, p], sums[0, 1, p], planned[3, p], rows)
            like[1, s] = shrunk(sums[0, 2, p], sums[0, 3, p], planned[3, p], rows)


@compiled
def _mean_plan(states, lift, alive, product, n_products):  # pragma: no cover
    """Return the mean state and lift of each product over its stores, shape (4, products)."""
    planned, values = np.empty((4, n_products)), np.empty(len(product))
    for part in range(4):
        for s in range(len(product)):
            value = states[part, s] if part < 3 else lift[s]
            values[s] = value if alive[s] else np.nan
        mean = mean_by(product, values, n_products, 0.0)
        for p in range(n_products):  # an assignment of slices takes seconds to compile
            planned[part, p] = mean[p]
    return planned


@compiled
def _copy(sums, n, left, out):  # pragma: no cover
    """Write the sums of a block; an assignment of slices takes seconds to compile."""
    for h in range(out.shape[0]):
        for part in range(out.shape[1]):
            for s in range(n):
                out[h, part, left + s] = sums[h, part, s]


@kept(fastmath=FAST)
def like_prices(
    first, log_price, regular, weeks, base, ages, units, wanted, out
):  # pragma: no cover
    """Sum past weeks by how like their price, feature and display are to the wanted ones.

    Weeks from ``first`` on, as many as ``ages`` (their weights); a week without a price had the
    ``regular`` one (its log in units). ``units`` are of log price and of the plan, ``wanted`` is
    (h, 3, series) in them. Written to ``out`` (h, 6, series): total and weight of the sharp, the
    narrow and the broad kernel.
    """
    one, four, sixteen = np.float32(1), np.float32(4), np.float32(16)
    past, sums = np.empty((5, BLOCK), np.float32), np.empty((len(wanted), 6, BLOCK), np.float32)
    for left in range(0, len(base), BLOCK):
        n = min(BLOCK, len(base) - left)
        sums[:] = 0
        for at in range(len(ages)):
            week = first + at
            for s in range(n):
                price, x = log_price[week, left + s], weeks.x[week, left + s]
                past[0, s] = price / units[0] if abs(price) < np.inf else regular[left + s]
                past[1, s] = weeks.feature[week, left + s] / units[1]
                past[2, s] = weeks.display[week, left + s] / units[1]
                past[3, s] = 0 if np.isnan(x) else x - base[left + s]
                past[4, s] = np.float32(0) if np.isnan(x) else ages[at]
            for h in range(len(wanted)):
                for s in range(n):
                    p = past[0, s] - wanted[h, 0, left + s]
                    q = past[1, s] - wanted[h, 1, left + s]
                    r = past[2, s] - wanted[h, 2, left + s]
                    distance, demand, age = p * p + q * q + r * r, past[3, s], past[4, s]
                    sharp = one / (one + sixteen * distance)
                    narrow = one / (one + four * distance)
                    sharp, narrow = sharp * sharp * age, narrow * narrow * age
                    broad = age / (one + distance)
                    sums[h, 0, s] += sharp * demand
                    sums[h, 1, s] += sharp
                    sums[h, 2, s] += narrow * demand
                    sums[h, 3, s] += narrow
                    sums[h, 4, s] += broad * demand
                    sums[h, 5, s] += broad
        _copy(sums, n, left, out)


@compiled
def like_means(sums, lifts, rows, columns, at):  # pragma: no cover
    """Write the means of weeks of like price from their sums, (h, 6, series)."""
    for h in range(len(columns)):
        out, of = columns[h, at:], sums[h]
        for s in range(out.shape[1]):
            prior = lifts[h, 2, s]
            out[0, s] = shrunk(of[0, s], of[1, s], prior, rows)
            out[1, s] = shrunk(of[2, s], of[3, s], prior, rows)
            out[2, s] = shrunk(of[4, s], of[5, s], prior, rows)


@compiled
def write_events(
    events, days, holidays, series, of_product, of_region, columns, at
):  # pragma: no cover
    """Write the events of the target weeks and their neighbours, and what they are to lift.

    ``events``, ``days`` and ``holidays`` (h + 2, stores) are from the cutoff on. ``at`` are the
    first rows of `calendar.DAYS` and ``LIFTS``.
    """
    store, product = series.store, series.product
    for h in range(1, len(columns) + 1):
        out, lift = columns[h - 1, at[0] :], columns[h - 1, at[1] :]
        for s in range(len(store)):
            here = store[s]
            out[0, s], out[1, s] = days[h, here], days[h + 1, here]
            out[2, s], out[3, s] = days[h - 1, here], holidays[h, here]
            code = events[h, here]
            lift[0, s] = of_product[product[s], code] if code >= 0 else 0
            lift[1, s] = of_region[code] if code >= 0 else 0
