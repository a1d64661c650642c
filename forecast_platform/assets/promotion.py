"""The gate: which model serves each segment of a region from a week on.

The rule is `forecast_platform.forecasting.evaluation.promotion`; here it gets its numbers, and
its verdicts reach the registry and the manifest that scoring reads.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg
import pandas as pd

from forecast_platform.partitions import (
    RegionWeek,
    backfill_policy,
    region_weeks,
    region_weeks_of,
)
from forecast_platform.resources.gate import Gate
from forecast_platform.resources.lake import Lake
from forecast_platform.resources.metadata import column_schema
from forecast_platform.resources.provenance import made_from
from forecast_platform.resources.registry import Registry
from forecast_platform.resources.reporting import report, rows_of
from forecast_platform.resources.serving import newest_manifest
from forecast_platform.resources.snapshot import Snapshot
from forecast_platform.schemas.models import PROMOTED, Promotion
from forecast_platform.schemas.tables import as_table

READS = ("trained_ensembles", "validation_metrics", "holdout_forecasts")
MAX_SHOWN = 60


@dg.asset(
    group_name="promotion",
    partitions_def=region_weeks,
    backfill_policy=backfill_policy,
    deps=["trained_ensembles", "validation_metrics", "demand_features"],
    kinds={"mlflow", "deltalake"},
    owners=["team:forecasting"],
    code_version="1",
    metadata=column_schema(Promotion),
)
def promotion(
    context: dg.AssetExecutionContext, lake: Lake, registry: dg.ResourceParam[Registry]
) -> dg.MaterializeResult:
    """Which model serves each segment from one week on, and why.

    A challenger is promoted when its MAPE on held-out weeks is significant, lower than that of
    the historical average, and not worse than the champion's on the weeks that neither has seen.
    Scoring reads this table, so that it needs no registry; the alias `champion` in the registry
    follows it, but never back to an older model when an old week is made again.

    Grain: one row per region, week and model: four ensembles and two baselines.
    """
    keys = region_weeks_of(context)
    regions, weeks = sorted({key.region for key in keys}), sorted({key.week for key in keys})
    snapshot = Snapshot(lake)
    tables = {name: snapshot.read(name, region=regions, weeks=weeks) for name in READS}
    verdicts: list[pd.DataFrame] = []
    for key in keys:
        trained, scores, holdout = (rows_of(tables[name], key) for name in READS)
        champions = _champions_before(key, snapshot, verdicts)
        verdicts.append(Gate(key, trained, scores, holdout, champions, snapshot, registry).judge())
    table, read = as_table(pd.concat(verdicts), Promotion), snapshot.versions
    receipt = lake.write(
        "promotion", table, keys, run_id=context.run_id, provenance=made_from(read)
    )
    for row in table[table["verdict"] == PROMOTED].itertuples():
        registry.promote(str(row.model_name), int(str(row.champion_version)))
    return report(context, lake, receipt, read=read, details=_details(table))


def _champions_before(
    key: RegionWeek, tables: Snapshot, made: Sequence[pd.DataFrame]
) -> dict[str, Mapping[str, Any]]:
    """Find who served the region before a week: in the lake, or earlier in this run."""
    earlier = [rows for rows in made if rows["region"].iloc[0] == key.region]
    if earlier:
        return newest_manifest(pd.concat(earlier))
    if not tables.exists("promotion"):
        return {}
    until = key.week - pd.Timedelta(weeks=1)
    return newest_manifest(tables.read("promotion", region=key.region, until=until))


def _details(table: pd.DataFrame) -> dict[str, Any]:
    shown = table[["region", "week", "segment", "verdict", "reason"]].tail(MAX_SHOWN)
    counts = table["verdict"].value_counts()
    return {
        **{f"n_{verdict}": int(count) for verdict, count in counts.items()},
        "verdicts": dg.MetadataValue.md(shown.to_markdown(index=False)),
    }
