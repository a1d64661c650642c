"""Scores of held-out forecasts, by the groups in which they are judged.

The formulas are in `forecast_platform.forecasting.evaluation.metrics`.
"""

from typing import Any

import pandas as pd

from forecast_platform.forecasting.evaluation.metrics import measure
from forecast_platform.vocabulary import (
    EMBEDDING_NET,
    ENSEMBLE,
    FORMAT,
    HISTORICAL_AVERAGE,
    LASSO,
    SEGMENT,
    VELOCITY,
    Y,
)

MODELS = (ENSEMBLE, LASSO, EMBEDDING_NET, HISTORICAL_AVERAGE)
ALL = "all"
COLUMNS = ("mape", "wape", "rmse_0", "rmse_all", "bias", "n_rows", "n_positive", "n_zero")


def score_by_segment(holdout: pd.DataFrame) -> pd.DataFrame:
    """Score every model on the same rows: each segment, each format, and all.

    Parameters
    ----------
    holdout : pandas.DataFrame
        Held-out rows with ``segment``, ``format``, ``velocity``, ``y`` and one column of
        forecasts per model [units].

    Returns
    -------
    pandas.DataFrame
        One row per group and model: ``segment``, ``format``, ``velocity``, ``model`` and the
        metrics. Without held-out rows it has none.
    """
    rows = [
        {**group, "model": model, **measure(part[Y].to_numpy(), part[model].to_numpy())}
        for group, part in _groups(holdout)
        for model in MODELS
    ]
    return pd.DataFrame(rows, columns=[SEGMENT, FORMAT, VELOCITY, "model", *COLUMNS])


def _groups(holdout: pd.DataFrame) -> list[tuple[dict[str, Any], pd.DataFrame]]:
    if holdout.empty:
        return []
    groups: list[tuple[dict[str, Any], pd.DataFrame]] = [
        ({SEGMENT: ALL, FORMAT: None, VELOCITY: None}, holdout)
    ]
    for form, of_format in holdout.groupby(FORMAT):
        groups.append(({SEGMENT: form, FORMAT: form, VELOCITY: None}, of_format))
        for velocity, part in of_format.groupby(VELOCITY):
            name = f"{form}_{velocity}"
            groups.append(({SEGMENT: name, FORMAT: form, VELOCITY: velocity}, part))
    return groups
