"""Compiled loops of `response`: what is learnt from each week of each series.

Only numba functions of arrays belong here; what the numbers mean is said in `response`. A series'
regression is decayed when it is next read, not week by week: most weeks have no promotion, and of
these a regression learns nothing.
"""

from typing import Any, NamedTuple

import numpy as np

from forecast_platform.forecasting.features.compiled import compiled, insert, remove


class Plans(NamedTuple):
    """Rows of plans in order of their weeks; those of week ``t`` start at ``starts[t]``."""

    starts: Any
    series: Any
    h: Any
    price: Any
    feature: Any
    display: Any


class Weeks(NamedTuple):
    """Arrays of shape (weeks, series), float32; see `response.Response`."""

    x: Any
    price: Any
    discount: Any
    feature: Any
    display: Any
    level: Any
    adjusted: Any
    surprise: Any


class Series(NamedTuple):
    """State per series: whole numbers, sums and means; see `response.Response`."""

    store: Any
    product: Any
    window: Any
    in_window: Any
    regular: Any
    first: Any
    last_promo: Any
    last_positive: Any
    n_known: Any
    total: Any
    base: Any
    sums: Any
    gram: Any
    seen: Any


class Products(NamedTuple):
    """State per product: Gram and moment as (products, 9), lifts, recent weeks, effects of events.

    ``week`` (5, products) are sums over the series of one week: surprise, state, and their number.
    """

    gram: Any
    lift: Any
    recent: Any
    week: Any
    event_sum: Any
    event_n: Any


class Constants(NamedTuple):
    """Numbers of the learner; decays are per week, ``powers`` those of the regressions."""

    price_window: int
    unit_discount: np.float32
    level_decay: float
    powers: Any
    largest_surprise: float
    penalties: tuple[float, float, float]
    kernel_weeks: int
    kernel_unit: Any


@compiled
def solve(gram, s, scale, prior, p, penalty):  # pragma: no cover
    """Solve a 3 x 3 ridge regression whose sums are ``scale * gram[s]``.

    Columns of ``gram``: 00, 01, 02, 11, 12, 22 of the Gram and 3 of the moment; the solution is
    drawn to ``prior[:, p]``.
    """
    a = gram[s, 0] * scale + penalty
    d = gram[s, 3] * scale + penalty
    f = gram[s, 5] * scale + penalty
    b, c, e = gram[s, 1] * scale, gram[s, 2] * scale, gram[s, 4] * scale
    u = gram[s, 6] * scale + penalty * prior[0, p]
    v = gram[s, 7] * scale + penalty * prior[1, p]
    w = gram[s, 8] * scale + penalty * prior[2, p]
    q, r, z = d * f - e * e, c * e - b * f, b * e - c * d
    det = a * q + b * r + c * z
    one = (q * u + r * v + z * w) / det
    two = (r * u + (a * f - c * c) * v + (b * c - a * e) * w) / det
    three = (z * u + (b * c - a * e) * v + (a * d - b * b) * w) / det
    return one, two, three


@compiled
def discount_of(price, regular):  # pragma: no cover
    """Return the price cut as a fraction of the regular price, 0 where either is missing."""
    ratio = price / regular if price > 0 and regular > 0 else 1.0
    return np.float32(min(max(1.0 - ratio, -0.5), 0.9))


@compiled
def is_promo(discount, feature, display):  # pragma: no cover
    """Tell whether a week counts as a promotion."""
    return discount > np.float32(0.05) or feature > 0 or display > 0


@compiled
def _place_plan(t, plans, weeks):  # pragma: no cover
    """Note what a week cost and how it was promoted."""
    price, feature, display = weeks.price[t], weeks.feature[t], weeks.display[t]
    for s in range(len(price)):
        price[s], feature[s], display[s] = np.nan, 0, 0
    for row in range(plans.starts[t], plans.starts[t + 1]):
        if plans.h[row] == 0:
            s = plans.series[row]
            price[s] = plans.price[row]
            feature[s] = 0 if np.isnan(plans.feature[row]) else plans.feature[row]
            display[s] = 0 if np.isnan(plans.display[row]) else plans.display[row]


