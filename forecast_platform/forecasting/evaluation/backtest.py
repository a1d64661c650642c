"""Rolling-origin backtests: refit at a cutoff, forecast the weeks after it, as it would have been.

Only the order of time belongs here: which rows a model may learn from and which it is asked for.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from forecast_platform.forecasting.models.base import Forecaster
from forecast_platform.vocabulary import CUTOFF, DS, SEGMENT, UNIQUE_ID, WEEK, Y

Fit = Callable[[pd.DataFrame, pd.Timestamp], Mapping[str, Forecaster]]
"""Given the rows known at a cutoff, and the cutoff, return fitted models by name."""

KEPT = (UNIQUE_ID, DS, "h", WEEK, "format", "velocity", SEGMENT, Y)


@dataclass(frozen=True, slots=True)
class Fold:
    """One refit: models know demand up to ``cutoff`` and forecast from ``origins``.

    Parameters
    ----------
    cutoff : pandas.Timestamp
        Last week whose demand the models may know.
    origins : tuple of pandas.Timestamp
        Weeks at whose close forecasts are made, from ``cutoff`` on: between two refits a model
        serves several weeks, on features that are newer than itself.
    """

    cutoff: pd.Timestamp
    origins: tuple[pd.Timestamp, ...]


def rolling_folds(
    cutoff: pd.Timestamp, *, n_folds: int, n_origins: int, horizon: int
) -> list[Fold]:
    """Lay folds back from ``cutoff`` so that no fold's forecasts reach past the next fold's cutoff.

    Parameters
    ----------
    cutoff : pandas.Timestamp
        Last week with known demand; the newest forecasts are about it.
    n_folds : int
    n_origins : int
        Weeks from which each fold forecasts [weeks].
    horizon : int
        Weeks ahead of each origin [weeks].

    Returns
    -------
    list of Fold
        The oldest first.

    Examples
    --------
    >>> [fold] = rolling_folds(pd.Timestamp("2024-03-04"), n_folds=1, n_origins=2, horizon=1)
    >>> [str(origin.date()) for origin in fold.origins]
    ['2024-02-19', '2024-02-26']
    """
    if min(n_folds, n_origins, horizon) < 1:
        raise ValueError("n_folds, n_origins and horizon must be at least 1")
    week, length = pd.Timedelta(weeks=1), horizon + n_origins - 1
    starts = [cutoff - (n_folds - k) * length * week for k in range(n_folds)]
    return [Fold(start, tuple(start + i * week for i in range(n_origins))) for start in starts]


def refit(models: Mapping[str, Forecaster]) -> Fit:
    """Return a `Fit` that fits a fresh copy of every model on the known rows."""

    def fit(known: pd.DataFrame, cutoff: pd.Timestamp) -> Mapping[str, Forecaster]:  # noqa: ARG001
        return {name: _fresh(model).fit(known, known[Y]) for name, model in models.items()}

    return fit


def _fresh(model: Forecaster) -> Forecaster:
    params = model.get_params(deep=False)  # type: ignore[attr-defined]
    return type(model)(**params)


def backtest(
    frame: pd.DataFrame, folds: Sequence[Fold], fit: Fit, *, keep: Sequence[str] = KEPT
) -> pd.DataFrame:
    """Forecast every fold's weeks by models that were fitted on what was known at its cutoff.

    Parameters
    ----------
    frame : pandas.DataFrame
        Features with demand: ``week`` (when the features were known), ``ds``, ``y`` and more.
    folds : sequence of Fold
    fit : Fit
        Called once a fold, with the rows whose ``ds`` is at most the fold's cutoff and no others.
    keep : sequence of str
        Columns of ``frame`` that are carried into the result where they exist.

    Returns
    -------
    pandas.DataFrame
        One row per forecast: ``keep``, ``cutoff`` of the models, and a column per model [units];
        a model that predicts a frame gives its columns.
    """
    columns = [column for column in keep if column in frame.columns]
    tables = []
    for fold in folds:
        asked = frame[frame[WEEK].isin(fold.origins) & (frame[DS] > fold.cutoff)]
        known = frame[frame[DS] <= fold.cutoff]
        if asked.empty or known.empty:
            continue
        table = asked[columns].assign(**{CUTOFF: fold.cutoff})
        for name, model in fit(known, fold.cutoff).items():
            made: Any = model.predict(asked)
            columns_of = made.items() if isinstance(made, pd.DataFrame) else [(name, made)]
            for column, values in columns_of:
                table[str(column)] = _checked(values, str(column), len(asked))
        tables.append(table)
    if not tables:
        return pd.DataFrame(columns=[*columns, CUTOFF])
    return pd.concat(tables, ignore_index=True)


def _checked(forecasts: ArrayLike, name: str, n_rows: int) -> NDArray[np.float64]:
    values = np.asarray(forecasts, dtype=np.float64)
    if values.shape != (n_rows,):
        raise ValueError(f"{name} gave forecasts of shape {values.shape} for {n_rows} rows")
    return values
