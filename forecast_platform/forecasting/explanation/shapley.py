"""Differences shared out among groups of features, so that the shares add up exactly.

Only the arithmetic: what a group is belongs to `groups`, whose forecasts are compared to
`contributions`.
"""

from collections.abc import Callable, Sequence
from math import factorial

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast_platform.forecasting.explanation.groups import group_of

Floats = NDArray[np.float64]
PredictLog = Callable[[pd.DataFrame], Floats]
"""Forecasts rows on the log1p scale."""

ROWS_AT_ONCE = 65_536
"""Rows of coalitions that are forecast at a time: with 85 columns, 30 MB."""


def shares(
    predict_log: PredictLog, before: pd.DataFrame, after: pd.DataFrame, groups: Sequence[str]
) -> Floats:
    """Share out what a forecast changes from ``before`` to ``after`` among groups of columns.

    The Shapley value: the mean over all orders of what a group adds when its columns go from
    ``before`` to ``after``. It treats groups alike, gives nothing to a group that changes nothing,
    and adds up to the whole difference. Needs ``2 ** len(groups)`` forecasts of each row.

    Parameters
    ----------
    predict_log : callable
    before, after : pandas.DataFrame
        Rows with the same columns and order; columns outside of ``groups`` are taken from
        ``after``.
    groups : sequence of str
        As of `group_of`.

    Returns
    -------
    ndarray of shape (n_rows, n_groups)
        On the log1p scale; a row's sum is ``predict_log(after) - predict_log(before)`` to rounding,
        if ``groups`` cover all columns that differ.

    References
    ----------
    .. [1] L. S. Shapley, "A value for n-person games", Contributions to the Theory of Games 2
       (1953).
    .. [2] S. Lundberg and S.-I. Lee, "A unified approach to interpreting model predictions",
       NeurIPS (2017).
    """
    n_groups = len(groups)
    weights = _shapley_weights(n_groups)
    at_once = max(1, ROWS_AT_ONCE // 2**n_groups)
    parts = [
        _coalitions(predict_log, before[i : i + at_once], after[i : i + at_once], groups) @ weights
        for i in range(0, len(after), at_once)
    ]
    return np.concatenate(parts) if parts else np.zeros((0, n_groups))


def _coalitions(
    predict_log: PredictLog, before: pd.DataFrame, after: pd.DataFrame, groups: Sequence[str]
) -> Floats:
    """Forecast every row with every set of groups moved; shape (n_rows, 2 ** n_groups)."""
    n_sets = 2 ** len(groups)
    moved = (np.arange(n_sets)[:, None] >> np.arange(len(groups))) & 1
    columns = {}
    for name in after.columns:
        group = group_of(str(name))
        is_moved = moved[:, groups.index(group)] if group in groups else np.ones(n_sets)
        columns[str(name)] = _mixed(before[name], after[name], is_moved.astype(bool))
    rows = pd.DataFrame(columns, copy=False)
    return np.asarray(predict_log(rows), np.float64).reshape(n_sets, len(after)).T


def _mixed(before: pd.Series, after: pd.Series, is_moved: NDArray[np.bool_]) -> object:
    """Repeat a column for every set, with the later values where its group is moved."""
    if pd.api.types.is_numeric_dtype(after) or pd.api.types.is_datetime64_any_dtype(after):
        mixed = np.where(is_moved[:, None], after.to_numpy(), before.to_numpy())
        return mixed.astype(after.to_numpy().dtype).ravel()
    both = pd.concat([before.astype(object), after.astype(object)], ignore_index=True)
    codes, levels = pd.factorize(both, sort=True)
    early, late = codes[: len(before)], codes[len(before) :]
    return pd.Categorical.from_codes(np.where(is_moved[:, None], late, early).ravel(), levels)


def _shapley_weights(n: int) -> Floats:
    """Return the weight of each set's forecast in each group's share; shape (2 ** n, n)."""
    weights = np.zeros((2**n, n))
    for one in range(2**n):
        size = one.bit_count()
        for group in range(n):
            inside = bool(one >> group & 1)
            others = size - inside
            weight = factorial(others) * factorial(n - others - 1) / factorial(n)
            weights[one, group] = weight if inside else -weight
    return weights


def in_units(logs: Floats, start: Floats, stop: Floats) -> Floats:
    """Turn shares of a difference of logarithms into units, so that they add up again.

    Each share is multiplied by the logarithmic mean of both ends, which is what makes the sum of
    the products the difference itself.

    Parameters
    ----------
    logs : ndarray of shape (n_rows, n_shares)
        Shares whose sum is ``log1p(stop) - log1p(start)``.
    start, stop : ndarray of shape (n_rows,)
        [units]

    Returns
    -------
    ndarray of shape (n_rows, n_shares)
        Shares whose sum is ``stop - start`` but for the rounding of one addition [units].

    References
    ----------
    .. [1] B. W. Ang, "Decomposition analysis for policymaking in energy: which is the preferred
       method?", Energy Policy 32 (2004): the logarithmic mean Divisia index leaves no residual.

    Examples
    --------
    >>> in_units(np.log([[2.0, 3.0]]), np.array([0.0]), np.array([5.0])).sum().round(12)
    np.float64(5.0)
    """
    if not len(logs):
        return logs
    total = np.log1p(stop) - np.log1p(start)
    is_tiny = np.abs(total) < 1e-9
    mean = np.where(is_tiny, 1.0 + stop, (stop - start) / np.where(is_tiny, 1.0, total))
    units = logs * mean[:, None]
    largest = np.abs(units).argmax(axis=1)
    rows = np.arange(len(units))
    units[rows, largest] += (stop - start) - units.sum(axis=1)
    return units
