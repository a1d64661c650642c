"""Checks of the raw tables: stored rows satisfy their contracts, and every row is accounted for."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import dagster as dg
import pandas as pd

from forecast_platform.checks.partitioned import AssetCheck, region_week_checks
from forecast_platform.checks.schema import build_schema_check
from forecast_platform.errors import TableMissing
from forecast_platform.partitions import RegionWeek
from forecast_platform.resources.lake import Lake
from forecast_platform.resources.landing import Landing
from forecast_platform.resources.source_quality import count_refused
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
    ledger = _rows(lake, "row_ledger", keys, ["source", "rows_read", *FATES, "reasons"])
    kept = _rows(lake, "quarantine", keys, ["source"]).groupby(["source", *PLACE]).size()
    limits = landing.refused_limits()
    for contract in CONTRACTS.values():
        own = ledger[ledger["source"] == contract.source]
        accepted = _rows(lake, contract.table, keys, []).groupby(PLACE).size()
        for place, files in own.groupby(PLACE):
            key = _key(place)
            n_read, n_refused = int(files["rows_read"].sum()), count_refused(files["reasons"])
            stored = {"rows_quarantined": ("quarantine", int(kept.get((contract.source, *key), 0)))}
            if n_refused <= limits.get(contract.source, 1.0) * n_read:
                stored["rows_accepted"] = (contract.table, int(accepted.get(key, 0)))
            for problem in _problems(files, stored):
                yield (contract.table, ACCOUNTS), key.key, problem
        counted = {_key(place) for place in own.groupby(PLACE).groups}
        for place, n_rows in accepted.items():
            if _key(place) not in counted:
                problem = f"{n_rows} rows in {contract.table} and none in row_ledger"
                yield (contract.table, ACCOUNTS), _key(place).key, problem


def _problems(files: pd.DataFrame, stored: Mapping[str, tuple[str, int]]) -> Iterator[str]:
    wrong = files[files["rows_read"] != files[FATES].sum(axis=1)]
    if len(wrong):
        yield f"{len(wrong)} files of which rows read are not accepted + quarantined + duplicate"
    for count, (table, n_rows) in stored.items():
        if (told := int(files[count].sum())) != n_rows:
            yield f"{count} is {told} in row_ledger, and {table} holds {n_rows} rows"


def _rows(
    lake: Lake, table: str, keys: Sequence[RegionWeek], columns: Sequence[str]
) -> pd.DataFrame:
    """Read columns of some region-weeks; of a table that nobody has written, no rows."""
    try:
        rows = lake.read(
            table,
            region=sorted({key.region for key in keys}),
            weeks=sorted({key.week for key in keys}),
            columns=[*PLACE, *columns],
        )
    except TableMissing:
        return pd.DataFrame(columns=[*PLACE, *columns])
    return rows[pd.MultiIndex.from_frame(rows[PLACE]).isin(list(keys))]


def _key(place: object) -> RegionWeek:
    region, week = place  # pyright: ignore[reportGeneralTypeIssues] - a tuple of a group
    return RegionWeek.of(region, week)
