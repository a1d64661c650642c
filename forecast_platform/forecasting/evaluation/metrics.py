"""Accuracy metrics, each with its formula and its undefined case; fractions, never percent.

Only functions of actual and forecast numbers, and one table of them. No model belongs here. Every
metric is ``nan`` where it is undefined: a number that nobody measured must not win a comparison.
"""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from forecast_platform.vocabulary import Y

NAN = float("nan")


def _pair(y: ArrayLike, y_hat: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    actual, forecast = np.asarray(y, dtype=np.float64), np.asarray(y_hat, dtype=np.float64)
    if actual.shape != forecast.shape:
        raise ValueError(f"{actual.shape} actuals but {forecast.shape} forecasts")
    return actual, forecast


def mape(y: ArrayLike, y_hat: ArrayLike) -> float:
    """Return the mean of ``|y - y_hat| / y`` over rows with ``y > 0``; nan without such a row.

    Examples
    --------
    >>> mape([100.0, 50.0, 0.0], [50.0, 75.0, 7.0])
    0.5
    """
    actual, forecast = _pair(y, y_hat)
    rows = ~(actual <= 0)  # a missing actual is not dropped: it makes the metric nan
    errors = np.abs(actual[rows] - forecast[rows]) / actual[rows]
    return float(errors.mean()) if rows.any() else NAN


def wape(y: ArrayLike, y_hat: ArrayLike) -> float:
    """Return ``sum |y - y_hat| / sum y``; nan where nothing was demanded in all.

    Examples
    --------
    >>> wape([100.0, 100.0], [75.0, 125.0])
    0.25
    """
    actual, forecast = _pair(y, y_hat)
    total = actual.sum()
    return float(np.abs(actual - forecast).sum() / total) if total != 0 else NAN


def bias(y: ArrayLike, y_hat: ArrayLike) -> float:
    """Return ``sum (y_hat - y) / sum y``: above zero is too much; nan where the sum of y is zero.

    Examples
    --------
    >>> bias([100.0, 100.0], [50.0, 100.0])
    -0.25
    """
    actual, forecast = _pair(y, y_hat)
    total = actual.sum()
    return float((forecast - actual).sum() / total) if total != 0 else NAN


def rmse_all(y: ArrayLike, y_hat: ArrayLike) -> float:
    """Return the root mean squared error over all rows [units]; nan without rows."""
    actual, forecast = _pair(y, y_hat)
    return float(np.sqrt(np.mean((actual - forecast) ** 2))) if len(actual) else NAN


def rmse_0(y: ArrayLike, y_hat: ArrayLike) -> float:
    """Return the root mean squared error over rows with ``y == 0`` [units]; nan without such a row.

    Examples
    --------
    >>> rmse_0([0.0, 0.0, 5.0], [3.0, 3.0, 9.0])
    3.0
    """
    actual, forecast = _pair(y, y_hat)
    rows = actual == 0
    return rmse_all(actual[rows], forecast[rows])


def coverage(y: ArrayLike, low: ArrayLike, high: ArrayLike) -> float:
    """Return the share of rows with ``low <= y <= high``; nan without rows or a number."""
    actual, lower = _pair(y, low)
    _, upper = _pair(y, high)
    if not len(actual) or np.isnan(actual + lower + upper).any():
        return NAN
    return float(np.mean((lower <= actual) & (actual <= upper)))


METRICS: dict[str, Callable[[ArrayLike, ArrayLike], float]] = {
    "mape": mape,
    "wape": wape,
    "rmse_0": rmse_0,
    "rmse_all": rmse_all,
    "bias": bias,
}


def score(
    frame: pd.DataFrame, columns: Sequence[str], *, by: Sequence[str] = (), y: str = Y
) -> pd.DataFrame:
    """Measure several models on the same rows.

    Parameters
    ----------
    frame : pandas.DataFrame
        Column ``y`` with actual demand and one column per model [units].
    columns : sequence of str
        The models' columns.
    by : sequence of str, default=()
        Columns to group by; none measures all rows together.
    y : str, default="y"

    Returns
    -------
    pandas.DataFrame
        One row per group and model: ``by``, model, mape, wape, rmse_0, rmse_all, bias, n_rows,
        n_positive, n_zero.
    """
    groups = frame.groupby(list(by), observed=True, sort=True) if by else [((), frame)]
    rows = [
        {**dict(zip(by, key, strict=True)), "model": column, **measure(group[y], group[column])}
        for key, group in groups
        for column in columns
    ]
    counts = ["n_rows", "n_positive", "n_zero"]
    return pd.DataFrame(rows, columns=[*by, "model", *METRICS, *counts])


def measure(y: ArrayLike, y_hat: ArrayLike) -> dict[str, float | int]:
    """Return every metric of `METRICS`, and the counts n_rows, n_positive and n_zero."""
    actual, forecast = _pair(y, y_hat)
    return {
        **{name: metric(actual, forecast) for name, metric in METRICS.items()},
        "n_rows": len(actual),
        "n_positive": int((actual > 0).sum()),
        "n_zero": int((actual == 0).sum()),
    }
