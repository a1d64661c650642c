"""Compiled loops of `response`: what is learnt from each week of each series.

Only numba functions of arrays belong here, and the tuples of arrays that they share; what the
numbers mean is said in `response`, regressions are in `compiled_lifts`.

Numba keeps compiled code by the classes of its arguments: a class that moves to another file makes
code that older versions kept unreadable.
"""

from typing import Any, NamedTuple

import numpy as np

from forecast_platform.forecasting.features.compiled import compiled
from forecast_platform.forecasting.features.compiled_lifts import (
    add_state,
    begin_week,
    learn_products,
    solve,
)
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
            add_state(gram, s, scale * powers[1], i, j, k, surprise[at])
            add_state(of_product, p, 1.0, i, j, k, surprise[at])
            seen[s] = t
            of_week[1, p] += i
            of_week[2, p] += j
            of_week[3, p] += k


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
def learn(first, stop, events, weeks, series, products, constants):  # pragma: no cover
    """Learn from weeks ``first`` .. ``stop - 1``; ``events`` (weeks, stores) are codes, or -1."""
    compare_prices(first, stop, weeks, series, constants.price_window)
    for t in range(first, stop):
        begin_week(products, constants.powers[1])
        _learn_series(t, events[t], weeks, series, products, constants)
        learn_products(t, products, constants)
    _sum_up(first, stop, weeks, series, constants.level_decay)


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
