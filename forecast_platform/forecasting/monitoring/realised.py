"""Errors of forecasts that were served, once what was demanded is known.

Only scores of past forecasts; whether a score is bad is judged in `degradation` and `residuals`.
"""

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import pandas as pd

from forecast_platform.forecasting.evaluation.metrics import bias, coverage, mape, measure, wape
from forecast_platform.vocabulary import DS, HISTORICAL_AVERAGE, SEGMENT, UNIQUE_ID, Y_HAT, H, Y

ALL_SEGMENTS: Final = "all"
ALL_HORIZONS: Final = 0
"""Value of ``h`` of scores over all weeks ahead."""

LOW: Final = "y_hat_p10"
HIGH: Final = "y_hat_p90"
IS_CHAMPION: Final = "is_champion"
IS_ARM: Final = "is_arm"
PROMISED: Final = "mape_promised"
BASELINE_PROMISED: Final = "mape_baseline_promised"


def score_realised(forecasts: pd.DataFrame, actuals: pd.DataFrame) -> pd.DataFrame:
    """Score every forecast that was made for weeks whose demand is known now.

    Parameters
    ----------
    forecasts : pandas.DataFrame
        ``unique_id``, ``ds``, ``h``, ``segment``, ``y_hat`` and ``historical_average`` made at the
        same time [units]; ``is_champion`` and ``is_arm``, who served; ``mape_promised`` and
        ``mape_baseline_promised`` by validation [fraction], which may be missing; optionally
        ``y_hat_p10`` and ``y_hat_p90``.
    actuals : pandas.DataFrame
        ``unique_id``, ``ds``, ``y`` [units], one row each.

    Returns
    -------
    pandas.DataFrame
        One row per ``ds``, ``segment`` (and `ALL_SEGMENTS`) and ``h`` (and `ALL_HORIZONS`): the
        metrics of what was served, counts, ``coverage_80``, ``mape_baseline``, ``wape_baseline``,
        ``value_added`` (baseline's MAPE less that of what was served) and what validation had
        promised. Forecasts of series whose demand is unknown are not scored.

    References
    ----------
    .. [1] M. Gilliland, "The Business Forecasting Deal", 2010: forecast value added.
    """
    rows = forecasts.merge(actuals[[UNIQUE_ID, DS, Y]], on=[UNIQUE_ID, DS], validate="many_to_one")
    found = [
        {DS: ds, SEGMENT: segment, H: h, **_measured(group)}
        for ds, week in rows.groupby(DS, sort=True)
        for segment, h, group in _groups(week)
    ]
    return pd.DataFrame(found)


def _groups(week: pd.DataFrame) -> Iterator[tuple[str, int, pd.DataFrame]]:
    yield ALL_SEGMENTS, ALL_HORIZONS, week
    for h, rows in week.groupby(H, sort=True):
        yield ALL_SEGMENTS, int(str(h)), rows
    for segment, rows in week.groupby(SEGMENT, observed=True, sort=True):
        yield str(segment), ALL_HORIZONS, rows
        for h, own in rows.groupby(H, sort=True):
            yield str(segment), int(str(h)), own


def _measured(rows: pd.DataFrame) -> dict[str, Any]:
    actual, served, average = rows[Y], rows[Y_HAT], rows[HISTORICAL_AVERAGE]
    scores = measure(actual, served)
    baseline = mape(actual, average)
    has_range = LOW in rows.columns and rows[LOW].notna().all() and rows[HIGH].notna().all()
    return {
        **scores,
        "coverage_80": coverage(actual, rows[LOW], rows[HIGH]) if has_range else np.nan,
        "mape_baseline": baseline,
        "wape_baseline": wape(actual, average),
        "bias_baseline": bias(actual, average),
        "value_added": baseline - scores["mape"],
        "share_champion": float(rows[IS_CHAMPION].mean()),
        "share_experiment": float(rows[IS_ARM].mean()),
        PROMISED: _mean(rows[PROMISED]),
        BASELINE_PROMISED: _mean(rows[BASELINE_PROMISED]),
    }


def _mean(values: pd.Series) -> float:
    """Average what is known; nan where nothing is."""
    known = values.to_numpy(np.float64)
    known = known[np.isfinite(known)]
    return float(known.mean()) if len(known) else float("nan")
