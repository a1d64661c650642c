"""Compiled loops that write feature columns of the series' own weeks, and of related series.

Only numba functions of arrays belong here; each is called from the module that knows what its
numbers mean. Columns are rows of ``out``, one value per series.
"""

import numpy as np

from forecast_platform.forecasting.features.compiled import (
    compiled,
    insert,
    mean_by,
    means_known,
)


@compiled
def levels(t, x, windows, series, out):  # pragma: no cover
    """Write level, means of the last ``windows`` weeks and of all, and lags; see `demand`."""
    base, n_means = series.base, len(windows)
    mean = np.empty(x.shape[1])
    for s in range(len(base)):
        out[0, s] = base[s]
    for row in range(n_means):
        means_known(x[max(0, t - windows[row] + 1) : t + 1], mean)
        for s in range(len(mean)):
            out[1 + row, s] = 0 if np.isnan(mean[s]) else mean[s] - base[s]
    for s in range(len(mean)):
        out[1 + n_means, s] = series.total[s] / max(series.n_known[s], 1.0) - base[s]
    for row in range(2 + n_means, out.shape[0]):
        lag = row - 2 - n_means
        for s in range(len(mean)):
            value = x[t - lag, s] - base[s] if lag <= t else 0.0
            out[row, s] = 0 if np.isnan(value) else value


