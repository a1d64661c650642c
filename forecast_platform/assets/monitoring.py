"""What became of the forecasts: realised accuracy, drift, and the health of each segment's model.

One step makes all three tables, because a step costs a third of a second in each region's week.
What is read and judged is in `forecast_platform.resources.watching`. See
https://docs.dagster.io/guides/build/assets/asset-observations.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import dagster as dg
import pandas as pd
import pandera.pandas as pa

from forecast_platform.partitions import (
    RegionWeek,
    backfill_policy,
    by_region,
    region_weeks,
    region_weeks_of,
)
from forecast_platform.resources.lake import Lake
from forecast_platform.resources.metadata import column_schema
from forecast_platform.resources.provenance import made_from
from forecast_platform.resources.reporting import report, rows_of
from forecast_platform.resources.snapshot import Snapshot
from forecast_platform.resources.watching import (
    HISTORY,
    Past,
    health_of,
    judge_drift,
    newest_scores,
    score_week,
)
from forecast_platform.schemas.monitoring import ForecastAccuracy, ModelDrift, ModelHealth

ACCURACY: Final = "forecast_accuracy"
DRIFT: Final = "model_drift"
HEALTH: Final = "model_health"

Table = Sequence[pd.DataFrame]


def _spec(
    key: str, schema: type[pa.DataFrameModel], deps: Sequence[str], description: str
) -> dg.AssetSpec:
    return dg.AssetSpec(
        key,
        deps=deps,
        description=description,
        group_name="monitoring",
        kinds={"pandas", "deltalake"},
        owners=["team:forecasting"],
        code_version="1",
        partitions_def=region_weeks,
        metadata=column_schema(schema),
    )


@dg.multi_asset(
    specs=[
        _spec(
            ACCURACY,
            ForecastAccuracy,
            ["fct_weekly_demand", "forecasts", "validation_metrics"],
            "Realised errors of past forecasts, scored when the demand of their week is known.\n\n"
            "By segment and weeks ahead, beside the historical average made at the same time and "
            "what validation had promised. A week whose demand was corrected is scored again in "
            "the week of the correction: of a `ds`, the row of the newest `week` counts.\n\n"
            "Grain: one row per region, week, `ds`, segment (and `all`) and `h` (0: all of them).",
        ),
        _spec(
            DRIFT,
            ModelDrift,
            ["demand_features", "forecasts", "fct_weekly_demand"],
            "Whether features and residuals of a week are as they used to be in the region.\n\n"
            "Limits come from the region's own past weeks. What the sources deliver is judged in "
            "`quality_checks`.\n\n"
            "Grain: one row per region, week and subject, `features` or `residuals`.",
        ),
        _spec(
            HEALTH,
            ModelHealth,
            ["forecasts", ACCURACY, DRIFT],
            "What serves each segment, how old it is, and what it turned out to be worth.\n\n"
            "Ages are from the training cutoff to the week of the partition, never to today.\n\n"
            "Grain: one row per region, week and segment, also of segments without a forecast.",
        ),
    ],
    name="monitoring",
    backfill_policy=backfill_policy,
)
def monitoring(context: dg.AssetExecutionContext, lake: Lake) -> Iterator[dg.MaterializeResult]:
    """Score, judge drift and sum up the health of every region-week of the run."""
    keys = region_weeks_of(context)
    tables = Snapshot(lake)
    accuracy, drift = [], []
    for region, weeks in by_region(keys).items():
        past = Past(tables, region, weeks)
        accuracy += [score_week(RegionWeek(region, week), past) for week in weeks]
        drift += [judge_drift(RegionWeek(region, week), past) for week in weeks]
    yield _write(context, lake, ACCURACY, accuracy, keys, tables.versions)
    yield _write(context, lake, DRIFT, drift, keys, tables.versions)
    after = Snapshot(lake, dict(tables.versions))
    health = [_health(key, after, pd.concat(drift)) for key in keys]
    by_key = {key: _describe(one) for key, one in zip(keys, health, strict=True)}
    yield _write(context, lake, HEALTH, health, keys, after.versions, by_key)


def _health(key: RegionWeek, tables: Snapshot, drift: pd.DataFrame) -> pd.DataFrame:
    scores = tables.read(ACCURACY, region=key.region, since=key.week - HISTORY, until=key.week)
    return health_of(key, tables, newest_scores(scores, key.week), rows_of(drift, key))


def _write(  # noqa: PLR0917
    context: dg.AssetExecutionContext,
    lake: Lake,
    table: str,
    parts: Table,
    keys: Sequence[RegionWeek],
    read: Mapping[str, int],
    by_key: Mapping[RegionWeek, Mapping[str, Any]] | None = None,
) -> dg.MaterializeResult:
    receipt = lake.write(
        table,
        pd.concat(parts),
        keys,
        run_id=context.run_id,
        provenance=made_from(read),
        allow_empty=table == ACCURACY,  # nothing was forecast before the first weeks
    )
    return report(context, lake, receipt, read=read, by_key=by_key, table=table)


def _describe(health: pd.DataFrame) -> dict[str, Any]:
    shown = ["segment", "status", "age_days", "served_by", "mape_realised", "is_degraded"]
    return {
        "status": dg.MetadataValue.json(
            dict(zip(health["segment"], health["status"], strict=True))
        ),
        "health": dg.MetadataValue.md(health[shown].to_markdown(index=False)),
    }
