"""Scores of each week's models on weeks that they had not seen.

The formulas are in `forecast_platform.forecasting.evaluation.metrics`; whether a score is good
enough is decided in `promotion`.
"""

import dagster as dg
import pandas as pd

from forecast_platform.partitions import backfill_policy, region_weeks, region_weeks_of
from forecast_platform.resources.io_manager import MAY_BE_EMPTY, READ_VERSIONS
from forecast_platform.resources.lake import Lake
from forecast_platform.resources.members import with_members_apart
from forecast_platform.resources.metadata import column_schema
from forecast_platform.resources.reporting import rows_of
from forecast_platform.resources.snapshot import Snapshot
from forecast_platform.schemas.metrics import ALL, ValidationMetrics
from forecast_platform.schemas.tables import as_table
from forecast_platform.vocabulary import ENSEMBLE, REGION, SEGMENT, WEEK


@dg.asset(
    group_name="validation",
    partitions_def=region_weeks,
    backfill_policy=backfill_policy,
    deps=["trained_ensembles"],
    kinds={"pandas", "deltalake"},
    owners=["team:forecasting"],
    code_version="1",
    metadata={**column_schema(ValidationMetrics), MAY_BE_EMPTY: True},
    io_manager_key="lake_io_manager",
)
def validation_metrics(context: dg.AssetExecutionContext, lake: Lake) -> dg.Output[pd.DataFrame]:
    """Errors of the ensembles, their members and the historical average on held-out weeks.

    All models are scored on the same rows: for each segment, each format and the whole region.
    Fractions, except RMSE in units. No row for a region whose history was too short to train.

    Grain: one row per region, week, segment and model.
    """
    from forecast_platform.forecasting.evaluation.scores import score_by_segment

    keys = region_weeks_of(context)
    tables = Snapshot(lake)
    held_out = tables.read(
        "holdout_forecasts",
        region=sorted({key.region for key in keys}),
        weeks=sorted({key.week for key in keys}),
    )
    scored = []
    for key in keys:
        apart, members = with_members_apart(rows_of(held_out, key))
        scored += [score_by_segment(apart, members).assign(region=key.region, week=key.week)]
    table = as_table(pd.concat(scored), ValidationMetrics)
    details = {
        READ_VERSIONS: dg.MetadataValue.json(tables.versions),
        "mape": dg.MetadataValue.md(_mapes(table)),
    }
    return dg.Output(table, metadata=details)


def _mapes(table: pd.DataFrame) -> str:
    """Show the MAPE of every model over the whole region-week, and of ensembles by segment."""
    shown = table[table[SEGMENT] == ALL].pivot_table(
        index=[REGION, WEEK], columns="model", values="mape", dropna=False
    )
    segments = table[(table["model"] == ENSEMBLE) & table["velocity"].notna()]
    by_segment = segments.pivot_table(index=[REGION, WEEK], columns=SEGMENT, values="mape")
    return shown.join(by_segment).tail(20).round(3).to_markdown()
