"""Forecasts of regions and clusters of stores up to a year ahead, and their backtest.

They run by the month, in a job of their own. What is read is in
`forecast_platform.resources.deep_horizon`, the models in `forecast_platform.forecasting.deep`. See
https://docs.dagster.io/guides/build/assets/defining-assets#multi-assets.
"""

from collections.abc import Iterator

import dagster as dg
import pandas as pd

from forecast_platform.partitions import (
    RegionWeek,
    backfill_policy,
    region_weeks,
    region_weeks_of,
)
from forecast_platform.resources.deep_horizon import DeepResult, deep_at
from forecast_platform.resources.lake import Lake
from forecast_platform.resources.metadata import column_schema
from forecast_platform.resources.model_settings import ModelSettings
from forecast_platform.resources.provenance import made_from
from forecast_platform.resources.reporting import Problems, add_partition_metadata
from forecast_platform.resources.snapshot import Snapshot
from forecast_platform.schemas.deep import DeepBacktest, DeepForecasts
from forecast_platform.schemas.tables import as_table

SCHEMAS = {"deep_forecasts": DeepForecasts, "deep_backtest": DeepBacktest}
DEPS = ["fct_weekly_demand", "dim_stores", "dim_products"]
FORECASTS_TOLD = """Weekly demand of the region and its clusters of stores, 1 to 52 weeks ahead.

Sums over all products and by category. Stores are put into clusters by demographics, format and
volume as known at the week. A LASSO and a net on features of the sums, with an 80 % range laid by
held-out errors; seasonal naive and historical average stand beside. No row for a region of less
than 78 weeks. Units per week.

Grain: one row per region, week, `unique_id` and week ahead `h`.
"""
BACKTEST_TOLD = """Errors of deep forecasts of the last year, made from 52, 39 and 26 weeks before.

Every model on the same rows, by scope and weeks ahead. Fractions.

Grain: one row per region, week, scope, band of weeks ahead and model.
"""


def _spec(name: str, description: str) -> dg.AssetSpec:
    return dg.AssetSpec(
        name,
        deps=DEPS,
        description=description,
        group_name="deep_horizon",
        kinds={"pytorch", "numpy", "deltalake"},
        owners=["team:forecasting"],
        code_version="1",
        metadata=column_schema(SCHEMAS[name]),
    )


@dg.multi_asset(
    specs=[_spec("deep_forecasts", FORECASTS_TOLD), _spec("deep_backtest", BACKTEST_TOLD)],
    partitions_def=region_weeks,
    backfill_policy=backfill_policy,
)
def deep_horizon(
    context: dg.AssetExecutionContext, lake: Lake, model_settings: ModelSettings
) -> Iterator[dg.MaterializeResult]:
    """Backtest, forecast, and write both tables."""
    problems, made, tables = Problems(), {}, Snapshot(lake)
    for key in region_weeks_of(context):
        with problems.of(key):
            made[key] = deep_at(key, tables, model_settings)
            if made[key].reason:
                context.log.warning("%s: no deep forecasts: %s", key.key, made[key].reason)
    if not made:
        problems.raise_any()
    parts = {"deep_forecasts": "forecasts", "deep_backtest": "scores"}
    for name, part in parts.items():
        yield _write(context, lake, tables, model_settings, (name, part, made))
    problems.raise_any()


def _write(
    context: dg.AssetExecutionContext,
    lake: Lake,
    tables: Snapshot,
    settings: ModelSettings,
    what: tuple[str, str, dict[RegionWeek, DeepResult]],
) -> dg.MaterializeResult:
    name, part, made = what
    schema = SCHEMAS[name]
    found = [rows for one in made.values() if len(rows := getattr(one, part))]
    columns = list(schema.to_schema().columns)
    table = as_table(pd.concat(found) if found else pd.DataFrame(columns=columns), schema)
    provenance = made_from(tables.versions, settings=settings.model_dump())
    receipt = lake.write(
        name, table, list(made), run_id=context.run_id, provenance=provenance, allow_empty=True
    )
    facts = {
        key: {
            "dagster/partition_row_count": count,
            **({"problems": made[key].reason} if made[key].reason else {}),
        }
        for key, count in receipt.rows_of.items()
    }
    add_partition_metadata(context, dg.AssetKey(name), facts)
    return dg.MaterializeResult(
        asset_key=name,
        metadata={
            "lake_version": receipt.version,
            "read_versions": dg.MetadataValue.json(dict(tables.versions)),
            "git_commit": lake.git_commit,
        },
    )
