"""What an asset or a check tells Dagster about region-weeks of a table.

Only the form of the report: what is worth saying is the asset's or the check's business.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import dagster as dg
import pandas as pd
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus

from forecast_platform.errors import ForecastPlatformError
from forecast_platform.partitions import BACKFILL_WEEKS, RegionWeek
from forecast_platform.resources.lake import Lake, WriteReceipt

FAILED_KEYS: Final = "failed_region_weeks"
"""Metadata of a verdict on many region-weeks that names those which did not pass."""

PART_OF: Final = "part_of"
"""Metadata of a verdict on one region-week that a verdict on all of the run goes with."""


def report(
    context: dg.AssetExecutionContext,
    lake: Lake,
    receipt: WriteReceipt,
    *,
    read: Mapping[str, int],
    details: Mapping[str, Any] | None = None,
    by_key: Mapping[RegionWeek, Mapping[str, Any]] | None = None,
    table: str | None = None,
) -> dg.MaterializeResult:
    """Report one write: its rows for each region-week, its version, and what it was made from.

    Parameters
    ----------
    context : dagster.AssetExecutionContext
    lake : Lake
        Says the commit of the code.
    receipt : WriteReceipt
        What the write did.
    read : Mapping[str, int]
        Version of every table that was read.
    details : Mapping[str, Any], optional
        Metadata of the whole run.
    by_key : Mapping[RegionWeek, Mapping[str, Any]], optional
        Metadata of single region-weeks.
    table : str, optional
        Asset that was written, where the step makes several.
    """
    facts = {
        key: {"dagster/partition_row_count": count, **(by_key or {}).get(key, {})}
        for key, count in receipt.rows_of.items()
    }
    asset_key = context.asset_key if table is None else dg.AssetKey(table)
    add_partition_metadata(context, asset_key, facts)
    return dg.MaterializeResult(
        asset_key=asset_key,
        metadata={
            "lake_version": receipt.version,
            "read_versions": dg.MetadataValue.json(dict(read)),
            "git_commit": lake.git_commit,
            **(details or {}),
        },
    )


def add_partition_metadata(
    context: dg.AssetExecutionContext,
    asset_key: dg.AssetKey,
    facts: Mapping[RegionWeek, Mapping[str, Any]],
) -> None:
    """Attach metadata to each region-week of a run.

    ``context.add_asset_metadata`` lists the whole range of the run on every call: 8 ms each for
    364 region-weeks, a third of the time of a bulk load. Long ranges go past that check.
    """
    if len(facts) <= BACKFILL_WEEKS:
        for key, metadata in facts.items():
            context.add_asset_metadata(metadata, asset_key=asset_key, partition_key=key.key)
        return
    step = context.get_step_execution_context()
    for key, metadata in facts.items():
        step._metadata_accumulator = step._metadata_accumulator.with_additional_asset_metadata(  # noqa: SLF001
            asset_key=asset_key, metadata=metadata, partition_key=key.key
        )


def tell_each(
    context: dg.AssetCheckExecutionContext,
    check: dg.AssetCheckKey,
    keys: Sequence[RegionWeek],
    problems: Mapping[str, str],
    severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR,
) -> None:
    """Show each region-week of a run over many its own verdict, beside the one on all of them.

    Dagster gives the verdict of a check to the partition of a run over one; of a run over many
    it belongs to none. An event costs some milliseconds, so a run over more region-weeks than a
    backfill puts into one tells those that fail, and those that are shown as not passed.

    Parameters
    ----------
    context : dagster.AssetCheckExecutionContext
    check : dagster.AssetCheckKey
    keys : sequence of RegionWeek
        All of the run.
    problems : mapping of str to str
        Partition keys that do not pass, and what is wrong with each.
    severity : dagster.AssetCheckSeverity, default=ERROR
    """
    if len(keys) == 1:
        return
    told = {key.key for key in keys}
    if len(keys) > BACKFILL_WEEKS:
        told = _shown_as_not_passed(context.instance, check, told) | problems.keys()
    for key in sorted(told, key=lambda one: (one in problems, one)):
        verdict = dg.AssetCheckEvaluation(
            asset_key=check.asset_key,
            check_name=check.name,
            passed=key not in problems,
            severity=severity,
            description=problems.get(key),
            metadata={PART_OF: f"a run over {len(keys)} region-weeks"},
            partition=key,
        )
        context.op_execution_context.log_event(verdict)  # pyright: ignore[reportArgumentType]


def _shown_as_not_passed(
    instance: dg.DagsterInstance, check: dg.AssetCheckKey, keys: Collection[str]
) -> set[str]:
    shown = instance.event_log_storage.get_asset_check_partition_info(
        [check], partition_keys=sorted(keys)
    )
    return {
        one.partition_key
        for one in shown
        if one.partition_key
        and one.latest_execution_status is not AssetCheckExecutionRecordStatus.SUCCEEDED
    }


def failed_keys(verdict: dg.AssetCheckEvaluation) -> list[str] | None:
    """Read which region-weeks did not pass; None where the verdict is one on all of them."""
    named = verdict.metadata.get(FAILED_KEYS)
    if not isinstance(named, dg.JsonMetadataValue) or not isinstance(named.value, list):
        return None
    return [str(one) for one in named.value]


def is_part(verdict: dg.AssetCheckEvaluation) -> bool:
    """Whether `tell_each` told a verdict, so that the one on all of the run counts instead."""
    return PART_OF in verdict.metadata


def rows_of(table: pd.DataFrame, key: RegionWeek) -> pd.DataFrame:
    """Select the rows of one region-week."""
    return table[(table["region"] == key.region) & (table["week"] == key.week)]


@dataclass
class Problems:
    """Region-weeks of a run that could not be done, while the others go on.

    What is done is written first, then `raise_any` fails the run. Errors that nobody foresaw
    are not held back.
    """

    found: dict[RegionWeek, str] = field(default_factory=dict)

    @contextmanager
    def of(self, key: RegionWeek) -> Iterator[None]:
        """Note what goes wrong with one region-week."""
        try:
            yield
        except ForecastPlatformError as error:
            self.found[key] = f"{type(error).__name__}: {error}"

    def raise_any(self) -> None:
        """Fail the run if there was a problem.

        Raises
        ------
        dagster.Failure
            Naming each region-week and its problem.
        """
        if not self.found:
            return
        listed = [f"{key.key}: {problem}" for key, problem in self.found.items()]
        raise dg.Failure("\n".join(listed[:20]), metadata={"n_failed": len(listed)})
