"""Tables on the quality of what was delivered, for people and dashboards; no forecast reads them.

Counting and judging is in `forecast_platform.resources.source_quality`, what the numbers mean in
docs/data-quality.md. See https://docs.dagster.io/guides/build/assets.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import dagster as dg
import pandas as pd

from forecast_platform.partitions import (
    RegionWeek,
    backfill_policy,
    region_weeks,
    region_weeks_of,
)
from forecast_platform.resources.lake import Lake
from forecast_platform.resources.landing import Landing
from forecast_platform.resources.metadata import column_schema
from forecast_platform.resources.reporting import failed_keys, is_part, report
from forecast_platform.resources.source_quality import SEVERITY_OF, examine
from forecast_platform.schemas.conditioned import MARTS
from forecast_platform.schemas.quality import QualityChecks, QualityRows
from forecast_platform.schemas.raw import CONTRACTS
from forecast_platform.schemas.tables import as_table

RAW_TABLES: Final = [contract.table for contract in CONTRACTS.values()]
Record = dict[str, Any]


@dg.asset(
    group_name="quality",
    partitions_def=region_weeks,
    backfill_policy=backfill_policy,
    deps=RAW_TABLES,
    kinds={"pandas", "deltalake"},
    owners=["team:data-engineering"],
    code_version="1",
    metadata=column_schema(QualityRows),
)
def quality_rows(
    context: dg.AssetExecutionContext, lake: Lake, landing: Landing
) -> dg.MaterializeResult:
    """Row counts by source: what became of the delivered rows, and how fresh the source is.

    Made from `row_ledger`, where each file has a row of its own.

    Grain: one row per region, week of delivery and source, also of those not delivered.
    """
    keys = region_weeks_of(context)
    counted = examine(lake, landing, keys).rows
    receipt = lake.write("quality_rows", counted, keys, run_id=context.run_id)
    details = {name: int(counted[name].sum()) for name in ("rows_read", "rows_refused")}
    return report(context, lake, receipt, read=_versions(lake, ["row_ledger"]), details=details)


@dg.asset(
    group_name="quality",
    partitions_def=region_weeks,
    backfill_policy=backfill_policy,
    deps=[*RAW_TABLES, *MARTS],
    kinds={"pandas", "deltalake"},
    owners=["team:data-engineering"],
    code_version="1",
    metadata=column_schema(QualityChecks),
)
def quality_checks(
    context: dg.AssetExecutionContext, lake: Lake, landing: Landing
) -> dg.MaterializeResult:
    """Verdicts of the checks on data, the last one of each.

    The sources are judged here, for every region-week of the run alone; the verdicts of the
    checks of raw tables and marts are those that the run has seen by now, and where it saw none,
    those that were known before. A check that failed for a range of weeks and cannot say for
    which of them has failed for all.

    Grain: one row per region, week, table and check.
    """
    keys = region_weeks_of(context)
    judged = [*_of_sources(context, lake, landing, keys), *_of_run(context, keys)]
    verdicts = as_table(pd.DataFrame(judged), QualityChecks)
    verdicts = _with_earlier(lake, verdicts, keys)
    receipt = lake.write("quality_checks", verdicts, keys, run_id=context.run_id)
    failed = verdicts[~verdicts["passed"]]
    details = {"n_verdicts": len(verdicts), "n_failed": len(failed)}
    return report(context, lake, receipt, read=_versions(lake, RAW_TABLES), details=details)


def _of_sources(
    context: dg.AssetExecutionContext, lake: Lake, landing: Landing, keys: Sequence[RegionWeek]
) -> Iterator[Record]:
    for key, source, verdict in examine(lake, landing, keys).verdicts:
        yield {
            "region": key.region,
            "week": key.week,
            "asset": CONTRACTS[source].table,
            "check_name": verdict.check,
            "passed": verdict.passed,
            "severity": SEVERITY_OF[verdict.check],
            "value": verdict.value,
            "limit": verdict.limit,
            "description": verdict.description,
            "run_id": context.run_id,
        }


def _of_run(context: dg.AssetExecutionContext, keys: Sequence[RegionWeek]) -> Iterator[Record]:
    """Read what other checks of this run have found, from Dagster's records of it."""
    tables = {*RAW_TABLES, *MARTS}
    kind = dg.DagsterEventType.ASSET_CHECK_EVALUATION
    for entry in context.instance.all_logs(context.run_id, of_type=kind):
        event = entry.dagster_event
        check = event.asset_check_evaluation_data if event else None
        if check is None or is_part(check) or check.asset_key.to_user_string() not in tables:
            continue
        if check.check_name not in SEVERITY_OF:
            yield from _spread(check, keys, context.run_id)


def _spread(
    check: dg.AssetCheckEvaluation, keys: Sequence[RegionWeek], run_id: str
) -> Iterator[Record]:
    """Give each region-week of a run the verdict that was given for all."""
    failed = failed_keys(check)
    for key in keys:
        passed = check.passed or (failed is not None and key.key not in failed)
        yield {
            "region": key.region,
            "week": key.week,
            "asset": check.asset_key.to_user_string(),
            "check_name": check.check_name,
            "passed": passed,
            "severity": check.severity.value,
            "value": None,
            "limit": None,
            "description": None if passed else check.description,
            "run_id": run_id,
        }


def _with_earlier(lake: Lake, verdicts: pd.DataFrame, keys: Sequence[RegionWeek]) -> pd.DataFrame:
    """Add the verdicts of checks that were not made this time."""
    if not lake.exists("quality_checks"):
        return verdicts
    earlier = lake.read(
        "quality_checks",
        region=sorted({key.region for key in keys}),
        weeks=sorted({key.week for key in keys}),
    )
    earlier = earlier[pd.MultiIndex.from_frame(earlier[["region", "week"]]).isin(list(keys))]
    identity = ["region", "week", "asset", "check_name"]
    both = pd.concat([verdicts, earlier]) if len(earlier) else verdicts
    return as_table(both.drop_duplicates(identity, keep="first"), QualityChecks)


def _versions(lake: Lake, tables: Sequence[str]) -> Mapping[str, int]:
    found = {table: lake.version(table) for table in tables}
    return {table: version for table, version in found.items() if version is not None}


quality_assets = [quality_rows, quality_checks]
