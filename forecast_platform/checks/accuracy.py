"""Checks that the models of a region are worth using.

Warnings, not gates: the gate sits in `promotion`, for each segment alone, and a segment that
fails it is served by its last champion or the baseline. Stopping the run here would leave all
four segments of the region without a forecast because of one.
"""

import dagster as dg
import pandas as pd

from forecast_platform.assets.validation import validation_metrics
from forecast_platform.checks.partitioned import Tables, region_week_check
from forecast_platform.forecasting.evaluation.promotion import PromotionRule
from forecast_platform.vocabulary import ENSEMBLE, HISTORICAL_AVERAGE

SIGNIFICANT_MAPE = PromotionRule().max_mape
"""Largest MAPE of a significant model [fraction]."""

NOTHING = "nothing was validated: the history is too short"
_READS = {"validation_metrics": ["segment", "velocity", "model", "mape"]}


@region_week_check(validation_metrics, reads=_READS, severity=dg.AssetCheckSeverity.WARN)
def mape_is_significant(tables: Tables) -> list[str]:
    """Hold the ensemble's MAPE to at most 0.45 in every segment."""
    mapes = _mape_by_segment(tables["validation_metrics"])
    if mapes.empty:
        return [NOTHING]
    return [
        f"{segment}: MAPE {row[ENSEMBLE]:.3f} is above {SIGNIFICANT_MAPE}"
        for segment, row in mapes.iterrows()
        if not row[ENSEMBLE] <= SIGNIFICANT_MAPE
    ]


@region_week_check(validation_metrics, reads=_READS, severity=dg.AssetCheckSeverity.WARN)
def beats_historical_average(tables: Tables) -> list[str]:
    """Hold the ensemble's MAPE below that of the historical average on the same rows."""
    mapes = _mape_by_segment(tables["validation_metrics"])
    if mapes.empty:
        return [NOTHING]
    return [
        f"{segment}: MAPE {row[ENSEMBLE]:.3f}, historical average {row[HISTORICAL_AVERAGE]:.3f}"
        for segment, row in mapes.iterrows()
        if not row[ENSEMBLE] < row[HISTORICAL_AVERAGE]
    ]


def _mape_by_segment(metrics: pd.DataFrame) -> pd.DataFrame:
    """One row per segment, one column per model; rows of whole formats and of all left out."""
    segments = metrics[metrics["velocity"].notna()]
    table = segments.pivot_table(
        index="segment", columns="model", values="mape", aggfunc="first", dropna=False
    )
    return table.reindex(columns=[ENSEMBLE, HISTORICAL_AVERAGE])


accuracy_checks = [mape_is_significant, beats_historical_average]
