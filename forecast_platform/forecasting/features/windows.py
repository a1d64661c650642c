"""Arithmetic over trailing weeks and over groups that skips missing values.

Plain functions of arrays with weeks down and series across; no feature is named here.
"""

import numpy as np

from forecast_platform.forecasting.features.panel import Bools, Floats, Ints


def mean_or(values: Floats, fallback: Floats | float) -> Floats:
    """Return the mean over weeks of what is not NaN, ``fallback`` where nothing is.

    Examples
    --------
    >>> mean_or(np.array([[1.0, np.nan], [3.0, np.nan]]), 9.0).tolist()
    [2.0, 9.0]
    """
    known = ~np.isnan(values)
    n = known.sum(axis=0)
    total = np.where(known, values, 0).sum(axis=0)
    return np.where(n > 0, total / np.maximum(n, 1), fallback)


def median_or(values: Floats, fallback: Floats | float) -> Floats:
    """Return the median over weeks of what is not NaN, ``fallback`` where nothing is.

    Examples
    --------
    >>> median_or(np.array([[1.0, np.nan], [5.0, np.nan], [2.0, np.nan]]), 9.0).tolist()
    [2.0, 9.0]
    """
    ranked = np.sort(np.ascontiguousarray(values.T), axis=1)  # NaN last
    n = (~np.isnan(ranked)).sum(axis=1)
    rows = np.arange(len(ranked))
    middle = ranked[rows, np.maximum(n - 1, 0) // 2] + ranked[rows, n // 2]
    return np.where(n > 0, middle / 2, fallback)


def sum_by(group: Ints, values: Floats, n_groups: int) -> Floats:
    """Return the sum of ``values`` per group, NaN counted as nothing."""
    known = np.where(np.isnan(values), 0, values).astype(np.float64)
    return np.asarray(np.bincount(group, known, n_groups), np.float64)


def mean_by(group: Ints, values: Floats, n_groups: int, *, shrink: float = 0.0) -> Floats:
    """Return the mean per group of what is not NaN, pulled to 0 by ``shrink`` pseudo rows.

    Examples
    --------
    >>> mean_by(np.array([0, 0, 1]), np.array([1.0, 3.0, np.nan]), 2).tolist()
    [2.0, 0.0]
    """
    n = np.bincount(group, ~np.isnan(values), n_groups) + shrink
    total = sum_by(group, values, n_groups)
    return np.divide(total, n, out=np.zeros(n_groups), where=n > 0)


def mean_of_others(group: Ints, values: Floats, n_groups: int) -> Floats:
    """Return for each row the mean of the other rows of its group, NaN where there are none.

    Examples
    --------
    >>> mean_of_others(np.array([0, 0, 1]), np.array([1.0, 3.0, 5.0]), 2).tolist()
    [3.0, 1.0, nan]
    """
    known = ~np.isnan(values)
    n = np.bincount(group, known, n_groups)[group] - known
    total = sum_by(group, values, n_groups)[group] - np.where(known, values, 0)
    return np.divide(total, n, out=np.full(len(values), np.nan), where=n > 0)


def max_of_others(group: Ints, values: Floats) -> Floats:
    """Return for each row the largest of the other rows of its group, -inf where there are none.

    Examples
    --------
    >>> max_of_others(np.array([0, 0, 1]), np.array([1.0, 3.0, 5.0])).tolist()
    [3.0, 1.0, -inf]
    """
    order = np.lexsort((values, group))
    ranked, groups = values[order], group[order]
    last = np.flatnonzero(np.append(groups[1:] != groups[:-1], True))
    size = np.diff(last, prepend=-1)
    largest = ranked[last]
    second = np.where(size > 1, ranked[np.maximum(last - 1, 0)], -np.inf)
    which = np.cumsum(np.append(False, groups[1:] != groups[:-1]))
    others = largest[which]
    others[last] = second
    result = np.empty_like(others)
    result[order] = others
    return result


def ridge(gram: Floats, moment: Floats, prior: Floats, penalty: float) -> Floats:
    """Solve many 3 x 3 ridge regressions that shrink to ``prior``.

    Parameters
    ----------
    gram : array of shape (6, n)
        Upper triangles 00, 01, 02, 11, 12, 22 of the Gram matrices.
    moment : array of shape (3, n)
    prior : array of shape (3, n)
    penalty : float
        Weight of the prior [rows].

    Examples
    --------
    >>> gram = np.array([[1.0], [0], [0], [1.0], [0], [1.0]])
    >>> ridge(gram, np.array([[4.0], [0], [0]]), np.zeros((3, 1)), 1.0).ravel().tolist()
    [2.0, 0.0, 0.0]
    """
    a, b, c, d, e, f = gram
    a, d, f = a + penalty, d + penalty, f + penalty
    u, v, w = moment + penalty * prior
    p, q, r = d * f - e * e, c * e - b * f, b * e - c * d
    det = a * p + b * q + c * r
    return np.stack(
        [
            (p * u + q * v + r * w) / det,
            (q * u + (a * f - c * c) * v + (b * c - a * e) * w) / det,
            (r * u + (b * c - a * e) * v + (a * d - b * b) * w) / det,
        ]
    )


def spread(values: Floats, known: Bools, centre: Floats) -> Floats:
    """Return the standard deviation over weeks around ``centre``, 0 where nothing is known."""
    squares = np.where(known, (values - centre) ** 2, 0).sum(axis=0)
    return np.sqrt(squares / np.maximum(known.sum(axis=0), 1))