@compiled
def shape(t, recent, year, series, out):  # pragma: no cover
    """Write median, extremes and spread of recent weeks, shares of zeros, and ages."""
    mean, ranked = np.empty(recent.shape[1]), np.empty(recent.shape[0], recent.dtype)
    zeros, known = np.zeros(recent.shape[1]), np.zeros(recent.shape[1])
    means_known(recent, mean)
    for week in range(year.shape[0]):
        for s in range(len(mean)):
            value = year[week, s]
            zeros[s] += value == 0
            known[s] += not np.isnan(value)
    for s in range(len(mean)):
        base, n, n_zero, squares = series.base[s], 0, 0, 0.0
        for week in range(recent.shape[0]):
            value = recent[week, s]
            if not np.isnan(value):
                n = insert(ranked, n, value)
                n_zero += value == 0
                squares += (value - mean[s]) ** 2
        out[0, s] = (ranked[(n - 1) // 2] + ranked[n // 2]) / 2 - base if n else 0
        out[1, s] = ranked[0] - base if n else 0
        out[2, s] = ranked[n - 1] - base if n else 0
        out[3, s] = np.sqrt(squares / max(n, 1))
        out[4, s] = n_zero / n if n else 0
        out[5, s] = zeros[s] / known[s] if known[s] else 0
        age, last = t - series.first[s] + 1, series.last_positive[s]
        out[6, s] = np.log1p(np.float64(t - last if last >= 0 else age))
        out[7, s] = np.log1p(np.float64(age))


@compiled
def strength(t, weeks, spans, is_large, n_products, shrink, series, out):  # pragma: no cover
    """Write the strength elsewhere, and trends by group for each span of weeks.

    Groups are products, stores and the region; elsewhere are the other stores of the format, of
    which ``is_large`` tells by store. The last two rows are the clean level, and its mean over the
    first span.
    """
    n, n_spans, counts = len(series.base), len(spans), (n_products, len(is_large), 1)
    recent, level, region = np.empty(n), weeks.level[t], np.zeros(n, np.int64)
    for span in range(n_spans):
        means_known(weeks.adjusted[max(0, t - spans[span] + 1) : t + 1], recent)
        for s in range(n):
            recent[s] -= level[s]
            if span == 0:
                value = recent[s] + level[s] - series.base[s]
                out[3 + 3 * n_spans, s] = 0 if np.isnan(value) else value
        for one, group in enumerate((series.product, series.store, region)):
            trend = mean_by(group, recent, counts[one], shrink)
            for s in range(n):
                out[2 + one * n_spans + span, s] = trend[group[s]]
    of_format = series.product * 2 + is_large[series.store]
    _levels_elsewhere(level, of_format, 2 * n_products, series, out)
    for s in range(n):
        out[2 + 3 * n_spans, s] = np.float64(level[s]) - series.base[s]


@compiled
def _levels_elsewhere(level, group, n_groups, series, out):  # pragma: no cover
    """Write the mean level of the others of the group, and what of it history has not told."""
    total, known = np.zeros(n_groups), np.zeros(n_groups)
    for s in range(len(group)):
        if not np.isnan(level[s]):
            total[group[s]] += level[s]
            known[group[s]] += 1
    for s in range(len(group)):
        is_known, value = not np.isnan(level[s]), np.nan
        others = known[group[s]] - is_known
        if others > 0:
            own = np.float64(level[s]) if is_known else 0.0
            value = (total[group[s]] - own) / others - series.base[s]
        value = 0.0 if np.isnan(value) else value
        out[0, s], out[1, s] = value, value / (1 + series.n_known[s] / 4)


@compiled
def promotion_history(first, half, t, weeks, out):  # pragma: no cover
    """Write the lift of the promotions since week ``first``, and their share since ``half``."""
    n = out.shape[1]
    lift, promos, recent = np.zeros(n, np.float32), np.zeros(n), np.zeros(n)
    least = np.float32(0.05)
    for week in range(first, t + 1):
        is_recent = 1.0 if week >= half else 0.0
        for s in range(n):
            surprise = weeks.surprise[week, s]
            is_promo = (
                (weeks.discount[week, s] > least)
                | (weeks.feature[week, s] > 0)
                | (weeks.display[week, s] > 0)
            ) & (not np.isnan(surprise))
            lift[s] += surprise if is_promo else np.float32(0)
            promos[s] += is_promo
            recent[s] += is_recent if is_promo else 0.0
    for s in range(n):
        out[0, s] = lift[s] / (promos[s] + 1)
        out[1, s] = recent[s] / (t + 1 - half)


@compiled
def year_ago(t, year, weeks, product, n_products, columns, at):  # pragma: no cover
    """Write the growth from the level a year ago to the mean of the weeks around the target's.

    Without weeks around, no growth is known. See `demand.write_year_ago`.
    """
    n = len(product)
    growth, region = np.empty(n), np.zeros(n, np.int64)
    for h in range(1, len(columns) + 1):
        out, last = columns[h - 1, at:], t + h - year + 2
        growth[:] = np.nan
        if last > 0 and t >= year:
            means_known(weeks.adjusted[max(0, last - 3) : last], growth)
            for s in range(n):
                growth[s] -= weeks.level[t - year, s]
        of_product = mean_by(product, growth, n_products, 1.0)
        of_region = mean_by(region, growth, 1, 1.0)[0]
        for s in range(n):
            missing = np.isnan(growth[s])
            out[0, s] = 0 if missing else min(max(growth[s], -3.0), 3.0)
            out[1, s], out[2, s] = of_product[product[s]], of_region
            out[3, s] = missing


@compiled
def spread(values, group, out):  # pragma: no cover
    """Give each series the values of its group; a group of -1 is the last column."""
    for row in range(values.shape[0]):
        for s in range(len(group)):
            out[row, s] = values[row, group[s]]


@compiled
def spread_ahead(values, group, columns, at):  # pragma: no cover
    """Give each series the values (h, n, groups) of its group, for all weeks ahead."""
    for h in range(len(columns)):
        spread(values[h], group, columns[h, at : at + values.shape[1]])


@compiled
def take(columns, is_shared, alive, start, out):  # pragma: no cover
    """Copy the columns of the series alive in each week ahead, in order, from ``start`` on.

    The shared ones are those of the first week ahead.
    """
    for h in range(len(columns)):
        series = np.flatnonzero(alive[h])
        is_whole = len(series) == alive.shape[1]
        for row in range(out.shape[0]):
            source = columns[0, row] if is_shared[row] else columns[h, row]
            for place in range(len(series)):
                out[row, start + place] = source[place] if is_whole else source[series[place]]
        start += len(series)


@compiled
def take_codes(codes, events, store, alive, start, out):  # pragma: no cover
    """Copy codes (n, series) as `take` copies columns, behind those of the series themselves.

    Then come the events (h + 2, stores) of the target week, of the next and of the one before.
    """
    n = len(codes)
    for h in range(len(alive)):
        for s in range(alive.shape[1]):
            if alive[h, s]:
                out[0, start] = s
                for row in range(n):
                    out[1 + row, start] = codes[row, s]
                out[n + 1, start] = events[h + 1, store[s]]
                out[n + 2, start] = events[h + 2, store[s]]
                out[n + 3, start] = events[h, store[s]]
                start += 1


@compiled
def fast_products(units, of_format, product, n_products, n_formats):  # pragma: no cover
    """Tell which products are fast in a format, (formats, products), by recent units (weeks, n)."""
    volume, rows = np.zeros((n_formats, n_products)), np.zeros((n_formats, n_products))
    n = units.shape[1]
    total, known = np.zeros(n), np.zeros(n)
    for week in range(units.shape[0]):
        for s in range(n):
            is_known = not np.isnan(units[week, s])
            total[s] += units[week, s] if is_known else 0
            known[s] += is_known
    for s in range(n):
        if of_format[s] >= 0:
            volume[of_format[s], product[s]] += total[s]
            rows[of_format[s], product[s]] += known[s]
    fast = np.empty((n_formats, n_products), np.bool_)
    for one in range(n_formats):
        for p in range(n_products):
            volume[one, p] /= max(rows[one, p], 1.0)
        upper = upper_half(volume[one], rows[one] > 0)
        for p in range(n_products):
            fast[one, p] = upper[p]
    return fast


@compiled
def upper_half(volume, sold):  # pragma: no cover
    """Tell which of the sold products are in the upper half; ties are in the order given."""
    order = np.flatnonzero(sold)
    order = order[np.argsort(volume[order], kind="mergesort")]
    fast = np.zeros(len(volume), np.bool_)
    for place in range(len(order) // 2, len(order)):
        fast[order[place]] = True
    return fast
