"""The raw tables: delivered files, held to their contracts.

One asset per source. What a source must hold is in `forecast_platform.schemas.raw`, where its
files lie in the sources file. Refused rows go to the table `quarantine`, every file and the fate
of its rows to `row_ledger`. See https://docs.dagster.io/guides/build/assets.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import dagster as dg
import pandas as pd

from forecast_platform.errors import LandingError
from forecast_platform.partitions import (
    RegionWeek,
    backfill_policy,
    region_weeks,
    region_weeks_of,
    regions,
    weeks,
)
from forecast_platform.resources import databases, replays
from forecast_platform.resources.lake import Lake, WriteReceipt
from forecast_platform.resources.landing import Delivery, Landing
from forecast_platform.resources.metadata import column_schema
from forecast_platform.resources.reporting import report
from forecast_platform.resources.source_history import count_refused
from forecast_platform.resources.sources import Required
from forecast_platform.schemas.acceptance import Accepted, accept
from forecast_platform.schemas.codes import NOT_REFUSED, REPLAYED
from forecast_platform.schemas.raw import CONTRACTS, Contract, Quarantine, RowLedger
from forecast_platform.schemas.tables import as_table

MAX_PROBLEMS_SHOWN = 10
MAX_REASONS_SHOWN = 3
MAX_UNPLACED_SHOWN = 1000
PLACE_OF_FILE = ["region", "week", "source_file"]
COUNTS = ("rows_read", "rows_accepted", "rows_quarantined", "rows_duplicate")


def build_raw_asset(contract: Contract) -> dg.AssetsDefinition:
    """Build the asset that takes in one source."""

    @dg.asset(
        name=contract.table,
        group_name="raw",
        partitions_def=region_weeks,
        backfill_policy=backfill_policy,
        kinds={"python", "deltalake"},
        owners=["team:data-engineering"],
        code_version="1",
        metadata=column_schema(contract.schema),
        description=f"{contract.schema.__doc__}\n\nGrain: {contract.grain}",
    )
    def raw_table(
        context: dg.AssetExecutionContext, lake: Lake, landing: Landing
    ) -> Iterator[dg.AssetMaterialization | dg.MaterializeResult]:
        keys = region_weeks_of(context)
        try:
            delivery = landing.read(contract.source, keys)
        except LandingError as error:
            raise dg.Failure(str(error), allow_retries=False) from error
        problems = delivery.bad | _missing(contract, landing, delivery, keys)
        readable = [key for key in keys if key not in problems]
        accepted = accept(
            _with_replays(lake, contract, delivery, keys),
            contract,
            allow_corrections=landing.allows_corrections(contract.source),
        )
        files = _of(_account(contract, delivery, accepted), readable)
        limit = landing.refused_limits().get(contract.source, 1.0)
        problems |= _refused_too_much(contract, accepted, files, limit)
        taken = [key for key in readable if key not in problems]
        receipt = _publish(context, lake, contract, accepted, files, taken) if taken else None
        _keep_account(context, lake, contract, accepted, files, readable)
        unplaced = _tell_unplaced(context, contract, delivery)
        result = _report(context, lake, contract, receipt, files, taken) if receipt else None
        if problems or result is None:
            yield from _told_of(context, files, taken)
            raise _failure(contract, problems, n_taken=len(taken))
        yield result._replace(metadata={**(result.metadata or {}), **unplaced})

    return raw_table


def _tell_unplaced(
    context: dg.AssetExecutionContext, contract: Contract, delivery: Delivery
) -> dict[str, Any]:
    """Name the rows that no partition can hold: of unknown regions, or before the first week."""
    registered = set(context.instance.get_dynamic_partitions(str(regions.name)))
    first_week = pd.Timestamp(weeks.start.date())
    found = {
        f"{key.region or '(no region)'}|{key.week:%Y-%m-%d}": n_rows
        for key, n_rows in sorted(delivery.elsewhere.items())
        if key.region not in registered or key.week < first_week
    }
    if not found:
        return {"rows_unplaced": 0}
    shown = ", ".join(f"{key}: {n}" for key, n in list(found.items())[:MAX_PROBLEMS_SHOWN])
    context.log.warning(
        "%s: %d rows were left out, of regions that are not registered or weeks before %s: %s. "
        "`forecast-platform regions add <region>` registers a region.",
        contract.table,
        sum(found.values()),
        f"{first_week:%Y-%m-%d}",
        shown,
    )
    return {
        "rows_unplaced": sum(found.values()),
        "unplaced": dg.MetadataValue.json(dict(list(found.items())[:MAX_UNPLACED_SHOWN])),
    }


def _with_replays(
    lake: Lake, contract: Contract, delivery: Delivery, keys: Sequence[RegionWeek]
) -> pd.DataFrame:
    """Take what persons decided about refused rows, as long as their file is the same."""
    digests = {(one.key, one.file.file): one.sha256 for one in delivery.files}
    return replays.apply(delivery.rows, replays.read(lake, contract.source, keys), digests)


def _refused_too_much(
    contract: Contract, accepted: Accepted, files: pd.DataFrame, limit: float
) -> dict[RegionWeek, str]:
    """Name the region-weeks of which so many rows were refused that none is to be believed."""
    found = {}
    for (region, week), own in files.groupby(["region", "week"]):
        n_read, n_refused = int(own["rows_read"].sum()), count_refused(own["reasons"])
        if n_refused > limit * n_read:
            key = RegionWeek.of(region, week)
            found[key] = (
                f"{n_refused} of {n_read} rows were refused, {n_refused / n_read:.0%}; at most "
                f"{limit:.0%} may be (max_refused_share): {_first_reasons(accepted, key)}. None "
                "was published; see `forecast-platform quarantine show "
                f"--source {contract.source} --region {key.region} --week {key.week:%Y-%m-%d}`"
            )
    return found


def _first_reasons(accepted: Accepted, key: RegionWeek) -> str:
    """Say the most frequent reasons of a region-week, each with its first row."""
    refused = accepted.refused[~accepted.refused["code"].isin(NOT_REFUSED)]
    rows = accepted.delivered.loc[refused.index]
    is_own = (rows["region"] == key.region) & (rows["week"] == key.week)
    refused, rows = refused[is_own], rows[is_own]
    shown = []
    for code, n_rows in refused["code"].value_counts().head(MAX_REASONS_SHOWN).items():
        first = refused.index[refused["code"] == code][0]
        column, value, reason = refused.loc[first, ["column", "value", "reason"]]
        place = f"{rows.loc[first, 'source_file']} row {rows.loc[first, 'source_row']}"
        shown.append(f"{code} in {n_rows} rows, first {place}: {column} {value!r} {reason}")
    return "; ".join(shown)


def _told_of(
    context: dg.AssetExecutionContext, files: pd.DataFrame, keys: Sequence[RegionWeek]
) -> Iterator[dg.AssetMaterialization]:
    """Tell Dagster of the region-weeks that a failing run has written: they are there."""
    for key, facts in _facts(_of(files, keys), keys).items():
        yield dg.AssetMaterialization(
            asset_key=context.asset_key,
            partition=key.key,
            metadata={**facts, "dagster/partition_row_count": facts["rows_accepted"]},
            tags={"dagster/data_version": _digest([facts["content_digest"]])},
        )


def _missing(
    contract: Contract, landing: Landing, delivery: Delivery, keys: Sequence[RegionWeek]
) -> dict[RegionWeek, str]:
    source = landing.source(contract.source)
    if source is None or source.required is not Required.WEEKLY:
        return {}
    delivered = {one.key for one in delivery.files}
    return {
        key: f"the database has no row of it: asked {databases.name_of(source.sql)}"
        if source.sql
        else f"no file was delivered: looked in {landing.uri} for "
        + source.path.replace("{region}", key.region).replace("{week}", f"{key.week:%Y-%m-%d}")
        for key in keys
        if key not in delivered and key not in delivery.bad
    }


def _account(contract: Contract, delivery: Delivery, accepted: Accepted) -> pd.DataFrame:
    """Count what became of the rows of each file."""
    delivered = accepted.delivered
    replayed = delivered[delivered[REPLAYED]]
    replayed = replayed.groupby(PLACE_OF_FILE, observed=True).size().to_dict()
    records = [
        {
            "region": key.region,
            "week": key.week,
            "source": contract.source,
            "file": one.file,
            "size_bytes": one.size_bytes,
            "sha256": sha256,
            "rows_sha256": rows_sha256,
            "format": one.format,
            "compression": one.compression,
            "query": one.query,
            "known_on": one.known_on(key.week),
            "rows_replayed": int(replayed.get((key.region, key.week, one.file), 0)),
            **accepted.counts_of(key.region, key.week, one.file),
            "reasons": json.dumps(accepted.reasons_of(key.region, key.week, one.file)),
        }
        for key, one, sha256, rows_sha256 in delivery.files
    ]
    columns = list(RowLedger.to_schema().columns)
    return RowLedger.validate(as_table(pd.DataFrame(records, columns=columns), RowLedger))


def _publish(  # noqa: PLR0917
    context: dg.AssetExecutionContext,
    lake: Lake,
    contract: Contract,
    accepted: Accepted,
    files: pd.DataFrame,
    keys: Sequence[RegionWeek],
) -> WriteReceipt:
    """Write the rows of some region-weeks, before their files: who sees a file sees its rows."""
    return lake.write(
        contract.table,
        _of(as_table(accepted.table, contract.schema), keys),
        keys,
        run_id=context.run_id,
        provenance={"files": _digests(_facts(_of(files, keys), keys), "files_digest")},
        allow_empty=True,
    )


def _keep_account(  # noqa: PLR0917
    context: dg.AssetExecutionContext,
    lake: Lake,
    contract: Contract,
    accepted: Accepted,
    files: pd.DataFrame,
    keys: Sequence[RegionWeek],
) -> None:
    """Write the refused rows, then the files, also of region-weeks that were not published."""
    sha256_of = dict(zip(files["file"], files["sha256"], strict=True))
    refused = as_table(accepted.quarantine(contract.source, sha256_of), Quarantine)
    for table, rows in (("quarantine", _of(refused, keys)), ("row_ledger", files)):
        if keys:
            lake.write(
                table,
                rows,
                keys,
                run_id=context.run_id,
                extra_keys={"source": contract.source},
                allow_empty=True,
            )


def _report(  # noqa: PLR0917
    context: dg.AssetExecutionContext,
    lake: Lake,
    contract: Contract,
    receipt: WriteReceipt,
    files: pd.DataFrame,
    keys: Sequence[RegionWeek],
) -> dg.MaterializeResult:
    files = _of(files, keys)
    facts = _facts(files, keys)
    n_refused = int(files["rows_quarantined"].sum())
    if n_refused:
        context.log.warning("%s: %d rows are in the table quarantine", contract.table, n_refused)
    details = {"n_files": len(files), "rows_quarantined": n_refused}
    result = report(context, lake, receipt, read={}, details=details, by_key=facts)
    return result._replace(
        data_version=dg.DataVersion(_digest(_digests(facts, "content_digest").values()))
    )


def _digests(facts: Mapping[RegionWeek, Mapping[str, Any]], name: str) -> dict[str, str]:
    return {key.key: str(one[name]) for key, one in facts.items()}


def _facts(files: pd.DataFrame, keys: Sequence[RegionWeek]) -> dict[RegionWeek, dict[str, Any]]:
    """Say for each region-week which files it came from and what became of their rows."""
    found: dict[RegionWeek, list[dict[str, Any]]] = {key: [] for key in keys}
    for one in files.to_dict("records"):
        found[RegionWeek(one["region"], one["week"])].append({str(k): v for k, v in one.items()})
    return {key: _facts_of(listed) for key, listed in found.items()}


def _facts_of(files: Sequence[dict[str, Any]]) -> dict[str, Any]:
    listed = [{name: one[name] for name in ("file", "size_bytes", "sha256")} for one in files]
    return {
        "files": dg.MetadataValue.json(listed),
        "files_digest": _digest(one["sha256"] for one in files),
        "content_digest": _digest(one["rows_sha256"] for one in files),
        **{name: sum(int(one[name]) for one in files) for name in COUNTS},
    }


def _digest(parts: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(sorted(parts)).encode()).hexdigest()


def _of(table: pd.DataFrame, keys: Sequence[RegionWeek]) -> pd.DataFrame:
    """Select the rows of ``keys``."""
    is_own = pd.MultiIndex.from_frame(table[["region", "week"]]).isin(list(keys))
    return table if is_own.all() else table[is_own]


def _failure(contract: Contract, problems: dict[RegionWeek, str], *, n_taken: int) -> dg.Failure:
    shown = [f"{key.key}: {text}" for key, text in sorted(problems.items())[:MAX_PROBLEMS_SHOWN]]
    more = len(problems) - len(shown)
    if more > 0:
        shown.append(f"and {more} more")
    return dg.Failure(
        f"{contract.source}: {len(problems)} region-weeks could not be taken in, {n_taken} were.\n"
        + "\n".join(shown),
        metadata={"n_failed": len(problems), "n_taken": n_taken},
        allow_retries=False,
    )


raw_assets = [build_raw_asset(contract) for contract in CONTRACTS.values()]
