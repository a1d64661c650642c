"""Counts and verdicts on the sources of region-weeks, from what the lake holds.

Reads each table once for a whole range of weeks. What is usual is judged in
`forecast_platform.quality`; which assets and checks ask is in their modules.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pandas as pd

from forecast_platform.partitions import RegionWeek, by_region
from forecast_platform.quality.drift import HAS_USUAL_VALUES, Columns, Sketch, judge_values, sketch
from forecast_platform.quality.freshness import IS_FRESH, judge_freshness
from forecast_platform.quality.verdicts import PAST_WEEKS, Verdict
from forecast_platform.quality.volume import (
    HAS_USUAL_ROWS,
    HAS_USUAL_STORES,
    WEEKS_A_YEAR,
    judge_rows,
    judge_stores,
)
from forecast_platform.resources.lake import Lake
from forecast_platform.schemas.codes import NOT_REFUSED
from forecast_platform.schemas.parsing import Kind
from forecast_platform.schemas.quality import QualityRows
from forecast_platform.schemas.raw import CONTRACTS, DELIVERED_WEEK, LAST_DAY, Contract
from forecast_platform.schemas.tables import as_table

LEDGER: Final = "row_ledger"
ONE_WEEK: Final = pd.Timedelta(weeks=1)
SEASON: Final = (WEEKS_A_YEAR + 1 + PAST_WEEKS) * ONE_WEEK
"""How far back rows are counted."""

STORE_ID: Final = "store_id"
BY_STORE: Final = ("shipments", "returns")
"""Sources of which every open store is expected to have rows."""

HAS_FEW_REFUSED_ROWS: Final = "has_few_refused_rows"

SEVERITY_OF: Final[Mapping[str, str]] = {
    HAS_FEW_REFUSED_ROWS: "ERROR",
    IS_FRESH: "WARN",
    HAS_USUAL_ROWS: "WARN",
    HAS_USUAL_STORES: "WARN",
    HAS_USUAL_VALUES: "WARN",
}
"""The checks of sources, and how bad a failure is."""

LEDGER_COUNTS: Final = (
    "rows_read",
    "rows_accepted",
    "rows_quarantined",
    "rows_duplicate",
    "rows_replayed",
)


def count_rows(lake: Lake, keys: Sequence[RegionWeek]) -> pd.DataFrame:
    """Make the rows of `quality_rows`: one per region-week and source.

    Parameters
    ----------
    lake : Lake
    keys : sequence of RegionWeek

    Returns
    -------
    pandas.DataFrame
        Of the form `QualityRows`.
    """
    records: list[dict[str, Any]] = []
    for region, weeks in by_region(keys).items():
        ledger = _ledger(lake, region, until=weeks[-1])
        stores = {source: _stores(lake, source, region, weeks) for source in CONTRACTS}
        for source in CONTRACTS:
            of_source = ledger[ledger["source"] == source]
            files = _by_week(of_source)
            newest = _newest_by_week(of_source, weeks)
            for week in weeks:
                counted = _count_files(files.get(week, of_source[:0]))
                n_stores = len(stores[source].get(week, frozenset()))
                place = {"region": region, "week": week, "source": source, "n_stores": n_stores}
                records.append(place | counted | _age(newest[week], week))
    return QualityRows.validate(as_table(pd.DataFrame(records), QualityRows))


def judge_sources(
    lake: Lake, keys: Sequence[RegionWeek], *, weekly: Iterable[str], limits: Mapping[str, float]
) -> Iterator[tuple[RegionWeek, str, Verdict]]:
    """Hold the sources of region-weeks to what was usual in the weeks before each.

    Parameters
    ----------
    lake : Lake
    keys : sequence of RegionWeek
    weekly : iterable of str
        Sources that must be delivered for every week.
    limits : mapping of str to float
        Largest share of refused rows of each source; sources without one are not delivered.

    Yields
    ------
    tuple of RegionWeek, str and Verdict
        The str is the source.
    """
    every_week = set(weekly)
    for region, weeks in by_region(keys).items():
        ledger = _ledger(lake, region, until=weeks[-1])
        closed = _closed_stores(lake, region, weeks[-1])
        for source, contract in CONTRACTS.items():
            if source not in limits:
                continue
            of_source = ledger[ledger["source"] == source]
            history = _history(lake, contract, region, weeks, of_source)
            files = _by_week(of_source)
            for week in weeks:
                key = RegionWeek(region, week)
                yield key, source, _judge_refused(files.get(week, of_source[:0]), limits[source])
                for verdict in _judge(history, week, closed, every_week=source in every_week):
                    yield key, source, verdict


@dataclass(frozen=True)
class _History:
    """What judging one source of one region needs of all its weeks."""

    source: str
    delivered: Sequence[pd.Timestamp]
    rows: pd.Series
    sketches: Mapping[pd.Timestamp, Sketch]
    stores: Mapping[pd.Timestamp, frozenset[str]]

    def before(self, week: pd.Timestamp) -> list[pd.Timestamp]:
        """Weeks with rows among the eight before."""
        first = week - PAST_WEEKS * ONE_WEEK
        return [one for one in self.sketches if first <= one < week]


def _judge(
    history: _History, week: pd.Timestamp, closed: pd.Series, *, every_week: bool
) -> Iterator[Verdict]:
    past = history.before(week)
    yield judge_freshness(history.delivered, week, every_week=every_week)
    yield judge_rows(history.rows, week)
    now = history.sketches.get(week)
    if now is not None:
        yield judge_values([history.sketches[one] for one in past], now)
    if history.source in BY_STORE:
        yield judge_stores(
            [history.stores[one] for one in past],
            history.stores.get(week, frozenset()),
            set(closed.index[closed <= week + LAST_DAY]),
        )


def _judge_refused(files: pd.DataFrame, limit: float) -> Verdict:
    n_read, n_refused = int(files["rows_read"].sum()), count_refused(files["reasons"])
    share = n_refused / n_read if n_read else 0.0
    text = f"{n_refused} of {n_read} rows were refused"
    return Verdict(HAS_FEW_REFUSED_ROWS, share <= limit, share, limit, text)


def _history(
    lake: Lake,
    contract: Contract,
    region: str,
    weeks: Sequence[pd.Timestamp],
    ledger: pd.DataFrame,
) -> _History:
    columns = compared_columns(contract)
    names = [*columns.ratios, *columns.numbers, *columns.texts]
    since = weeks[0] - PAST_WEEKS * ONE_WEEK
    rows = _read(lake, contract.table, region, since, weeks[-1], names)
    parts = _by_week(rows)
    has_stores = STORE_ID in names
    counts = ledger.groupby("week")["rows_accepted"].sum().sort_index()
    return _History(
        source=contract.source,
        delivered=sorted(ledger["week"].unique()),
        rows=counts[counts.index >= weeks[0] - SEASON],
        sketches={week: sketch(part, columns) for week, part in parts.items()},
        stores={
            week: frozenset(part[STORE_ID]) if has_stores else frozenset()
            for week, part in parts.items()
        },
    )


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


def _ledger(lake: Lake, region: str, until: pd.Timestamp) -> pd.DataFrame:
    names = ["source", "size_bytes", "known_on", "reasons", *LEDGER_COUNTS]
    return _read(lake, LEDGER, region, None, until, names)


def _stores(
    lake: Lake, source: str, region: str, weeks: Sequence[pd.Timestamp]
) -> dict[pd.Timestamp, frozenset[str]]:
    contract = CONTRACTS[source]
    if STORE_ID not in contract.kinds:
        return {}
    rows = _read(lake, contract.table, region, weeks[0], weeks[-1], [STORE_ID])
    return {_week(week): frozenset(part[STORE_ID]) for week, part in rows.groupby("week")}


def _closed_stores(lake: Lake, region: str, until: pd.Timestamp) -> pd.Series:
    """First day closed of each store, as the master data of the last delivery says."""
    rows = _read(lake, "raw_stores", region, None, until, [STORE_ID, "closed_on"])
    last = rows.sort_values("week", kind="stable").drop_duplicates(STORE_ID, keep="last")
    return last.set_index(STORE_ID)["closed_on"].dropna()


def _read(  # noqa: PLR0917
    lake: Lake,
    table: str,
    region: str,
    since: pd.Timestamp | None,
    until: pd.Timestamp,
    columns: Sequence[str],
) -> pd.DataFrame:
    if not lake.exists(table):
        return pd.DataFrame(columns=["region", "week", *columns])
    names = ["region", "week", *columns]
    return lake.read(table, region=region, since=since, until=until, columns=names)


def _week(value: object) -> pd.Timestamp:
    return pd.Timestamp(str(value)).as_unit("us")


def _by_week(rows: pd.DataFrame) -> dict[pd.Timestamp, pd.DataFrame]:
    """Split rows by week, once: a mask for each of hundreds of weeks costs more than the rest."""
    return {_week(week): part for week, part in rows.groupby("week")}


def _newest_by_week(
    ledger: pd.DataFrame, weeks: Sequence[pd.Timestamp]
) -> dict[pd.Timestamp, pd.Timestamp | None]:
    """Day on which the newest delivery up to each week was known."""
    newest = ledger.groupby("week")["known_on"].max().sort_index().cummax()
    places = (
        newest.index.searchsorted(list(weeks), side="right") if len(newest) else [0] * len(weeks)
    )
    return {
        week: pd.Timestamp(newest.iloc[at - 1]) if at else None
        for week, at in zip(weeks, places, strict=True)
    }


def _count_files(files: pd.DataFrame) -> dict[str, Any]:
    counts = {name: int(files[name].sum()) for name in LEDGER_COUNTS}
    refused = count_refused(files["reasons"])
    return {
        "n_files": len(files),
        "size_bytes": int(files["size_bytes"].sum()),
        **counts,
        "rows_refused": refused,
        "refused_share": refused / counts["rows_read"] if counts["rows_read"] else 0.0,
        "reasons": json.dumps(_reasons(files["reasons"]), sort_keys=True),
    }


def _age(newest: pd.Timestamp | None, week: pd.Timestamp) -> dict[str, Any]:
    days = None if newest is None else max((week + LAST_DAY - newest).days, 0)
    return {"newest_known_on": newest, "days_since_delivery": days}


def count_refused(reasons: Iterable[str]) -> int:
    """Count the rows that break the contract, from the column `reasons` of the ledger."""
    return sum(n for code, n in _reasons(reasons).items() if code not in NOT_REFUSED)


def _reasons(texts: Iterable[str]) -> dict[str, int]:
    counted: Counter[str] = Counter()
    for text in texts:
        counted.update(json.loads(text))
    return dict(counted)
