"""How much members rely on groups of features: permutation importance.

Works on any member, since it only asks for forecasts. Coefficients are in `coefficients`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from forecast_platform.forecasting.evaluation.metrics import mape
from forecast_platform.forecasting.explanation.groups import LEVEL, group_of


def permutation_importance(
    models: Mapping[str, Any],
    X: pd.DataFrame,
    y: ArrayLike,
    groups: Sequence[str],
    *,
    n_repeats: int = 2,
    seed: int = 0,
) -> pd.DataFrame:
    """Measure how much worse each model gets when a group of features is shuffled among the rows.

    All columns of a group are shuffled together, so that what is common to them cannot be read from
    another one of the group. ``base_level`` is never shuffled: the rest is relative to it.

    Parameters
    ----------
    models : mapping of str to Forecaster
        Fitted.
    X : pandas.DataFrame
        Rows with known demand, best those of the newest weeks.
    y : array-like of shape (n_rows,)
        [units]
    groups : sequence of str
        As of `groups.group_of`.
    n_repeats : int, default=2
        Shuffles that are averaged.
    seed : int, default=0

    Returns
    -------
    pandas.DataFrame
        ``model``, ``feature_group`` and ``value``: MAPE with the group shuffled minus MAPE
        [fraction]; nan without a row with demand. On rows that a model has learnt from it says what
        the model relies on, not what helps on new rows.

    References
    ----------
    .. [1] A. Fisher, C. Rudin and F. Dominici, "All models are wrong, but many are useful",
       JMLR 20 (2019).
    """
    actual, rng = np.asarray(y, np.float64), np.random.default_rng(seed)
    orders = [rng.permutation(len(X)) for _ in range(n_repeats)]
    whole = {name: mape(actual, model.predict(X)) for name, model in models.items()}
    rows = []
    for group in groups:
        columns = [name for name in X.columns if group_of(str(name)) == group != LEVEL]
        shuffled = [_shuffled(X, columns, order) for order in orders] if columns else []
        for name, model in models.items():
            worse = [mape(actual, model.predict(one)) - whole[name] for one in shuffled]
            value = float(np.mean(worse)) if worse else 0.0
            rows.append({"model": name, "feature_group": group, "value": value})
    return pd.DataFrame(rows, columns=["model", "feature_group", "value"])


def _shuffled(X: pd.DataFrame, columns: list[str], order: NDArray[np.int64]) -> pd.DataFrame:
    moved = {name: X[name].iloc[order].set_axis(X.index) for name in columns}
    return X.assign(**moved)
