"""What the dbt models read: the rows of the lake that some region-weeks need, in a DuckDB file.

What the tables hold is in `forecast_platform.schemas`; building the marts over them is for
`forecast_platform.resources.conditioning`.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pandas as pd
import pyarrow.dataset as pads

from forecast_platform.errors import TableMissing
from forecast_platform.partitions import RegionWeek, by_region, parse_region, parse_week
from forecast_platform.resources.lake import Lake
from forecast_platform.vocabulary import SHOPPER_COLUMNS

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa


WEEK_DAYS: Final = pd.Timedelta(weeks=1)
PLAN_LOOKBACK_WEEKS: Final = 8
"""A price planned in an older delivery no longer counts [weeks]."""

HORIZON_WEEKS: Final = 4
"""Weeks ahead that weather, prices and forecasts are about [weeks]."""

CLIMATE_YEARS: Final = 3
"""Earlier years whose weather stands in where nobody has forecast any [years]."""

TRAILING_WEEKS: Final = 13
"""What is usual for a series is what it sold in so many weeks before [weeks]."""

MEMORY_LIMIT: Final = "1GB"
"""A week of 5 million rows conditions in it; what does not fit goes to the run's own folder."""

RANGE_MEMORY_LIMIT: Final = "4GB"
"""Of a run over several weeks: what is usual for a series is found over all of them at once, which
does not spill. 52 weeks of 20,000 series do not condition in 1 GB."""


@dataclass(frozen=True, slots=True)
class Box:
    """Region-weeks of one invocation: some regions times consecutive weeks.

    Attributes
    ----------
    regions : tuple of str
    week_from, week_to : pandas.Timestamp
        Mondays; ``week_to`` is the first one after.
    """

    regions: tuple[str, ...]
    week_from: pd.Timestamp
    week_to: pd.Timestamp

    @classmethod
    def of(cls, keys: Iterable[RegionWeek]) -> "Box":
        """Find the box that ``keys`` fill.

        Raises
        ------
        ValueError
            If there is none, or a region or week is not one: both are pasted into SQL.
        """
        weeks_of = by_region(RegionWeek(parse_region(key.region), key.week) for key in keys)
        spans = {tuple(weeks) for weeks in weeks_of.values()}
        if len(spans) != 1:
            raise ValueError("conditioning takes the same weeks of every region, at least one")
        weeks = [parse_week(f"{week:%Y-%m-%d}") for week in next(iter(spans))]
        if weeks != list(pd.date_range(weeks[0], weeks[-1], freq=WEEK_DAYS)):
            raise ValueError("conditioning takes consecutive weeks, one of them is left out")
        return cls(tuple(weeks_of), weeks[0], weeks[-1] + WEEK_DAYS)

    @property
    def last_week(self) -> pd.Timestamp:
        """Last week of the box."""
        return self.week_to - WEEK_DAYS

    def as_vars(self) -> dict[str, Any]:
        """Name the box to dbt."""
        return {
            "regions": list(self.regions),
            "week_from": f"{self.week_from:%Y-%m-%d}",
            "week_to": f"{self.week_to:%Y-%m-%d}",
        }


@dataclass(frozen=True, slots=True)
class RawTable:
    """What conditioning reads of one raw table.

    Attributes
    ----------
    columns : mapping of str to str
        Columns beside `KEYS_AND_KNOWLEDGE`, and their DuckDB types.
    lookback_weeks : int or None
        Weeks before the run's that still matter; None for all of them [weeks].
    is_required : bool
        Whether a table that nobody has written is an error rather than empty.
    looks_behind_corrections : bool
        Whether to look back from the earliest week that the box corrects.
    lookback_years : int
        Earlier years of which the weeks around those of the box and its horizon matter [years].
    """

    columns: Mapping[str, str]
    lookback_weeks: int | None = 0
    is_required: bool = False
    looks_behind_corrections: bool = False
    lookback_years: int = 0


