"""Checks of the raw tables: stored rows satisfy their contracts, and every row is accounted for."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import dagster as dg
import pandas as pd
import pyarrow as pa

from forecast_platform.checks.partitioned import AssetCheck, region_week_checks
from forecast_platform.checks.schema import build_schema_check
from forecast_platform.errors import TableMissing
from forecast_platform.partitions import RegionWeek, by_region
from forecast_platform.resources.lake import Lake
from forecast_platform.resources.landing import Landing
from forecast_platform.resources.source_history import count_refused
from forecast_platform.schemas.raw import CONTRACTS

ACCOUNTS: Final = "accounts_for_every_row"
FATES: Final = ["rows_accepted", "rows_quarantined", "rows_duplicate"]
PLACE: Final = ["region", "week"]

raw_schema_checks = [
    build_schema_check(contract.table, contract.schema) for contract in CONTRACTS.values()
]

ACCOUNT_CHECKS: Final[Mapping[AssetCheck, str]] = {
    (contract.table, ACCOUNTS): (
        f"Rows read are those in {contract.table}, those in quarantine and exact duplicates, as "
        "row_ledger tells and as the tables hold them."
    )
    for contract in CONTRACTS.values()
}


@region_week_checks(
    ACCOUNT_CHECKS,
    severities=dict.fromkeys(ACCOUNT_CHECKS, dg.AssetCheckSeverity.ERROR),
    blocking=True,
)
def raw_account_checks(
    lake: Lake, landing: Landing, keys: Sequence[RegionWeek]
) -> Iterator[tuple[AssetCheck, str, str]]:
    """Hold the ledger to its sum, and both tables to the ledger.

    Of a region-week that was not published, because too many of its rows were refused, the raw
    table still holds what it held before: only its quarantine is compared.
    """
    ledger = _read(lake, "row_ledger", keys, ["source", "rows_read", *FATES, "reasons"]).to_pandas()
    kept = _count(_read(lake, "quarantine", keys, ["source"]), ["source", *PLACE])
    limits = landing.refused_limits()
    for contract in CONTRACTS.values():
        files = _sum_by_week(ledger[ledger["source"] == contract.source])
        accepted = _count(_read(lake, contract.table, keys, []), PLACE)
        for one in files.to_dict("records"):
            key = RegionWeek.of(one["region"], one["week"])
            n_kept = kept.get((contract.source, one["region"], one["week"]), 0)
            stored = {"rows_quarantined": ("quarantine", n_kept)}
            if one["refused"] <= limits.get(contract.source, 1.0) * one["rows_read"]:
                n_accepted = accepted.get((one["region"], one["week"]), 0)
                stored["rows_accepted"] = (contract.table, n_accepted)
            for problem in _problems(one, stored):
                yield (contract.table, ACCOUNTS), key.key, problem
        counted = set(zip(files["region"], files["week"], strict=True))
        for place, n_rows in accepted.items():
            if place not in counted:
                problem = f"{n_rows} rows in {contract.table} and none in row_ledger"
                yield (contract.table, ACCOUNTS), RegionWeek.of(*place).key, problem


def _sum_by_week(files: pd.DataFrame) -> pd.DataFrame:
    """Sum up the files of each region-week, and count those that do not add up."""
    told = files.assign(
        refused=[count_refused([one]) for one in files["reasons"]],
        wrong=files["rows_read"] != files[FATES].sum(axis=1),
    )
    return told.groupby(PLACE, as_index=False)[["rows_read", *FATES, "refused", "wrong"]].sum()


def _problems(files: Mapping[Any, Any], stored: Mapping[str, tuple[str, int]]) -> Iterator[str]:
    if files["wrong"]:
        yield f"{files['wrong']} files: rows read are not accepted + quarantined + duplicate"
    for count, (table, n_rows) in stored.items():
        if files[count] != n_rows:
            yield f"{count} is {files[count]} in row_ledger, and {table} holds {n_rows} rows"


def _count(rows: pa.Table, by: Sequence[str]) -> dict[tuple[Any, ...], int]:
    counted = rows.group_by(list(by)).aggregate([([], "count_all")])
    columns = [counted[name].to_pylist() for name in by]
    return dict(zip(zip(*columns, strict=True), counted["count_all"].to_pylist(), strict=True))


def _read(lake: Lake, table: str, keys: Sequence[RegionWeek], columns: Sequence[str]) -> pa.Table:
    """Read columns of some region-weeks; of a table that nobody has written, no rows."""
    names = [*PLACE, *columns]
    parts = []
    for weeks, regions in _boxes(keys).items():
        try:
            parts.append(lake.read_arrow(table, region=regions, weeks=weeks, columns=names))
        except TableMissing:
            return pa.table({name: pa.array([], pa.string()) for name in names})
    return pa.concat_tables(parts)


def _boxes(keys: Sequence[RegionWeek]) -> dict[tuple[pd.Timestamp, ...], list[str]]:
    """Group region-weeks into regions of the same weeks."""
    boxes: dict[tuple[pd.Timestamp, ...], list[str]] = {}
    for region, weeks in by_region(keys).items():
        boxes.setdefault(tuple(weeks), []).append(region)
    return boxes
