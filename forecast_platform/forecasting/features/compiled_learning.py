"""Compiled loops of `response`: what is learnt from each week of each series.

Only numba functions of arrays belong here; what the numbers mean is said in `response`. A series'
regression is decayed when it is next read, not week by week: most weeks have no promotion, and of
these a regression learns nothing.
"""

from typing import Any, NamedTuple

import numpy as np

from forecast_platform.forecasting.features.compiled import compiled
from forecast_platform.forecasting.features.compiled_prices import BLOCK, compare_prices


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
    """State per series: whole numbers, sums and means; see `response.Response`.

    ``middle`` (2, series) are the lower and the upper median of recent prices, ``ranks`` (5,
    series) how many of these are known, below and up to the lower, below and up to the upper one.
    ``sums`` (3, series) are of demand, of demand without lifts, and of weights.
    """

    store: Any
    product: Any
    middle: Any
    ranks: Any
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
def _learn_series(t, event, weeks, series, products, constants):  # pragma: no cover
    """Learn surprises, lifts, effects of events and levels of the series from a week.

    Series by the block, in loops without much of a branch: those with a promotion are found first.
    """
    x, surprise, lift, found = (
        weeks.x[t],
        np.empty(BLOCK),
        np.empty(BLOCK),
        np.empty(BLOCK, np.int64),
    )
    before, has_event = weeks.level[max(t - 1, 0)], (event >= 0).any()
    if t == 0:
        before[:] = np.nan
    for left in range(0, len(x), BLOCK):
        block = slice(left, min(len(x), left + BLOCK))
        _note_surprises(
            x[block], before[block], constants.largest_surprise, surprise, weeks.surprise[t, block]
        )
        n = _find_promoted(t, left, weeks, found)
        _learn_lifts(t, left, found[:n], surprise, weeks, series, products, constants, lift)
        _add_surprises(surprise, series.product[block], products.week)
        if has_event:
            _add_effects(left, event, surprise, lift, series, products)
        _learn_levels(t, left, lift, weeks, series.sums, constants.level_decay)


@compiled
def _note_surprises(x, before, most, exact, out):  # pragma: no cover
    """Write the demand over the level before, within bounds; NaN where either is missing."""
    for s in range(len(x)):
        surprise = np.float64(x[s]) - np.float64(before[s])
        surprise = -most if surprise < -most else surprise
        surprise = most if surprise > most else surprise
        exact[s], out[s] = surprise, surprise


@compiled
def _find_promoted(t, left, weeks, found):  # pragma: no cover
    """Write the series of a block with a promotion and known demand; return how many."""
    n, x, discount = 0, weeks.x[t, left:], weeks.discount[t, left:]
    feature, display = weeks.feature[t, left:], weeks.display[t, left:]
    for s in range(min(BLOCK, len(x))):
        found[n] = s
        is_promoted = (discount[s] != 0) | (feature[s] != 0) | (display[s] != 0)
        n += is_promoted & (not np.isnan(x[s]))
    return n


@compiled
def _learn_lifts(
    t, left, found, surprise, weeks, series, products, constants, lift
):  # pragma: no cover
    """Write what promotions were expected to lift, then learn from what they did."""
    discount, feature, display = weeks.discount[t], weeks.feature[t], weeks.display[t]
    gram, of_product, of_week = series.gram, products.gram, products.week
    powers, penalty, unit = constants.powers, constants.penalties[2], constants.unit_discount
    product, seen, prior = series.product, series.seen, products.lift
    lift[:] = 0
    for at in found:
        s = left + at
        i, j, k = np.float64(discount[s] / unit), np.float64(feature[s]), np.float64(display[s])
        p, scale = product[s], powers[t - 1 - seen[s]]
        one, two, three = solve(gram, s, scale, prior, p, penalty)
        lift[at] = i * one + j * two + k * three
        if not np.isnan(surprise[at]):
            _add_state(gram, s, scale * powers[1], i, j, k, surprise[at])
            _add_state(of_product, p, 1.0, i, j, k, surprise[at])
            seen[s] = t
            of_week[1, p] += i
            of_week[2, p] += j
            of_week[3, p] += k


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
def _add_surprises(surprise, product, of_week):  # pragma: no cover
    """Add what is known of a block of series to the week of their products."""
    for s in range(len(product)):
        if not np.isnan(surprise[s]):
            of_week[0, product[s]] += surprise[s]
            of_week[4, product[s]] += 1


@compiled
def _add_effects(left, event, surprise, lift, series, products):  # pragma: no cover
    """Add what is known of a block of series to the effects of their stores' events."""
    total, n_rows = products.event_sum, products.event_n
    store, product = series.store[left : left + BLOCK], series.product[left : left + BLOCK]
    for s in range(len(store)):
        here = event[store[s]]
        if here >= 0 and not np.isnan(surprise[s]):
            total[product[s], here] += surprise[s] - lift[s]
            n_rows[product[s], here] += 1


@compiled
def _learn_levels(t, left, lift, weeks, sums, decay):  # pragma: no cover
    """Move the weighted mean of each series' clean demand by a week, where it is known."""
    x, level, adjusted = weeks.x[t, left:], weeks.level[t, left:], weeks.adjusted[t, left:]
    clean, weight = sums[1, left:], sums[2, left:]
    for s in range(min(BLOCK, len(x))):
        value, is_known = np.float64(x[s]) - lift[s], not np.isnan(x[s])
        total = clean[s] * decay + value if is_known else clean[s]
        known = weight[s] * decay + 1 if is_known else weight[s]
        adjusted[s], clean[s], weight[s] = value, total, known
        level[s] = total / known if known > 0 else np.nan


@compiled
def _sum_up(first, stop, weeks, series, decay):  # pragma: no cover
    """Count and sum up what the series did in some weeks that were learnt from."""
    n, sums = weeks.x.shape[1], series.sums
    for left in range(0, n, BLOCK):
        block = slice(left, min(n, left + BLOCK))
        for t in range(first, stop):
            _count_week(t, weeks.x[t, block], block, series, decay)
    for s in range(n):
        series.base[s] = sums[0, s] / sums[2, s]


@compiled
def _count_week(t, x, block, series, decay):  # pragma: no cover
    """Count a week of a block of series in."""
    n_known, total, weighted = series.n_known[block], series.total[block], series.sums[0, block]
    earliest, last_positive = series.first[block], series.last_positive[block]
    for s in range(len(x)):
        value = np.float64(x[s])
        is_known = not np.isnan(value)
        weighted[s] = weighted[s] * decay + value if is_known else weighted[s]
        total[s] += value if is_known else 0
        n_known[s] += is_known
        earliest[s] = t if is_known & (earliest[s] < 0) else earliest[s]
        last_positive[s] = t if value > 0 else last_positive[s]


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
def learn(first, stop, events, weeks, series, products, constants):  # pragma: no cover
    """Learn from weeks ``first`` .. ``stop - 1``; ``events`` (weeks, stores) are codes, or -1."""
    compare_prices(first, stop, weeks, series, constants.price_window)
    for t in range(first, stop):
        _begin_week(products, constants.powers[1])
        _learn_series(t, events[t], weeks, series, products, constants)
        _learn_products(t, products, constants)
    _sum_up(first, stop, weeks, series, constants.level_decay)


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
