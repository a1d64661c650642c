"""Compiled loops of `response`: what was regular of each series' price, and what was cut off it.

Only numba functions of arrays belong here. The regular price is the median of a window of weeks.
Of the window, only its middle and how many prices lie where around it is kept: a new price that
leaves the middle where it is, as most do, moves counts and no more.
"""

import numpy as np

from forecast_platform.forecasting.features.compiled import compiled

BLOCK = 256
"""Series that pass over the weeks together, so that what is kept of them stays in the cache."""


@compiled
def discount_of(price, regular):  # pragma: no cover
    """Return the price cut as a fraction of the regular price, 0 where either is missing."""
    is_known = (price > 0) & (regular > 0)
    ratio = price / regular if is_known else 1.0
    return np.float32(min(max(1.0 - ratio, -0.5), 0.9))


@compiled
def is_promo(discount, feature, display):  # pragma: no cover
    """Tell whether a week counts as a promotion."""
    return (discount > np.float32(0.05)) | (feature > 0) | (display > 0)


@compiled
def compare_prices(first, stop, weeks, series, length):  # pragma: no cover
    """Note the discounts from the median price of ``length`` weeks, and the last promotions."""
    n = weeks.price.shape[1]
    nothing, found = np.full(n, np.float32(np.nan)), np.empty(BLOCK, np.int64)
    window = np.empty(length, np.float32)
    for left in range(0, n, BLOCK):
        block = slice(left, min(n, left + BLOCK))
        low, high, ranks = series.middle[0, block], series.middle[1, block], series.ranks[:, block]
        regular = series.regular[block]
        for t in range(first, stop):
            new = weeks.price[t, block]
            old = (weeks.price[t - length] if t >= length else nothing)[block]
            _count_known(new, old, ranks[0])
            _count_around(new, old, low, ranks[1], ranks[2])
            _count_around(new, old, high, ranks[3], ranks[4])
            n_moved, last = _find_moved(ranks, found), weeks.price[max(0, t - length + 1) : t + 1]
            _find_middles(last[:, block], found[:n_moved], low, high, ranks, regular, window)
            _note_discounts(t, block, weeks, series)


@compiled
def _count_known(new, old, known):  # pragma: no cover
    """Count a week of prices in and another out."""
    for s in range(len(new)):
        known[s] += np.int32(not np.isnan(new[s])) - np.int32(not np.isnan(old[s]))


@compiled
def _count_around(new, old, middle, below, up_to):  # pragma: no cover
    """Count a week in and another out of what lies below a price, and up to it."""
    for s in range(len(new)):
        below[s] += np.int32(new[s] < middle[s]) - np.int32(old[s] < middle[s])
        up_to[s] += np.int32(new[s] <= middle[s]) - np.int32(old[s] <= middle[s])


@compiled
def _find_moved(ranks, found):  # pragma: no cover
    """Write the series whose middle is no longer in the middle; return how many."""
    n, known, below, up_to, under, over = 0, ranks[0], ranks[1], ranks[2], ranks[3], ranks[4]
    for s in range(len(known)):
        lower, upper = (known[s] - 1) >> 1, known[s] >> 1
        stays = (below[s] <= lower) & (lower < up_to[s]) & (under[s] <= upper) & (upper < over[s])
        found[n] = s
        n += (not stays) & (known[s] > 0)
    return n


@compiled
def _find_middles(last, moved, low, high, ranks, regular, window):  # pragma: no cover
    """Find the middle of some series' windows, and how many prices lie where around it."""
    below, up_to, under, over = ranks[1], ranks[2], ranks[3], ranks[4]
    for s in moved:
        n = 0
        for week in range(len(last)):
            window[n] = last[week, s]
            n += not np.isnan(last[week, s])
        lower, upper = (n - 1) >> 1, n >> 1
        low[s], below[s], up_to[s] = _moved(window, n, lower, low[s], below[s], up_to[s])
        high[s], under[s], over[s] = _moved(window, n, upper, high[s], under[s], over[s])
        regular[s] = (low[s] + high[s]) / np.float32(2)


@compiled
def _moved(window, n, rank, price, below, up_to):  # pragma: no cover
    """Go from a price to its neighbours until it is the one of this rank; count around it."""
    if np.isnan(price):
        price = window[0]
        below, up_to = _n_below(window, n, price), _n_up_to(window, n, price)
    while rank >= up_to:
        price = _next_higher(window, n, price)
        below, up_to = up_to, _n_up_to(window, n, price)
    while rank < below:
        price = _next_lower(window, n, price)
        below, up_to = _n_below(window, n, price), below
    return price, below, up_to


@compiled
def _n_below(window, n, price):  # pragma: no cover
    found = np.int32(0)
    for one in range(n):
        found += np.int32(window[one] < price)
    return found


@compiled
def _n_up_to(window, n, price):  # pragma: no cover
    found = np.int32(0)
    for one in range(n):
        found += np.int32(window[one] <= price)
    return found


@compiled
def _next_lower(window, n, price):  # pragma: no cover
    """Return the highest price below a price; there is one."""
    found = np.float32(-np.inf)
    for one in range(n):
        value = window[one]
        found = value if (value < price) & (value > found) else found
    return found


@compiled
def _next_higher(window, n, price):  # pragma: no cover
    """Return the lowest price above a price; there is one."""
    found = np.float32(np.inf)
    for one in range(n):
        value = window[one]
        found = value if (value > price) & (value < found) else found
    return found


@compiled
def _note_discounts(t, block, weeks, series):  # pragma: no cover
    """Note each series' discount in a week, and whether it was a promotion."""
    price, discount = weeks.price[t, block], weeks.discount[t, block]
    feature, display = weeks.feature[t, block], weeks.display[t, block]
    regular, last_promo = series.regular[block], series.last_promo[block]
    for s in range(len(price)):
        discount[s] = discount_of(price[s], regular[s])
        promoted = is_promo(discount[s], feature[s], display[s])
        last_promo[s] = t if promoted else last_promo[s]