RAW_TABLES: Final[Mapping[str, RawTable]] = {
    "raw_shipments": RawTable(
        {
            "store_id": "varchar",
            "product_id": "varchar",
            "units_shipped": "double",
            "ds": "date",
        },
        lookback_weeks=TRAILING_WEEKS,
        is_required=True,
        looks_behind_corrections=True,
    ),
    "raw_returns": RawTable(
        {
            "store_id": "varchar",
            "product_id": "varchar",
            "units_returned": "double",
            "ds": "date",
        },
        lookback_weeks=TRAILING_WEEKS,
        looks_behind_corrections=True,
    ),
    "raw_weather": RawTable(
        {
            "zip": "varchar",
            "day": "date",
            "kind": "varchar",
            "issued_on": "date",
            "temperature_c": "double",
            "precipitation_mm": "double",
            "snow_cm": "double",
        },
        lookback_weeks=HORIZON_WEEKS,  # an older forecast can still be the last one of a day
        lookback_years=CLIMATE_YEARS,
    ),
    "raw_stores": RawTable(
        {
            "store_id": "varchar",
            "zip": "varchar",
            "format": "varchar",
            "opened_on": "date",
            "closed_on": "date",
        },
        lookback_weeks=None,
        is_required=True,
    ),
    "raw_products": RawTable(
        {
            "product_id": "varchar",
            "category": "varchar",
            "brand": "varchar",
            "package_size": "varchar",
            "launched_on": "date",
            "delisted_on": "date",
        },
        lookback_weeks=None,
        is_required=True,
    ),
    "raw_shoppers": RawTable(
        {"store_id": "varchar", "as_of_on": "date"} | dict.fromkeys(SHOPPER_COLUMNS, "double"),
        lookback_weeks=None,
    ),
    "raw_events": RawTable(
        {
            "event": "varchar",
            "starts_on": "date",
            "ends_on": "date",
            "scope": "varchar",
            "scope_id": "varchar",
            "is_holiday": "boolean",
        },
        lookback_weeks=None,
    ),
    "raw_promotions": RawTable(
        {
            "store_id": "varchar",
            "product_id": "varchar",
            "ds": "date",
            "price": "double",
            "feature": "double",
            "display": "double",
        },
        lookback_weeks=PLAN_LOOKBACK_WEEKS,
        looks_behind_corrections=True,
    ),
}
"""What dbt's sources are made from. Views cast; here the types only make empty tables possible."""

KEYS_AND_KNOWLEDGE: Final = {"region": "varchar", "week": "date", "known_on": "date"}
"""Columns of every raw table; those written before there was ``known_on`` miss it."""

CORRECTABLE: Final = ("raw_shipments", "raw_returns")
"""Sources whose rows can be about an earlier week than the one they were delivered in."""

KNOWN_SERIES: Final = {"store_id": "varchar", "product_id": "varchar", "first_week": "date"}


def load_box(lake: Lake, box: Box, database: Path) -> dict[str, int | None]:
    """Copy the raw rows that a box needs into a new DuckDB file, as its schema ``lake``.

    What is needed of the weeks before the box depends on how far back its deliveries correct.

    Returns
    -------
    dict[str, int or None]
        Version of every table read; None where there is no table.
    """
    versions: dict[str, int | None] = {}
    delivered = {name: _read_raw(lake, name, raw, box) for name, raw in RAW_TABLES.items()}
    earliest = _earliest_week_told([delivered[name] for name in CORRECTABLE], box)
    with open_database(database) as connection:
        connection.execute("create schema lake")
        for name, raw in RAW_TABLES.items():
            rows = delivered.pop(name)
            parts = [rows, *_read_behind(lake, name, raw, box, rows=rows, earliest=earliest)]
            create_table(connection, name, raw.columns, parts)
            versions[name] = _version(rows)
        known = _read_known_series(lake, box)
        create_table(connection, "known_series", KNOWN_SERIES, known)
        versions["dim_series"] = _version(known[0])
    return versions


def _read_raw(lake: Lake, name: str, raw: RawTable, box: Box) -> "pa.Table | None":
    """Read the rows of the box; all rows up to its end of what holds until it is replaced."""
    since = None if raw.lookback_weeks is None else box.week_from
    try:
        columns = [
            one for one in lake.column_names(name) if one in {*KEYS_AND_KNOWLEDGE, *raw.columns}
        ]
        return lake.read_arrow(
            name, region=box.regions, since=since, until=box.last_week, columns=columns
        )
    except TableMissing:
        if raw.is_required:
            raise
        return None


def _earliest_week_told(delivered: "Iterable[pa.Table | None]", box: Box) -> pd.Timestamp:
    """Find the earliest week whose demand the deliveries of the box correct, or its first."""
    import pyarrow.compute as pc

    told = [
        pc.min(_weeks_told(rows)).as_py()  # pyright: ignore[reportAttributeAccessIssue]
        for rows in delivered
        if rows is not None
    ]
    return min(box.week_from, *(pd.Timestamp(one) for one in told if one is not None))


def _read_behind(
    lake: Lake,
    name: str,
    raw: RawTable,
    box: Box,
    *,
    rows: "pa.Table | None",
    earliest: pd.Timestamp,
) -> "list[pa.Table]":
    """Read the rows of weeks before the box that still matter in it."""
    if rows is None or raw.lookback_weeks is None:
        return []
    first = earliest if raw.looks_behind_corrections else box.week_from
    since = first - raw.lookback_weeks * WEEK_DAYS
    same = {"region": box.regions, "columns": rows.column_names, "version": _version(rows)}
    parts = []
    if since < box.week_from:
        parts.append(lake.read_arrow(name, since=since, until=box.week_from - WEEK_DAYS, **same))
    if weeks := [week for week in _years_before(box, raw.lookback_years) if week < since]:
        parts.append(lake.read_arrow(name, weeks=weeks, **same))
    return parts


