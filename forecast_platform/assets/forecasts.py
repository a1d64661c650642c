"""The forecasts of the next weeks, made by each segment's champion.

Loading models and failing over is in `forecast_platform.resources.serving`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import dagster as dg
import pandas as pd

from forecast_platform.errors import TableMissing
from forecast_platform.partitions import (
    RegionWeek,
    backfill_policy,
    by_region,
    region_weeks,
    region_weeks_of,
)
from forecast_platform.resources.lake import Lake
from forecast_platform.resources.metadata import column_schema
from forecast_platform.resources.plots import plot_forecast
from forecast_platform.resources.registry import Registry
from forecast_platform.resources.reporting import Problems, report
from forecast_platform.resources.serving import Server, newest_manifest
from forecast_platform.schemas.forecasts import CHAMPION, Forecasts
from forecast_platform.schemas.tables import as_table
from forecast_platform.vocabulary import (
    DS,
    FORMAT,
    HISTORICAL_AVERAGE,
    SEGMENT,
    STORE_ID,
    UNIQUE_ID,
    Y_HAT,
    H,
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
    context: dg.AssetExecutionContext, lake: Lake, registry: dg.ResourceParam[Registry]
) -> dg.MaterializeResult:
    """Weekly demand forecast of every series for the next weeks, as known at the close of a week.

    Made by the champion that `promotion` names for the segment; the forecasts of its members and
    of the historical average stand beside it. Where there is no champion, or it cannot be loaded,
    the historical average serves, and `served_by` and `failover_reason` say so. Units per week.

    Grain: one row per region, week, `unique_id` and week ahead `h`.
    """
    keys = region_weeks_of(context)
    problems, made, details, read = Problems(), [], {}, {}
    for region, weeks in by_region(keys).items():
        source = _Source(lake, region)
        for key in (RegionWeek(region, week) for week in weeks):
            with problems.of(key):
                rows = _forecast(key, source, registry)
                made += [rows.assign(run_id=context.run_id, git_commit=lake.git_commit)]
                details[key] = _describe(context, key, rows)
                if key.week == weeks[-1]:
                    details[key]["forecast"] = _plot(key, rows, source)
        read |= source.versions
    if not made:
        problems.raise_any()
    table = as_table(pd.concat(made), Forecasts)
    receipt = lake.write("forecasts", table, list(details), run_id=context.run_id, provenance=read)
    problems.raise_any()
    return report(context, lake, receipt, read=read, by_key=details)


@dataclass
class _Source:
    """Reads what one region's forecasts are made from, and remembers the versions."""

    lake: Lake
    region: str
    versions: dict[str, int] = field(default_factory=dict)

    def read(self, table: str, **selection: Any) -> pd.DataFrame:
        rows = self.lake.read(table, region=self.region, **selection)
        self.versions[table] = rows.attrs["version"]
        return rows

    def manifest(self, week: pd.Timestamp) -> dict[str, Mapping[str, Any]]:
        """Read who serves as of a week; nobody if nothing was ever judged."""
        if not self.lake.exists("promotion"):
            return {}
        return newest_manifest(self.read("promotion", until=week))


def _forecast(key: RegionWeek, source: _Source, registry: Registry) -> pd.DataFrame:
    features = source.read("demand_features", weeks=[key.week])
    if features.empty:
        raise TableMissing(f"{key.key} has no rows in demand_features: materialize it first")

    def fit_baseline(form: str) -> Any:
        from forecast_platform.forecasting.training import fit_baseline

        demand = source.read("fct_weekly_demand", until=key.week)
        formats = features.drop_duplicates(STORE_ID).set_index(STORE_ID)[FORMAT]
        return fit_baseline(demand.assign(format=demand[STORE_ID].map(formats)), form)

    server = Server(key.region, key.week, source.manifest(key.week), registry, fit_baseline)
    rows = server.forecast(features)
    week = f"{key.week:%Y-%m-%d}"
    named = f"{key.region}|{week}|" + rows[UNIQUE_ID] + "|" + rows[H].astype(str)
    return rows.assign(forecast_id=named)


def _describe(
    context: dg.AssetExecutionContext, key: RegionWeek, rows: pd.DataFrame
) -> dict[str, Any]:
    """Say for each segment who served it, and warn where it is not the champion."""
    segments = rows.groupby(SEGMENT)[["served_by", "failover_reason"]].first()
    failed = segments[segments["served_by"] != CHAMPION]
    for segment, reason in failed["failover_reason"].items():
        context.log.warning("%s %s: historical average serves: %s", key.key, segment, reason)
    served = {str(segment): by for segment, by in segments["served_by"].items()}
    return {
        "n_series": rows[UNIQUE_ID].nunique(),
        "units_forecast": round(float(rows[Y_HAT].sum()), 1),
        "served_by": dg.MetadataValue.json(served),
    }


def _plot(key: RegionWeek, rows: pd.DataFrame, source: _Source) -> dg.MarkdownMetadataValue:
    """Draw the demand of the whole region before and after the week."""
    since = key.week - pd.Timedelta(weeks=PLOTTED_WEEKS)
    recent = source.read("fct_weekly_demand", since=since, until=key.week, columns=[DS, Y])
    ahead = rows.groupby(DS)[[Y_HAT, HISTORICAL_AVERAGE]].sum()
    return plot_forecast(
        recent.groupby(DS)[Y].sum(),
        ahead[Y_HAT],
        ahead[HISTORICAL_AVERAGE],
        title=f"{key.region}, all series, as known at {key.week:%Y-%m-%d}",
    )