@compiled
def _compare_prices(t, weeks, series, constants):  # pragma: no cover
    """Move the windows of prices by a week; note discounts from their medians, and promotions."""
    price, discount, n_weeks = weeks.price[t], weeks.discount[t], constants.price_window
    for s in range(len(price)):
        old, new = weeks.price[max(t - n_weeks, 0), s], price[s]
        old = old if t >= n_weeks else np.float32(np.nan)
        if new != old and not (np.isnan(new) and np.isnan(old)):
            ranked, n = series.window[s], series.in_window[s]
            if not np.isnan(old):
                n = remove(ranked, n, old)
            if not np.isnan(new):
                n = insert(ranked, n, new)
            if n:
                series.regular[s] = (ranked[(n - 1) // 2] + ranked[n // 2]) / np.float32(2)
            series.in_window[s] = n
        discount[s] = discount_of(new, series.regular[s])
        if is_promo(discount[s], weeks.feature[t, s], weeks.display[t, s]):
            series.last_promo[s] = t


@compiled
def _learn_series(t, event, weeks, series, products, constants):  # pragma: no cover
    """Learn surprises, lifts, effects of events and levels of the series from a week."""
    decay, penalty = constants.powers[1], constants.penalties[2]
    most, of_week, gram = constants.largest_surprise, products.week, series.gram
    for s in range(weeks.x.shape[1]):
        x, p = np.float64(weeks.x[t, s]), series.product[s]
        before = np.float64(weeks.level[t - 1, s]) if t else np.nan
        surprise = x - before
        is_known = not np.isnan(surprise)
        if is_known:
            surprise = min(max(surprise, -most), most)
        i = np.float64(weeks.discount[t, s] / constants.unit_discount)
        j, k = np.float64(weeks.feature[t, s]), np.float64(weeks.display[t, s])
        lift = 0.0
        if (i != 0 or j != 0 or k != 0) and not np.isnan(x):
            scale = constants.powers[t - 1 - series.seen[s]]
            one, two, three = solve(gram, s, scale, products.lift, p, penalty)
            lift = i * one + j * two + k * three
            if is_known:
                _add_state(gram, s, scale * decay, i, j, k, surprise)
                _add_state(products.gram, p, 1.0, i, j, k, surprise)
                series.seen[s] = t
                of_week[1, p] += i
                of_week[2, p] += j
                of_week[3, p] += k
        weeks.surprise[t, s], weeks.adjusted[t, s] = surprise, x - lift
        if is_known:
            of_week[0, p] += surprise
            of_week[4, p] += 1
            here = event[series.store[s]]
            if here >= 0:
                products.event_sum[p, here] += surprise - lift
                products.event_n[p, here] += 1
        _learn_level(t, s, x, x - lift, series, constants.level_decay)
        weeks.level[t, s] = (
            series.sums[s, 1] / series.sums[s, 2] if series.sums[s, 2] > 0 else np.nan
        )


@compiled
def _add_state(gram, s, scale, i, j, k, surprise):  # pragma: no cover
    """Add a week's state and surprise to the sums of a regression, which count ``scale``."""
    gram[s, 0] = gram[s, 0] * scale + i * i
    gram[s, 1] = gram[s, 1] * scale + i * j
    gram[s, 2] = gram[s, 2] * scale + i * k
    gram[s, 3] = gram[s, 3] * scale + j * j
    gram[s, 4] = gram[s, 4] * scale + j * k
    gram[s, 5] = gram[s, 5] * scale + k * k
    gram[s, 6] = gram[s, 6] * scale + i * surprise
    gram[s, 7] = gram[s, 7] * scale + j * surprise
    gram[s, 8] = gram[s, 8] * scale + k * surprise


@compiled
def _learn_level(t, s, x, adjusted, series, decay):  # pragma: no cover
    """Move the two weighted means of a series by a week, where it is known."""
    if np.isnan(x):
        return
    sums = series.sums
    sums[s, 0] = sums[s, 0] * decay + x
    sums[s, 1] = sums[s, 1] * decay + adjusted
    sums[s, 2] = sums[s, 2] * decay + 1
    series.base[s] = sums[s, 0] / sums[s, 2]
    series.n_known[s] += 1
    series.total[s] += x
    if series.first[s] < 0:
        series.first[s] = t
    if x > 0:
        series.last_positive[s] = t


@compiled
def _learn_products(t, products, constants):  # pragma: no cover
    """Draw the lifts of the products to those of the region; keep their mean week."""
    n = products.gram.shape[0]
    region, nothing = np.zeros((1, 9)), np.zeros((3, 1))
    for p in range(n):
        for part in range(9):
            region[0, part] += products.gram[p, part]
    of_region = np.empty((3, 1))
    of_region[0, 0], of_region[1, 0], of_region[2, 0] = solve(
        region, 0, 1.0, nothing, 0, constants.penalties[0]
    )
    slot, week, recent = t % constants.kernel_weeks, products.week, products.recent
    for p in range(n):
        products.lift[0, p], products.lift[1, p], products.lift[2, p] = solve(
            products.gram, p, 1.0, of_region, 0, constants.penalties[1]
        )
        known = max(week[4, p], 1.0)
        for part in range(3):
            mean = np.float32(week[1 + part, p] / known)
            recent[p, part, slot] = mean / constants.kernel_unit[part]
        recent[p, 3, slot] = week[0, p] / known if week[4, p] > 0 else np.nan


@compiled
def _begin_week(products, decay):  # pragma: no cover
    """Forget a little of the products' regressions, and all of the week before."""
    for p in range(products.gram.shape[0]):
        for part in range(9):
            products.gram[p, part] *= decay
        for row in range(5):
            products.week[row, p] = 0


@compiled
def learn(first, stop, events, plans, weeks, series, products, constants):  # pragma: no cover
    """Learn from weeks ``first`` .. ``stop - 1``; ``events`` (weeks, stores) are codes, or -1."""
    for t in range(first, stop):
        _place_plan(t, plans, weeks)
        _compare_prices(t, weeks, series, constants)
        _begin_week(products, constants.powers[1])
        _learn_series(t, events[t], weeks, series, products, constants)
        _learn_products(t, products, constants)


@compiled
def lifts_of(t, series, products, constants, out):  # pragma: no cover
    """Write each series' lifts as known after week ``t``, shape (3, series)."""
    for s in range(out.shape[1]):
        scale = constants.powers[t - series.seen[s]]
        out[0, s], out[1, s], out[2, s] = solve(
            series.gram, s, scale, products.lift, series.product[s], constants.penalties[2]
        )


@compiled
def remember(first, stop, weeks, constants, recent):  # pragma: no cover
    """Write some weeks to their slots of each series' recent weeks, (series, 4, slots)."""
    unit, of_discount = constants.kernel_unit, constants.unit_discount
    for s in range(recent.shape[0]):
        for t in range(first, stop):
            slot = t % constants.kernel_weeks
            recent[s, 0, slot] = weeks.discount[t, s] / of_discount / unit[0]
            recent[s, 1, slot] = weeks.feature[t, s] / unit[1]
            recent[s, 2, slot] = weeks.display[t, s] / unit[2]
            recent[s, 3, slot] = weeks.surprise[t, s]
