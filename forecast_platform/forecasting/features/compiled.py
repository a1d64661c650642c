"""Compiled loops over weeks and series, where numpy would make a dozen passes.

Only numba functions of arrays belong here; each is called from the module that knows what its
numbers mean. Compiled code is kept beside the package: the first call ever costs seconds of
compilation, the first of a process milliseconds.
"""

import numpy as np

from forecast_platform.forecasting.compiling import FAST, kept

SLOTS = 64
"""Places for recent weeks: a multiple of what the processor sums at once, where it is fastest."""

NO_TIME = np.iinfo(np.int64).min
"""Time stamp that stands for none."""

compiled = kept()


@compiled
def insert(ranked, n, value):  # pragma: no cover
    """Put a value to its place among the first ``n``, which are in order; return their number."""
    place = n
    while place > 0 and ranked[place - 1] > value:
        ranked[place] = ranked[place - 1]
        place -= 1
    ranked[place] = value
    return n + 1


@compiled
def means_known(values, out):  # pragma: no cover
    """Write the mean over weeks of what is not NaN, NaN where nothing is."""
    n = values.shape[1]
    total, known = np.zeros(n, values.dtype), np.zeros(n, np.int32)
    for week in range(values.shape[0]):
        for s in range(n):
            value = values[week, s]
            is_known = not np.isnan(value)
            total[s] += value if is_known else 0
            known[s] += is_known
    for s in range(n):
        out[s] = total[s] / known[s] if known[s] else np.nan


@compiled
def mean_by(group, values, n_groups, shrink):  # pragma: no cover
    """Return the mean per group of what is not NaN, with ``shrink`` more rows of nothing."""
    total, known = np.zeros(n_groups), np.full(n_groups, shrink)
    for row in range(len(values)):
        if not np.isnan(values[row]):
            total[group[row]] += values[row]
            known[group[row]] += 1
    for one in range(n_groups):
        total[one] = total[one] / known[one] if known[one] > 0 else 0
    return total


@kept(fastmath=FAST)
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


@compiled
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


@compiled
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


@compiled
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


@compiled
def starts_of(weeks, starts):  # pragma: no cover
    """Write the rows at which another week begins; return how many."""
    n = 0
    for row in range(len(weeks)):
        starts[n] = row
        n += row == 0 or weeks[row] != weeks[row - 1]
    return n


@compiled
def scatter(weeks, first, series, values, out, last_row):  # pragma: no cover
    """Write each row's value to its week, from ``first`` on, and series; note its last row."""
    for row in range(len(weeks)):
        out[weeks[row] - first, series[row]] = values[row]
        last_row[series[row]] = row


@compiled
def look_up(values, table, out):  # pragma: no cover
    """Write what ``table`` says of whole numbers from 0 on, and of what is negative as of 0.

    NaN stays NaN. Stops at anything else and returns whether it was all.
    """
    largest = len(table) - 1
    for row in range(values.shape[0]):
        for s in range(values.shape[1]):
            value = values[row, s]
            if np.isnan(value):
                out[row, s] = value
                continue
            place = np.int64(min(max(value, 0), largest))
            if value > 0 and value != place:
                return False
            out[row, s] = table[place]
    return True


@compiled
def first_known(x, never):  # pragma: no cover
    """Return the first week in which each series is not NaN, ``never`` where it always is."""
    first = np.full(x.shape[1], never)
    for week in range(x.shape[0] - 1, -1, -1):
        for s in range(x.shape[1]):
            first[s] = first[s] if np.isnan(x[week, s]) else week
    return first


@compiled
def place_plans(rows, weeks, series, h, values, out, ahead):  # pragma: no cover
    """Write what happened (h = 0) to its week and series; list the rows about weeks ahead.

    ``values`` are price, feature and display of all rows; ``rows`` those that are read, ``weeks``
    and ``series`` theirs, -1 for a series that is not known. ``out`` is (3, weeks, series): a
    feature or display that is not told is none. Returns how many rows are about weeks ahead.
    """
    out[0], out[1], out[2] = np.nan, 0, 0
    price, feature, display = values
    n = 0
    for place in range(len(rows)):
        row, week, s = rows[place], weeks[place], series[place]
        if s >= 0 and h[row] == 0:
            out[0, week, s] = price[row]
            out[1, week, s] = 0 if np.isnan(feature[row]) else feature[row]
            out[2, week, s] = 0 if np.isnan(display[row]) else display[row]
        elif s >= 0:
            ahead[n] = place
            n += 1
    return n