def _years_before(box: Box, n_years: int) -> list[pd.Timestamp]:
    """List the weeks of earlier years that lie around the weeks that the box is about."""
    about = pd.date_range(box.week_from, box.last_week + HORIZON_WEEKS * WEEK_DAYS, freq=WEEK_DAYS)
    steps = [52 * year + step for year in range(1, n_years + 1) for step in (-1, 0, 1)]
    return sorted({week - step * WEEK_DAYS for week in about for step in steps})


def _read_known_series(lake: Lake, box: Box) -> "list[pa.Table | None]":
    """Series of the weeks before the box: as conditioned, or as delivered where that is to come.

    Weeks that another run has yet to condition, as in a backfill of several runs, count with
    what was shipped in them; a series would seem to be new in this box otherwise.
    """
    before = box.week_from - WEEK_DAYS
    columns = ["region", "week", *KNOWN_SERIES]
    try:
        known = lake.read_arrow("dim_series", region=box.regions, until=before, columns=columns)
    except TableMissing:
        known = None
    return [known, *(_read_unconditioned(lake, region, before) for region in box.regions)]


def _read_unconditioned(lake: Lake, region: str, until: pd.Timestamp) -> "pa.Table | None":
    done = _weeks_of(lake, "dim_stores", region)
    delivered = _weeks_of(lake, "raw_shipments", region)
    weeks = [week for week in delivered if week <= until and week not in done]
    if not weeks:
        return None
    has_ds = "ds" in lake.column_names("raw_shipments")
    columns = ["region", "week", "store_id", "product_id", "units_shipped", *["ds"] * has_ds]
    rows = lake.read_arrow("raw_shipments", region=region, weeks=weeks, columns=columns)
    shipped = rows.filter(pads.field("units_shipped") > 0)
    return shipped.append_column("first_week", _weeks_told(shipped))


def _weeks_told(rows: "pa.Table") -> "pa.ChunkedArray":
    """Return the week that each row is about: the one it was delivered in if it does not say."""
    import pyarrow.compute as pc

    if "ds" not in rows.column_names:
        return rows["week"]
    return pc.coalesce(rows["ds"], rows["week"])  # pyright: ignore[reportAttributeAccessIssue]


def _weeks_of(lake: Lake, table: str, region: str) -> Sequence[pd.Timestamp]:
    try:
        return lake.weeks_of(table, region)
    except TableMissing:
        return []


def create_table(
    connection: "duckdb.DuckDBPyConnection",
    name: str,
    columns: Mapping[str, str],
    parts: "Sequence[pa.Table | None]",
) -> None:
    """Create a table of the schema ``lake`` and fill it with the parts that there are."""
    types = KEYS_AND_KNOWLEDGE | dict(columns)
    names = list(types)
    ddl = ", ".join(f"{column} {types[column]}" for column in names)
    connection.execute(f"create table lake.{name} ({ddl})")
    for rows in parts:
        if rows is None:
            continue
        there = [column for column in names if column in rows.column_names]
        connection.register("delivered", rows.select(there))
        connection.execute(f"insert into lake.{name} by name select * from delivered")  # noqa: S608
        connection.unregister("delivered")


def _version(rows: "pa.Table | None") -> int | None:
    return None if rows is None else int((rows.schema.metadata or {})[b"version"])


@contextmanager
def open_database(
    database: Path, memory_limit: str = MEMORY_LIMIT
) -> "Iterator[duckdb.DuckDBPyConnection]":
    """Open a DuckDB file with one thread and a limit on its memory."""
    import duckdb

    config = {"threads": 1, "memory_limit": memory_limit}
    connection = duckdb.connect(str(database), config=config)
    try:
        yield connection
    finally:
        connection.close()


def tables_of_the_lake() -> dict[str, Mapping[str, str]]:
    """Name the tables that a box is copied into, and the types of their columns."""
    return {name: raw.columns for name, raw in RAW_TABLES.items()} | {"known_series": KNOWN_SERIES}


def tables_of(connection: "duckdb.DuckDBPyConnection", schema: str) -> list[str]:
    """Name the tables of a schema."""
    query = "select table_name from duckdb_tables() where schema_name = ? order by 1"
    return [name for (name,) in connection.execute(query, [schema]).fetchall()]
