"""What is known of the experiments in production; no forecast reads it.

Which experiments there are is told by commands and a job, see docs/experiments.md; comparing is in
`forecast_platform.resources.experiments`. See https://docs.dagster.io/guides/build/assets.
"""

from typing import Any

import dagster as dg
import pandas as pd

from forecast_platform.partitions import (
    RegionWeek,
    backfill_policy,
    region_weeks,
    region_weeks_of,
)
from forecast_platform.resources.experiments.analysis import results_of
from forecast_platform.resources.lake import Lake
from forecast_platform.resources.metadata import column_schema
from forecast_platform.resources.provenance import made_from
from forecast_platform.resources.reporting import report, rows_of
from forecast_platform.resources.snapshot import Snapshot
from forecast_platform.schemas.experiments import ExperimentResults

SHOWN = ["experiment", "n_weeks", "loss_a", "loss_b", "estimate", "lower", "upper", "verdict"]


@dg.asset(
    group_name="monitoring",
    partitions_def=region_weeks,
    backfill_policy=backfill_policy,
    deps=["forecasts", "fct_weekly_demand"],
    kinds={"pandas", "deltalake"},
    owners=["team:forecasting"],
    code_version="1",
    metadata=column_schema(ExperimentResults),
)
def experiment_results(context: dg.AssetExecutionContext, lake: Lake) -> dg.MaterializeResult:
    """Verdict on each experiment as known at the close of a week: A, B or not yet, with interval.

    Both arms forecast every row of an experiment; their errors are compared on all weeks that have
    actuals by then, in a test that may be looked at every week. Without rows where nothing is
    compared. Errors are fractions.

    Grain: one row per region, week and experiment.
    """
    keys, tables = region_weeks_of(context), Snapshot(lake)
    made = {key: results_of(key, tables) for key in keys}
    table, read = pd.concat(made.values(), ignore_index=True), tables.versions
    receipt = lake.write(
        "experiment_results",
        table,
        keys,
        run_id=context.run_id,
        provenance=made_from(read),
        allow_empty=True,
    )
    details = {key: _described(table, key) for key in keys}
    return report(context, lake, receipt, read=read, by_key=details)


def _described(table: pd.DataFrame, key: RegionWeek) -> dict[str, Any]:
    rows = rows_of(table, key)
    if rows.empty:
        return {}
    return {"results": dg.MetadataValue.md(rows[SHOWN].to_markdown(index=False))}
