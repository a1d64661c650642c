"""The gate: which model serves each segment of a region from a week on.

The rule is `forecast_platform.forecasting.evaluation.promotion`; here it gets its numbers, and
its verdicts reach the registry and the manifest that scoring reads.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import dagster as dg
import pandas as pd

from forecast_platform.errors import RegistryUnavailable
from forecast_platform.partitions import (
    RegionWeek,
    backfill_policy,
    region_weeks,
    region_weeks_of,
)
from forecast_platform.resources.decisions import Decisions, append_log, read_decisions
from forecast_platform.resources.gate import Gate, Judged, log_rows
from forecast_platform.resources.lake import Lake
from forecast_platform.resources.lifecycle import Lifecycle
from forecast_platform.resources.manifest import (
    Manifest,
    concatenated,
    newest_manifest,
    no_promotions,
    read_promotions,
)
from forecast_platform.resources.metadata import column_schema
from forecast_platform.resources.provenance import made_from
from forecast_platform.resources.publishing import Note, publish
from forecast_platform.resources.registry import Registry
from forecast_platform.resources.reporting import report, rows_of
from forecast_platform.resources.snapshot import Snapshot
from forecast_platform.schemas.models import Promotion
from forecast_platform.schemas.tables import as_table
from forecast_platform.vocabulary import ENSEMBLE

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
    context: dg.AssetExecutionContext,
    lake: Lake,
    registry: dg.ResourceParam[Registry],
    lifecycle: dg.ResourceParam[Lifecycle],
) -> dg.MaterializeResult:
    """Which model serves each segment from one week on, and why.

    A challenger is promoted when it passes the rule of the deployment: its MAPE on held-out weeks
    is significant, lower than that of the historical average, and not worse than the champion's on
    the weeks that neither has seen, nor on any large group of their rows; its bias, and the
    coverage of its interval, are in bounds. Where promotion is manual, it then waits for a person.
    Every verdict goes with its numbers into the table `promotion_log`. Scoring reads this table, so
    that it needs no registry; the alias `champion` in the registry follows its newest week.

    Grain: one row per region, week and model: four ensembles and two baselines.
    """
    keys = region_weeks_of(context)
    regions = sorted({key.region for key in keys})
    snapshot = Snapshot(lake)
    with _held(context, registry, regions):
        judged = _judge(keys, snapshot, registry, lifecycle)
        made = [one for verdicts in judged.values() for one in verdicts]
        table = as_table(pd.DataFrame([one.row for one in made]), Promotion)
        read = snapshot.versions
        receipt = lake.write(
            "promotion", table, keys, run_id=context.run_id, provenance=made_from(read)
        )
        began = _began(context)
        logged = log_rows(made, mode=lifecycle.mode, decided_at=began, run_id=context.run_id)
        append_log(lake, logged, run_id=context.run_id)
        _publish(context, lake, registry, regions, made)
    return report(context, lake, receipt, read=read, details=_details(table))


@contextmanager
def _held(
    context: dg.AssetExecutionContext, registry: Registry, regions: Sequence[str]
) -> Iterator[None]:
    """Hold the promotions of the regions; without a registry, no person can promote either."""
    with ExitStack() as stack:
        try:
            stack.enter_context(registry.exclusive(regions))
        except RegistryUnavailable as error:
            context.log.warning("judging without the registry: %s", error)
        yield


def _judge(
    keys: Sequence[RegionWeek], tables: Snapshot, registry: Registry, lifecycle: Lifecycle
) -> dict[RegionWeek, list[Judged]]:
    """Judge week after week: who is promoted in one is the champion to beat in the next."""
    regions, weeks = sorted({key.region for key in keys}), sorted({key.week for key in keys})
    rows = {name: tables.read(name, region=regions, weeks=weeks) for name in READS}
    said = read_decisions(tables.lake, regions)
    stored = _stored(tables, regions, weeks)
    judged: dict[RegionWeek, list[Judged]] = {}
    for key in keys:
        trained, scores, holdout = (rows_of(rows[name], key) for name in READS)
        decisions = Decisions.at(key, said)
        champions = _champions_before(key, stored, judged, decisions)
        gate = Gate(
            *(key, trained, scores, holdout, champions, tables),
            registry=registry,
            lifecycle=lifecycle,
            decisions=decisions,
        )
        judged[key] = gate.judge()
    return judged


def _stored(
    tables: Snapshot, regions: Sequence[str], weeks: Sequence[pd.Timestamp]
) -> pd.DataFrame:
    if not tables.exists("promotion"):
        return no_promotions()
    until = max(weeks) - pd.Timedelta(weeks=1)
    return read_promotions(tables, regions, until, since=min(weeks))


def _champions_before(
    key: RegionWeek,
    stored: pd.DataFrame,
    judged: dict[RegionWeek, list[Judged]],
    decisions: Decisions,
) -> Manifest:
    """Find who served the region before a week: in the lake, and earlier in this run."""
    made = [one for one in judged if one.region == key.region]
    earlier = [
        as_table(pd.DataFrame([judge.row for judge in judged[one]]), Promotion) for one in made
    ]
    if len(stored):
        own = stored[(stored["region"] == key.region) & (stored["week"] < key.week)]
        earlier.append(own[~own["week"].isin([one.week for one in made])])
    return Manifest(decisions.without_withdrawn(concatenated(earlier)))


def _publish(
    context: dg.AssetExecutionContext,
    lake: Lake,
    registry: Registry,
    regions: Sequence[str],
    made: Sequence[Judged],
) -> None:
    """Tell the registry; when it is down, the next promotion makes up for it."""
    try:
        for region in regions:
            own = [_note(one) for one in made if one.row["region"] == region and _is_told(one)]
            publish(registry, newest_manifest(lake, [region]), own)
    except RegistryUnavailable as error:
        context.log.warning("the registry does not know of these promotions yet: %s", error)


def _is_told(one: Judged) -> bool:
    return one.row["kind"] == ENSEMBLE and not pd.isna(one.row["challenger_version"])


def _note(one: Judged) -> Note:
    row = one.row
    tags = {"verdict": row["verdict"], "verdict_reason": row["reason"]}
    tags["verdict_numbers"] = one.numbers
    return Note(str(row["model_name"]), int(row["challenger_version"]), tags)


def _began(context: dg.AssetExecutionContext) -> str:
    """Say when the run began; it is what orders the log, and no clock is asked."""
    record = context.instance.get_run_record_by_id(context.run_id)
    began = record.create_timestamp if record else pd.Timestamp(0, tz="UTC")
    return pd.Timestamp(began).tz_convert("UTC").isoformat(timespec="microseconds")


def _details(table: pd.DataFrame) -> dict[str, Any]:
    shown = table[["region", "week", "segment", "verdict", "reason"]].tail(MAX_SHOWN)
    counts = table["verdict"].value_counts()
    return {
        **{f"n_{verdict}": int(count) for verdict, count in counts.items()},
        "verdicts": dg.MetadataValue.md(shown.to_markdown(index=False)),
    }
