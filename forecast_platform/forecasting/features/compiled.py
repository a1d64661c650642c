"""Compiled loops over weeks and series, where numpy would make a dozen passes.

Only numba functions of arrays belong here; each is called from the module that knows what its
numbers mean. Compiled code is kept beside the package: the first call ever costs seconds of
compilation, the first of a process milliseconds.
"""

import numba
import numpy as np

SLOTS = 64
"""Places for recent weeks: a multiple of what the processor sums at once, where it is fastest."""

NO_TIME = np.iinfo(np.int64).min
"""Time stamp that stands for none."""

_compiled = numba.njit(cache=True, error_model="numpy")


@_compiled
def mean_known(values, fallback, out):  # pragma: no cover
    """Write the mean over weeks of what is not NaN, else the fallback."""
    n = values.shape[1]
    total, known = np.zeros(n, values.dtype), np.zeros(n, np.int32)
    for week in range(values.shape[0]):
        for s in range(n):
            value = values[week, s]
            is_known = not np.isnan(value)
            total[s] += value if is_known else 0
            known[s] += is_known
    for s in range(n):
        out[s] = total[s] / known[s] if known[s] else fallback[s]


@_compiled
def median_known(values, fallback, out):  # pragma: no cover
    """Write the median over weeks of what is not NaN, else the fallback."""
    ranked = np.empty(values.shape[0], values.dtype)
    for s in range(values.shape[1]):
        n = 0
        for week in range(values.shape[0]):
            value = values[week, s]
            if not np.isnan(value):
                n = _insert(ranked, n, value)
        out[s] = (ranked[(n - 1) // 2] + ranked[n // 2]) / 2 if n else fallback[s]


@_compiled
def _insert(ranked, n, value):  # pragma: no cover
    place = n
    while place > 0 and ranked[place - 1] > value:
        ranked[place] = ranked[place - 1]
        place -= 1
    ranked[place] = value
    return n + 1


@_compiled
def _remove(ranked, n, value):  # pragma: no cover
    place = 0
    while ranked[place] != value:
        place += 1
    for at in range(place, n - 1):
        ranked[at] = ranked[at + 1]
    return n - 1


@_compiled
def slide_median(old, new, ranked, n_ranked, median):  # pragma: no cover
    """Move a window of one value per week by a week, and write its median.

    ``ranked[s, :n_ranked[s]]`` holds the known values of a series' window in order; ``old`` leaves
    it, ``new`` enters. The median of an empty window stays what it was.
    """
    for s in range(len(new)):
        n = n_ranked[s]
        if not np.isnan(old[s]):
            n = _remove(ranked[s], n, old[s])
        if not np.isnan(new[s]):
            n = _insert(ranked[s], n, new[s])
        if n:
            median[s] = (ranked[s, (n - 1) // 2] + ranked[s, n // 2]) / np.float32(2)
        n_ranked[s] = n


@_compiled
def total_by(group, values, out):  # pragma: no cover
    """Add each value that is not NaN to the total of its group."""
    for row in range(len(values)):
        if not np.isnan(values[row]):
            out[group[row]] += values[row]


@_compiled
def mean_by(group, values, shrink, out):  # pragma: no cover
    """Write the mean per group of what is not NaN, with ``shrink`` more rows of nothing."""
    known = np.full(len(out), shrink)
    out[:] = 0
    for row in range(len(values)):
        if not np.isnan(values[row]):
            out[group[row]] += values[row]
            known[group[row]] += 1
    for one in range(len(out)):
        out[one] = out[one] / known[one] if known[one] > 0 else 0


@_compiled
def largest_of_others(group, values, n_groups, out):  # pragma: no cover
    """Write for each row the largest of the other rows of its group, else -inf."""
    first, second = np.full(n_groups, -np.inf), np.full(n_groups, -np.inf)
    holder = np.full(n_groups, -1)
    for row in range(len(values)):
        one, value = group[row], values[row]
        if holder[one] < 0 or value > first[one]:
            second[one], first[one], holder[one] = first[one], value, row
        elif value > second[one]:
            second[one] = value
    for row in range(len(values)):
        one = group[row]
        out[row] = second[one] if holder[one] == row else first[one]


@_compiled
def learn_events(product, event, effect, sums, counts):  # pragma: no cover
    """Add the effect of each series' event, where there is one, to its product's."""
    for s in range(len(event)):
        if event[s] >= 0 and not np.isnan(effect[s]):
            sums[product[s], event[s]] += effect[s]
            counts[product[s], event[s]] += 1


@_compiled
def learn_products(state, surprise, product, decay, gram, moment, sums):  # pragma: no cover
    """Move each series' regression sums by a week, and total them and the week by product.

    Rows of ``sums``, one column per product: 6 of the Gram, 3 of the moment, surprise, 3 of the
    state, and the number of series that were known.
    """
    for row in range(14):
        sums[row] = 0
    for s in range(len(surprise)):
        is_known = not np.isnan(surprise[s])
        r = surprise[s] if is_known else 0.0
        p, pair = product[s], 0
        for i in range(3):
            a = state[i, s] if is_known else 0.0
            for j in range(i, 3):
                b = state[j, s] if is_known else 0.0
                gram[pair, s] = gram[pair, s] * decay + a * b
                sums[pair, p] += gram[pair, s]
                pair += 1
            moment[i, s] = moment[i, s] * decay + a * r
            sums[6 + i, p] += moment[i, s]
            sums[10 + i, p] += a
        sums[9, p] += r
        sums[13, p] += is_known


@_compiled
def ridge(gram, moment, prior, column, penalty, out):  # pragma: no cover
    """Solve a 3 x 3 ridge regression per column of ``gram``; the prior is ``prior[:, column]``."""
    for s in range(gram.shape[1]):
        a, d, f = gram[0, s] + penalty, gram[3, s] + penalty, gram[5, s] + penalty
        b, c, e = gram[1, s], gram[2, s], gram[4, s]
        u = moment[0, s] + penalty * prior[0, column[s]]
        v = moment[1, s] + penalty * prior[1, column[s]]
        w = moment[2, s] + penalty * prior[2, column[s]]
        p, q, r = d * f - e * e, c * e - b * f, b * e - c * d
        det = a * p + b * q + c * r
        out[0, s] = (p * u + q * v + r * w) / det
        out[1, s] = (q * u + (a * f - c * c) * v + (b * c - a * e) * w) / det
        out[2, s] = (r * u + (b * c - a * e) * v + (a * d - b * b) * w) / det


@_compiled
def learn_levels(x, adjusted, decay, sums, weights, levels):  # pragma: no cover
    """Move the two weighted means of each series by a week, where it is known."""
    for s in range(len(x)):
        if not np.isnan(x[s]):
            sums[0, s] = sums[0, s] * decay + x[s]
            sums[1, s] = sums[1, s] * decay + adjusted[s]
            weights[s] = weights[s] * decay + 1
        for i in range(2):
            levels[i, s] = sums[i, s] / weights[s] if weights[s] > 0 else np.nan


@_compiled
def remember(state, surprise, slot, recent):  # pragma: no cover
    """Write a week into a slot of each series' recent weeks, shape (series, 4, slots)."""
    for s in range(len(surprise)):
        for part in range(3):
            recent[s, part, slot] = state[part, s]
        recent[s, 3, slot] = surprise[s]


@numba.njit(cache=True, error_model="numpy", fastmath={"reassoc", "contract"})
def _kernel_sums(recent, decay, i, j, k):  # pragma: no cover
    """Return the sums of `similar_weeks` for one series and the wanted state ``i, j, k``."""
    one, four = np.float32(1), np.float32(4)
    a = b = c = d = np.float32(0)
    for slot in range(len(decay)):
        p, q, r = recent[0, slot] - i, recent[1, slot] - j, recent[2, slot] - k
        distance = p * p + q * q + r * r
        broad, narrow = one / (one + distance), one / (one + four * distance)
        narrow *= narrow
        surprise = recent[3, slot]
        is_known = not np.isnan(surprise)
        weight = decay[slot] if is_known else np.float32(0)
        value = surprise * weight if is_known else np.float32(0)
        a += narrow * value
        b += narrow * weight
        c += broad * value
        d += broad * weight
    return a, b, c, d


@_compiled
def similar_weeks(recent, decay, column, wanted, out):  # pragma: no cover
    """Sum the recent weeks of a history by how like their states are to a wanted one.

    ``recent`` is (histories, 4, slots): three parts of the state, and the surprise, NaN where
    there is none; ``decay`` (slots,) weighs the slots, and series ``s`` reads the history
    ``column[s]``. ``wanted`` is (h, 3, series). Written to ``out`` (h, 4, series): total and weight
    of the narrow kernel, then of the broad one.
    """
    for s in range(len(column)):
        for h in range(wanted.shape[0]):
            i, j, k = wanted[h, 0, s], wanted[h, 1, s], wanted[h, 2, s]
            a, b, c, d = _kernel_sums(recent[column[s]], decay, i, j, k)
            out[h, 0, s], out[h, 1, s], out[h, 2, s], out[h, 3, s] = a, b, c, d


@numba.njit(cache=True, error_model="numpy", fastmath={"reassoc", "contract"})
def like_prices(past, weight, wanted, out):  # pragma: no cover
    """Sum past weeks by how like their price, feature and display are to the wanted ones.

    ``past`` is (4, weeks, series): the three parts of a week in units of their own, and its demand;
    ``weight`` (weeks, series) is 0 where there is none. ``wanted`` is (3, series). Written to
    ``out`` (6, series): total and weight of the sharp, the narrow and the broad kernel.
    """
    one, four, sixteen = np.float32(1), np.float32(4), np.float32(16)
    out[:] = 0
    for week in range(weight.shape[0]):
        for s in range(weight.shape[1]):
            p, q = past[0, week, s] - wanted[0, s], past[1, week, s] - wanted[1, s]
            r = past[2, week, s] - wanted[2, s]
            distance = p * p + q * q + r * r
            sharp, narrow = one / (one + sixteen * distance), one / (one + four * distance)
            age, demand = weight[week, s], past[3, week, s]
            sharp, narrow, broad = (
                sharp * sharp * age,
                narrow * narrow * age,
                age / (one + distance),
            )
            out[0, s] += sharp * demand
            out[1, s] += sharp
            out[2, s] += narrow * demand
            out[3, s] += narrow
            out[4, s] += broad * demand
            out[5, s] += broad


@_compiled
def periods(stamps, start, length, missing, out):  # pragma: no cover
    """Write in which period of ``length`` from ``start`` on each time stamp (ns, us ..) lies."""
    last, period = start, 0
    for row in range(len(stamps)):
        stamp = stamps[row]
        if stamp != last:
            last, period = stamp, missing
            if stamp != NO_TIME:
                period = (stamp - start) // length
        out[row] = period


@_compiled
def known_rows(stamps, h, start, length, is_cutoff, rows, weeks, starts):  # pragma: no cover
    """Find the rows of plans that are read: what happened (h = 0), and all of each cutoff.

    Writes their positions, their weeks from ``start`` on, and where among them another week
    begins or rows were left out; returns how many rows, and how many of these starts.
    """
    n, n_starts, last, week, inside, before = 0, 0, start - 1, -1, False, -2
    for row in range(len(stamps)):
        if stamps[row] != last:
            last = stamps[row]
            week = (last - start) // length if last != NO_TIME else -1
            inside, before = 0 <= week < len(is_cutoff), -2
        if inside and (h[row] == 0 or is_cutoff[week]):
            if row != before + 1:
                starts[n_starts] = n
                n_starts += 1
            rows[n], weeks[n], before = row, week, row
            n += 1
    return n, n_starts


@_compiled
def scatter(weeks, series, values, out, last_row):  # pragma: no cover
    """Write each row's value to its week and series; note the last row of each series."""
    for row in range(len(weeks)):
        out[weeks[row], series[row]] = values[row]
        last_row[series[row]] = row
