"""Scores of held-out forecasts, by the groups in which models are judged.

The formulas are in `forecast_platform.forecasting.evaluation.metrics`.
"""

import pandas as pd

from forecast_platform.forecasting.evaluation.metrics import score
from forecast_platform.vocabulary import (
    ENSEMBLE,
    FORMAT,
    HISTORICAL_AVERAGE,
    MEMBERS,
    SEGMENT,
    VELOCITY,
)

ALL = "all"


def score_by_segment(holdout: pd.DataFrame, members: tuple[str, ...] = MEMBERS) -> pd.DataFrame:
    """Score every model on the same rows: each segment, each format, and all.

    Parameters
    ----------
    holdout : pandas.DataFrame
        Held-out rows with ``segment``, ``format``, ``velocity``, ``y`` and one column of
        forecasts per model [units].
    members : tuple of str, default=("lasso", "embedding_net")
        Members of the ensemble that have a column.

    Returns
    -------
    pandas.DataFrame
        One row per group and model: ``segment``, ``format``, ``velocity``, ``model`` and the
        metrics. Without held-out rows it has none.
    """
    models = (ENSEMBLE, *members, HISTORICAL_AVERAGE)
    by_segment = score(holdout, models, by=[SEGMENT, FORMAT, VELOCITY])
    by_format = score(holdout, models, by=[FORMAT])
    everything = score(holdout, models) if len(holdout) else by_format
    tables = [
        by_segment,
        by_format.assign(**{SEGMENT: by_format[FORMAT], VELOCITY: None}),
        everything.assign(**{SEGMENT: ALL, FORMAT: None, VELOCITY: None}),
    ]
    whole = [table[list(by_segment.columns)].astype(object) for table in tables]
    return pd.concat(whole, ignore_index=True).infer_objects()
