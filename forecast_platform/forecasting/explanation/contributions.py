"""What made up a forecast, and why it differs from an earlier forecast of the same week.

Whose features and models these are, and where they are kept, is not known here.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast_platform.forecasting.explanation.groups import (
    GROUPS,
    OTHER,
    REASONS,
    group_of,
    neutral_rows,
    usual_values,
)
from forecast_platform.forecasting.explanation.shapley import in_units, shares
from forecast_platform.forecasting.models.ensemble import Ensemble
from forecast_platform.vocabulary import DS, REGION, UNIQUE_ID, WEEK

KEYS: Final = (REGION, WEEK, UNIQUE_ID, DS)
"""Columns that name a row and that no model reads as a feature."""

BASE: Final = "base"
LIMITS: Final = "limits"
MODEL: Final = "model"

PARTS: Final = (BASE, *GROUPS, LIMITS)
"""Parts of a forecast; their sum is the forecast."""

CHANGES: Final = (MODEL, *REASONS, OTHER, LIMITS)
"""Reasons for a difference between two forecasts; their sum is the difference."""


def predict_log(model: Ensemble, X: pd.DataFrame) -> NDArray[np.float64]:
    """Blend the members before any cap, and return the blend on the log1p scale."""
    blended = np.zeros(len(X))
    for name, weight in model.weights_.items():
        if weight:
            forecast = np.asarray(model.members[name].predict(X), np.float64)
            blended += weight * np.maximum(forecast, 0.0)
    return np.log1p(blended)


def contributions(model: Ensemble, X: pd.DataFrame, y_hat: NDArray[np.float64]) -> pd.DataFrame:
    """Take forecasts apart into what their features have contributed.

    The base is what the ensemble would forecast for the series at its level in a calm week
    (`neutral_rows`); each group's part is its Shapley share of the way from there to the row as it
    is. The members are black boxes here, so a plugged-in one is explained like the others.

    Parameters
    ----------
    model : Ensemble
        Which made the forecasts.
    X : pandas.DataFrame
        Their features.
    y_hat : ndarray of shape (n_rows,)
        The forecasts themselves [units].

    Returns
    -------
    pandas.DataFrame
        `PARTS`, indexed as ``X``, whose sum is ``y_hat`` [units]. ``limits`` is what caps, and
        whatever else is done to a forecast after its members, have taken or added. Features
        outside of the vocabulary have no neutral value: they count to the base.
    """
    calm = neutral_rows(X, usual_values(model, X))

    def ask(rows: pd.DataFrame) -> NDArray[np.float64]:
        return predict_log(model, rows)

    start, whole = ask(calm), ask(X)
    groups = _moved(calm, X, GROUPS)
    logs = pd.DataFrame(0.0, index=X.index, columns=list(PARTS[1:]))
    logs[list(groups)] = shares(ask, calm, X, groups)
    logs[LIMITS] = np.log1p(y_hat) - whole
    base = np.expm1(start)
    units = in_units(logs.to_numpy(), base, np.asarray(y_hat, np.float64))
    parts = pd.DataFrame(units, index=X.index, columns=logs.columns)
    parts.insert(0, BASE, base)
    return parts


def changes(
    new: tuple[Ensemble, pd.DataFrame, NDArray[np.float64]],
    old: tuple[Ensemble, pd.DataFrame, NDArray[np.float64]],
) -> pd.DataFrame:
    """Say why forecasts differ from earlier ones of the same series and weeks.

    First the new model is given the old features: ``model``, which a retraining or another
    segment's model changes. Then the features are moved, and what that changes is shared out.

    Parameters
    ----------
    new, old : tuple of (Ensemble, pandas.DataFrame, ndarray of shape (n_rows,))
        Model, features and forecasts [units], row by row about the same thing.

    Returns
    -------
    pandas.DataFrame
        `CHANGES`, indexed as the new features, whose sum is the difference [units]. ``horizon``
        is that the week is nearer, ``other`` features outside of the vocabulary.
    """
    (model, after, y_after), (model_before, before, y_before) = new, old
    before = before.set_axis(after.index)[list(after.columns)]

    def ask(rows: pd.DataFrame) -> NDArray[np.float64]:
        return predict_log(model, rows)

    groups = _moved(before, after, (*REASONS, OTHER))
    told_before, told_now = predict_log(model_before, before), ask(after)
    logs = pd.DataFrame(0.0, index=after.index, columns=list(CHANGES))
    logs[MODEL] = ask(before) - told_before
    logs[list(groups)] = shares(ask, before, after, groups)
    logs[LIMITS] = (np.log1p(y_after) - told_now) - (np.log1p(y_before) - told_before)
    units = in_units(logs.to_numpy(), np.asarray(y_before), np.asarray(y_after))
    return pd.DataFrame(units, index=after.index, columns=logs.columns)


def _moved(before: pd.DataFrame, after: pd.DataFrame, wanted: Sequence[str]) -> list[str]:
    """Leave out the groups in which nothing differs: each costs twice the forecasts."""
    differs = {
        group_of(str(name))
        for name in after.columns
        if name not in KEYS and (before[name].to_numpy() != after[name].to_numpy()).any()
    }
    return [group for group in wanted if group in differs]
