"""Scores of held-out forecasts, by the groups in which models are judged.

The formulas are in `forecast_platform.forecasting.evaluation.metrics`.
"""

from collections.abc import Sequence

import pandas as pd

from forecast_platform.forecasting.evaluation.coverage import COVERAGE_80, PINBALL, range_scores
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
        One row per group and model: ``segment``, ``format``, ``velocity``, ``model``, the
        metrics, and of the ensemble's range ``coverage_80`` and ``pinball``. Without held-out rows
        it has none.
    """
    models = (ENSEMBLE, *members, HISTORICAL_AVERAGE)
    by_segment = _scored(holdout, models, [SEGMENT, FORMAT, VELOCITY])
    by_format = _scored(holdout, models, [FORMAT])
    everything = _scored(holdout, models, []) if len(holdout) else by_format
    tables = [
        by_segment,
        by_format.assign(**{SEGMENT: by_format[FORMAT], VELOCITY: None}),
        everything.assign(**{SEGMENT: ALL, FORMAT: None, VELOCITY: None}),
    ]
    whole = [table[list(by_segment.columns)].astype(object) for table in tables]
    return pd.concat(whole, ignore_index=True).infer_objects()


def _scored(holdout: pd.DataFrame, models: Sequence[str], by: list[str]) -> pd.DataFrame:
    """Score models by group; the range is the ensemble's, so only its rows have one."""
    groups = holdout.groupby(by, observed=True, sort=True) if by else [((), holdout)]
    ranges = [
        {**dict(zip(by, key, strict=True)), "model": ENSEMBLE, **range_scores(rows)}
        for key, rows in groups
    ]
    table = pd.DataFrame(ranges, columns=[*by, "model", COVERAGE_80, PINBALL])
    return score(holdout, models, by=by).merge(table, on=[*by, "model"], how="left")
