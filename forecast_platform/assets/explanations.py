"""Why models and forecasts are what they are, as tables; no forecast reads them.

How an explanation is made is in `forecast_platform.forecasting.explanation`, what is read for it in
`forecast_platform.resources.explaining`. See https://docs.dagster.io/guides/build/assets.
"""

from collections.abc import Callable
from typing import Any

import dagster as dg
import pandas as pd
import pandera.pandas as pa

from forecast_platform.partitions import (
    RegionWeek,
    backfill_policy,
    region_weeks,
    region_weeks_of,
)
from forecast_platform.resources.explaining import contributions_at, explain_models
from forecast_platform.resources.io_manager import MAY_BE_EMPTY
from forecast_platform.resources.lake import Lake
from forecast_platform.resources.metadata import column_schema
from forecast_platform.resources.provenance import made_from
from forecast_platform.resources.registry import Registry
from forecast_platform.resources.reporting import Problems, report
from forecast_platform.resources.snapshot import Snapshot
from forecast_platform.schemas.explanations import ForecastContributions, ModelExplanations
from forecast_platform.schemas.tables import as_table

Explain = Callable[[RegionWeek, Snapshot, Registry], pd.DataFrame]


@dg.asset(
    group_name="validation",
    partitions_def=region_weeks,
    backfill_policy=backfill_policy,
    deps=["trained_ensembles", "demand_features", "fct_weekly_demand"],
    kinds={"numpy", "deltalake"},
    owners=["team:forecasting"],
    code_version="1",
    metadata={**column_schema(ModelExplanations), MAY_BE_EMPTY: True},
)
def model_explanations(
    context: dg.AssetExecutionContext, lake: Lake, registry: dg.ResourceParam[Registry]
) -> dg.MaterializeResult:
    """Lessons of each segment's ensemble, in units that a planner reads.

    Coefficients of the LASSO: price elasticity, uplift of feature and display, lift of each event,
    and the effect of one standard deviation of everything else. Importance of each group of
    features to every member and the ensemble: how much MAPE rises when it is shuffled among the
    newest rows whose demand is known.

    Grain: one row per region, week, segment, model, kind and feature.
    """
    return _write(context, lake, registry, explain_models, ModelExplanations)


@dg.asset(
    group_name="forecasting",
    partitions_def=region_weeks,
    backfill_policy=backfill_policy,
    deps=["forecasts", "demand_features", "promotion"],
    kinds={"numpy", "deltalake"},
    owners=["team:forecasting"],
    code_version="1",
    metadata=column_schema(ForecastContributions),
)
def forecast_contributions(
    context: dg.AssetExecutionContext, lake: Lake, registry: dg.ResourceParam[Registry]
) -> dg.MaterializeResult:
    """Parts of each forecast: level, trend, season, promotion, events, weather, store.

    The parts add up to the forecast [units]. Of a region-week with more than 20,000 forecasts the
    largest; `forecast-platform forecast explain` takes any other apart. Why a forecast differs from
    last week's is told by the same command.

    Grain: one row per region, week, `unique_id` and week ahead `h`.
    """
    return _write(context, lake, registry, contributions_at, ForecastContributions)


def _write(
    context: dg.AssetExecutionContext,
    lake: Lake,
    registry: Registry,
    explain: Explain,
    schema: type[pa.DataFrameModel],
) -> dg.MaterializeResult:
    """Explain every region-week of the run and write what was found, in one commit."""
    problems, made, tables = Problems(), {}, Snapshot(lake)
    for key in region_weeks_of(context):
        with problems.of(key):
            made[key] = explain(key, tables, registry)
    if not made:
        problems.raise_any()
    columns = list(schema.to_schema().columns)
    found = [rows.reindex(columns=columns) for rows in made.values() if len(rows)]
    table = as_table(pd.concat(found) if found else pd.DataFrame(columns=columns), schema)
    receipt = lake.write(
        context.asset_key.to_user_string(),
        table,
        list(made),
        run_id=context.run_id,
        provenance=made_from(tables.versions),
        allow_empty=schema is ModelExplanations,
    )
    details: dict[RegionWeek, dict[str, Any]] = {key: {} for key in made}
    result = report(context, lake, receipt, read=tables.versions, by_key=details)
    problems.raise_any()
    return result
