"""The forecasts of the next weeks, made by each segment's champion.

Loading models and failing over is in `forecast_platform.resources.serving`.
"""

from typing import Any

import dagster as dg
import pandas as pd

from forecast_platform.partitions import (
    RegionWeek,
    backfill_policy,
    by_region,
    region_weeks,
    region_weeks_of,
)
from forecast_platform.resources.demand import read_demand
from forecast_platform.resources.failover import FAILOVER_STATE, states_before, states_of
from forecast_platform.resources.lake import Lake
from forecast_platform.resources.lifecycle import Lifecycle
from forecast_platform.resources.metadata import column_schema
from forecast_platform.resources.plots import plot_forecast
from forecast_platform.resources.provenance import made_from
from forecast_platform.resources.registry import Registry
from forecast_platform.resources.reporting import Problems, report
from forecast_platform.resources.scoring import score
from forecast_platform.resources.snapshot import Snapshot
from forecast_platform.schemas.forecasts import AS_WANTED, Forecasts
from forecast_platform.schemas.lifecycle import FailoverState
from forecast_platform.schemas.tables import as_table
from forecast_platform.vocabulary import (
    DS,
    HISTORICAL_AVERAGE,
    SEGMENT,
    UNIQUE_ID,
    Y_HAT,
    Y_HAT_P10,
    Y_HAT_P90,
    Y,
)

PLOTTED_WEEKS = 26
"""Recent actuals in the plot [weeks]."""


@dg.asset(
    group_name="forecasting",
    partitions_def=region_weeks,
    backfill_policy=backfill_policy,
    deps=["demand_features", "promotion", "fct_weekly_demand"],
    kinds={"pytorch", "numpy", "deltalake"},
    owners=["team:forecasting"],
    code_version="1",
    metadata=column_schema(Forecasts),
)
def forecasts(
    context: dg.AssetExecutionContext,
    lake: Lake,
    registry: dg.ResourceParam[Registry],
    lifecycle: dg.ResourceParam[Lifecycle],
) -> dg.MaterializeResult:
    """Weekly demand forecast of every series for the next weeks, as known at the close of a week.

    Made by the champion that `promotion` names for the segment; the forecasts of its members and
    of the historical average stand beside it, and `y_hat_p10` to `y_hat_p90` hold demand in 80 of
    100 cases. Where the champion is missing, corrupt, too old, out of reach or talks nonsense, the
    champion before it serves, then its last good forecast, then the historical average;
    `served_by` and `failover_reason` say so, and the table `failover_state` since when. Units per
    week.

    Grain: one row per region, week, `unique_id` and week ahead `h`.
    """
    keys = region_weeks_of(context)
    problems, made, details, tables = Problems(), [], {}, Snapshot(lake)
    states: list[pd.DataFrame] = []
    for region, weeks in by_region(keys).items():
        for key in (RegionWeek(region, week) for week in weeks):
            with problems.of(key):
                rows = score(key, tables, registry, rule=lifecycle.failover)
                before = states_before(key, tables, states)
                states += [states_of(key, rows, before, run_id=context.run_id)]
                made += [rows.assign(run_id=context.run_id, git_commit=lake.git_commit)]
                details[key] = _describe(context, key, rows)
                if key.week == weeks[-1]:
                    details[key]["forecast"] = _plot(key, rows, tables)
    if not made:
        problems.raise_any()
    table, read = as_table(pd.concat(made), Forecasts), tables.versions
    receipt = lake.write(
        "forecasts", table, list(details), run_id=context.run_id, provenance=made_from(read)
    )
    lake.write(
        FAILOVER_STATE,
        FailoverState.validate(pd.concat(states)),
        list(details),
        run_id=context.run_id,
    )
    problems.raise_any()
    return report(context, lake, receipt, read=read, by_key=details)


def _describe(
    context: dg.AssetExecutionContext, key: RegionWeek, rows: pd.DataFrame
) -> dict[str, Any]:
    """Say for each segment who served it, and warn where it is not the champion."""
    segments = rows.groupby(SEGMENT)[["served_by", "failover_reason"]].first()
    failed = segments[~segments["served_by"].isin(AS_WANTED)]
    for segment, (served_by, reason) in failed.iterrows():
        who = str(served_by).replace("_", " ")
        context.log.warning("%s %s: %s serves: %s", key.key, segment, who, reason)
    served = {str(segment): by for segment, by in segments["served_by"].items()}
    return {
        "n_series": rows[UNIQUE_ID].nunique(),
        "units_forecast": round(float(rows[Y_HAT].sum()), 1),
        "served_by": dg.MetadataValue.json(served),
    }


def _plot(key: RegionWeek, rows: pd.DataFrame, tables: Snapshot) -> dg.MarkdownMetadataValue:
    """Draw the demand of the whole region before and after the week."""
    since = key.week - pd.Timedelta(weeks=PLOTTED_WEEKS)
    recent = read_demand(tables, key.region, key.week, since=since)
    columns = [Y_HAT, HISTORICAL_AVERAGE, Y_HAT_P10, Y_HAT_P90]
    ahead = rows.groupby(DS)[columns].sum()
    has_range = bool(rows[[Y_HAT_P10, Y_HAT_P90]].notna().all(axis=None))
    return plot_forecast(
        recent.groupby(DS)[Y].sum(),
        ahead[Y_HAT],
        ahead[HISTORICAL_AVERAGE],
        title=f"{key.region}, all series, as known at {key.week:%Y-%m-%d}",
        between=(ahead[Y_HAT_P10], ahead[Y_HAT_P90]) if has_range else None,
    )
