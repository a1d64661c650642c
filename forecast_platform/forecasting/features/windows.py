"""Arithmetic over trailing weeks and over groups that skips missing values.

Plain functions of arrays with weeks down and series across; no feature is named here.
"""

import numpy as np

from forecast_platform.forecasting.features import compiled
from forecast_platform.forecasting.features.panel import Bools, Floats, Ints


def zero_if_missing(values: Floats) -> Floats:
    """Return the values with 0 for NaN; ``np.nan_to_num`` is slow on few of them.

    Examples
    --------
    >>> zero_if_missing(np.array([2.0, np.nan])).tolist()
    [2.0, 0.0]
    """
    return np.where(np.isnan(values), values.dtype.type(0), values)


def mean_or(values: Floats, fallback: Floats | float) -> Floats:
    """Return the mean over weeks of what is not NaN, ``fallback`` where nothing is.

    Examples
    --------
    >>> mean_or(np.array([[1.0, np.nan], [3.0, np.nan]]), 9.0).tolist()
    [2.0, 9.0]
    """
    out = np.empty(values.shape[1])
    compiled.mean_known(values, _spread_out(fallback, out), out)
    return out


def median_or(values: Floats, fallback: Floats | float) -> Floats:
    """Return the median over weeks of what is not NaN, ``fallback`` where nothing is.

    Examples
    --------
    >>> median_or(np.array([[1.0, np.nan], [5.0, np.nan], [2.0, np.nan]]), 9.0).tolist()
    [2.0, 9.0]
    """
    out = np.empty(values.shape[1])
    compiled.median_known(values, _spread_out(fallback, out), out)
    return out


def _spread_out(fallback: Floats | float, out: Floats) -> Floats:
    if isinstance(fallback, np.ndarray):
        return fallback.astype(np.float64, copy=False)
    return np.full_like(out, fallback)


def sum_by(group: Ints, values: Floats, n_groups: int) -> Floats:
    """Return the sum of ``values`` per group, NaN counted as nothing."""
    out = np.zeros(n_groups)
    compiled.total_by(group, values, out)
    return out


def mean_by(group: Ints, values: Floats, n_groups: int, *, shrink: float = 0.0) -> Floats:
    """Return the mean per group of what is not NaN, pulled to 0 by ``shrink`` pseudo rows.

    Examples
    --------
    >>> mean_by(np.array([0, 0, 1]), np.array([1.0, 3.0, np.nan]), 2).tolist()
    [2.0, 0.0]
    """
    out = np.empty(n_groups)
    compiled.mean_by(group, values, shrink, out)
    return out


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
    out = np.empty(len(values))
    compiled.largest_of_others(group, values, int(group.max(initial=-1)) + 1, out)
    return out


def share_below(group: Ints, values: Floats, counted: Bools) -> Floats:
    """Return for each row the share of the other counted rows of its group that are smaller.

    Examples
    --------
    >>> every = np.ones(4, bool)
    >>> share_below(np.array([0, 0, 0, 1]), np.array([5.0, 1, 5, 9]), every).tolist()
    [0.5, 0.0, 0.5, 0.0]
    """
    others = np.bincount(group, counted)[group] - counted
    ranked = np.where(counted, values, np.inf)
    order = np.lexsort((ranked, group))
    groups, ordered = group[order], ranked[order]
    position = np.arange(len(order))
    new_group = np.append(True, groups[1:] != groups[:-1])
    new_value = new_group | np.append(True, ordered[1:] != ordered[:-1])
    first_alike = np.maximum.accumulate(np.where(new_value, position, 0))
    smaller = np.empty(len(order))
    smaller[order] = first_alike - np.maximum.accumulate(np.where(new_group, position, 0))
    return np.where(counted & (others > 0), smaller / np.maximum(others, 1), 0.0)


def ridge(gram: Floats, moment: Floats, prior: Floats, column: Ints, penalty: float) -> Floats:
    """Solve many 3 x 3 ridge regressions, each of which shrinks to a column of ``prior``.

    Parameters
    ----------
    gram : array of shape (6, n)
        Upper triangles 00, 01, 02, 11, 12, 22 of the Gram matrices.
    moment : array of shape (3, n)
    prior : array of shape (3, n_priors)
    column : array of shape (n,)
        Which prior each regression has.
    penalty : float
        Weight of the prior [rows].

    Examples
    --------
    >>> gram = np.array([[1.0], [0], [0], [1.0], [0], [1.0]])
    >>> moment, prior = np.array([[4.0], [0], [0]]), np.zeros((3, 1))
    >>> ridge(gram, moment, prior, np.array([0]), 1.0).ravel().tolist()
    [2.0, 0.0, 0.0]
    """
    out = np.empty_like(moment)
    compiled.ridge(gram, moment, prior, column, penalty, out)
    return out


def spread(values: Floats, known: Bools, centre: Floats) -> Floats:
    """Return the standard deviation over weeks around ``centre``, 0 where nothing is known."""
    squares = np.where(known, (values - centre) ** 2, 0).sum(axis=0)
    return np.sqrt(squares / np.maximum(known.sum(axis=0), 1))
