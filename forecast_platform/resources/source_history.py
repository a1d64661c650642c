"""What the lake holds of the sources of one region: counts by week, sketches and stores.

Each table is read once for a whole range of weeks. What is usual is judged in
`forecast_platform.quality`, for whom in `forecast_platform.resources.source_quality`.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import pandas as pd

from forecast_platform.quality.drift import Columns, Sketch, sketch_weeks
from forecast_platform.quality.verdicts import PAST_WEEKS
from forecast_platform.resources.lake import Lake
from forecast_platform.schemas.codes import NOT_REFUSED
from forecast_platform.schemas.parsing import Kind
from forecast_platform.schemas.raw import CONTRACTS, DELIVERED_WEEK, Contract

LEDGER: Final = "row_ledger"
STORES: Final = "raw_stores"
ONE_WEEK: Final = pd.Timedelta(weeks=1)
STORE_ID: Final = "store_id"

LEDGER_COUNTS: Final = (
    "rows_read",
    "rows_accepted",
    "rows_quarantined",
    "rows_duplicate",
    "rows_replayed",
)
COUNTS: Final = ("n_files", "size_bytes", *LEDGER_COUNTS, "rows_refused")
"""What is summed over the files of a week."""


@dataclass(frozen=True)
class SourceHistory:
    """What judging one source of one region needs of all its weeks.

    Attributes
    ----------
    counts : pandas.DataFrame
        `COUNTS` of each week with a file, in order of the weeks, back to the first delivery.
    reasons : mapping of pandas.Timestamp to mapping of str to int
        Rows in quarantine by code, of weeks that have some.
    newest : pandas.Series
        Day on which the newest delivery up to each week of ``counts`` was known.
    sketches : mapping of pandas.Timestamp to Sketch
        Of each week with rows, of the range and the eight weeks before it.
    """

    source: str
    counts: pd.DataFrame
    reasons: Mapping[pd.Timestamp, Mapping[str, int]]
    newest: pd.Series
    sketches: Mapping[pd.Timestamp, Sketch] = field(default_factory=dict)

    def weeks_before(self, week: pd.Timestamp) -> list[pd.Timestamp]:
        """List the weeks with rows among the eight before."""
        before = (week - n * ONE_WEEK for n in range(PAST_WEEKS, 0, -1))
        return [one for one in before if one in self.sketches]

    def stores(self, week: pd.Timestamp) -> frozenset[str]:
        """Name the stores with rows."""
        found = self.sketches.get(week)
        return frozenset(found.texts.get(STORE_ID, ())) if found else frozenset()


def read_histories(
    lake: Lake, region: str, weeks: Sequence[pd.Timestamp]
) -> dict[str, SourceHistory]:
    """Read what the lake holds of every source of a region, for a range of weeks.

    Parameters
    ----------
    lake : Lake
    region : str
    weeks : sequence of pandas.Timestamp
        In order.
    """
    names = ["source", "size_bytes", "known_on", "reasons", *LEDGER_COUNTS]
    ledger = _read(lake, LEDGER, region, until=weeks[-1], columns=names)
    told = [json.loads(text) for text in ledger["reasons"]]
    ledger = ledger.assign(n_files=1, rows_refused=[n_refused(one) for one in told], told=told)
    return {
        source: _history(lake, contract, region, weeks, ledger[ledger["source"] == source])
        for source, contract in CONTRACTS.items()
    }


def _history(
    lake: Lake,
    contract: Contract,
    region: str,
    weeks: Sequence[pd.Timestamp],
    files: pd.DataFrame,
) -> SourceHistory:
    by_week = files.groupby("week")
    since = weeks[0] - PAST_WEEKS * ONE_WEEK
    columns = compared_columns(contract)
    names = [*columns.ratios, *columns.numbers, *columns.texts]
    rows = _read(lake, contract.table, region, since=since, until=weeks[-1], columns=names)
    return SourceHistory(
        source=contract.source,
        counts=by_week[list(COUNTS)].sum(),
        reasons=_reasons_by_week(files),
        newest=by_week["known_on"].max().cummax(),
        sketches=sketch_weeks(rows, columns),
    )


def _reasons_by_week(files: pd.DataFrame) -> dict[pd.Timestamp, Counter[str]]:
    found: dict[pd.Timestamp, Counter[str]] = {}
    for week, reasons in zip(files["week"], files["told"], strict=True):
        if reasons:
            found.setdefault(week, Counter()).update(reasons)
    return found


def read_closed_stores(lake: Lake, region: str, until: pd.Timestamp) -> pd.Series:
    """Read the first day closed of each store, as the master data of the last delivery says."""
    rows = _read(lake, STORES, region, until=until, columns=[STORE_ID, "closed_on"])
    last = rows.sort_values("week", kind="stable").drop_duplicates(STORE_ID, keep="last")
    return last.set_index(STORE_ID)["closed_on"].dropna()


def compared_columns(contract: Contract) -> Columns:
    """Choose how the columns of a source are compared, from its contract.

    Numbers that cannot be negative and are no share are ratios (units, prices); texts are those
    that name something, not dates.
    """
    columns = contract.schema.to_schema().columns
    names = [name for name in contract.kinds if name in columns and name != DELIVERED_WEEK]
    numbers = [name for name in names if contract.kinds[name] is Kind.NUMBER]
    bounds = {name: _bounds(columns[name].checks) for name in numbers}
    ratios = [name for name in numbers if bounds[name][0] >= 0 and bounds[name][1] > 1]
    texts = [name for name in names if contract.kinds[name] in (Kind.ID, Kind.TEXT)]
    return Columns(
        ratios=tuple(ratios),
        numbers=tuple(name for name in numbers if name not in ratios),
        texts=tuple(texts),
    )


def _bounds(checks: Iterable[Any]) -> tuple[float, float]:
    found = {check.name: check.statistics or {} for check in checks}
    low = [float(one.get("min_value", -1)) for name, one in found.items() if "greater" in name]
    high = [float(one.get("max_value", 2)) for name, one in found.items() if "less" in name]
    return max(low, default=-1.0), min(high, default=2.0)


def n_refused(reasons: Mapping[str, int]) -> int:
    """Count the rows that break the contract, of rows in quarantine by code."""
    return sum(n for code, n in reasons.items() if code not in NOT_REFUSED)


def count_refused(reasons: Iterable[str]) -> int:
    """Count the rows that break the contract, from the column `reasons` of the ledger."""
    return sum(n_refused(json.loads(one)) for one in reasons)


def _read(
    lake: Lake,
    table: str,
    region: str,
    *,
    since: pd.Timestamp | None = None,
    until: pd.Timestamp,
    columns: Sequence[str],
) -> pd.DataFrame:
    names = ["region", "week", *columns]
    if not lake.exists(table):
        return pd.DataFrame(columns=names)
    return lake.read(table, region=region, since=since, until=until, columns=names)
