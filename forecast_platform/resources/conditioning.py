"""The dbt project `dbt_conditioning`, run on a throw-away DuckDB file over the lake.

Rows of the lake go in, dbt builds and tests, tested tables come out; publishing them is the
asset's business, what they mean is in `schemas.conditioned`, and the SQL is in the dbt project.
dbt runs in this process: its command line costs 8 seconds a call here, this 3.5 and then 2. See
https://docs.getdbt.com/reference/programmatic-invocations.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from importlib.metadata import version as version_of
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import dagster as dg
import pandas as pd
import pyarrow.dataset as pads
from pydantic import Field

from forecast_platform.errors import ForecastPlatformError, TableMissing
from forecast_platform.partitions import RegionWeek, by_region, parse_region, parse_week
from forecast_platform.resources import spark
from forecast_platform.resources.lake import Lake
from forecast_platform.settings import PROJECT_ROOT
from forecast_platform.vocabulary import SHOPPER_COLUMNS

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa
    from dbt.artifacts.schemas.run import RunResult

PROJECT_DIR: Final = PROJECT_ROOT / "dbt_conditioning"
DATABASE: Final = "conditioning"
"""Name of the DuckDB file: dbt writes it into the manifest, so every run's file has it."""

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

MART_ROWS: Final = 2**18
"""Rows of a mart that are judged and written at a time."""

MAX_ROWS_SHOWN: Final = 5
SOURCE_FOLDERS: Final = ("models", "macros", "tests")
PARSE_TIMEOUT_SECONDS: Final = 300

_one_dbt = threading.Lock()
"""dbt keeps its adapter and flags in the process: one invocation at a time."""


class ConditioningFailed(ForecastPlatformError):  # noqa: N818 - named as its siblings
    """A model could not be built or a test failed; nothing was published."""


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


@dataclass(frozen=True, slots=True)
class TestOutcome:
    """What one dbt test found.

    Attributes
    ----------
    unique_id : str
        dbt's name of the test, as in the manifest.
    status : str
        ``pass``, ``warn``, ``fail``, ``error`` or ``skipped``.
    n_failures : int
        Rows that break the rule [rows].
    rows : pandas.DataFrame or None
        Some of them.
    """

    __test__ = False

    unique_id: str
    name: str
    status: str
    n_failures: int
    message: str = ""
    rows: pd.DataFrame | None = None


@dataclass(frozen=True, slots=True)
class Mart:
    """A mart in a file of its own, read by the batch: no table has to fit into memory."""

    path: Path
    schema: "pa.Schema"

    def batches(self) -> "Iterator[pa.Table]":
        """Read the rows, from the first on; a mart without rows is one batch of none."""
        import pyarrow as pa

        with pa.OSFile(str(self.path), "rb") as source:
            file = pa.ipc.open_file(source)
            if not file.num_record_batches:
                yield self.schema.empty_table()
            for number in range(file.num_record_batches):
                yield pa.Table.from_batches([file.get_batch(number)])

    def to_table(self) -> "pa.Table":
        """Read it whole."""
        import pyarrow as pa

        return pa.concat_tables(self.batches())


@dataclass(frozen=True)
class Conditioned:
    """A finished dbt build; its tables can be read until the run's file is thrown away.

    Attributes
    ----------
    versions : mapping of str to int or None
        Version of every lake table that was read.
    tests : sequence of TestOutcome
    problems : sequence of str
        Why nothing may be published; empty after success.
    """

    database: Path
    versions: Mapping[str, int | None]
    tests: Sequence[TestOutcome]
    problems: Sequence[str] = field(default_factory=tuple)
    memory_limit: str = MEMORY_LIMIT

    def read(self, mart: str, order: Sequence[str]) -> "Mart":
        """Read a mart, in a reproducible order, into a file beside the database."""
        import pyarrow as pa

        columns = ", ".join(order)
        path = self.database.with_name(f"{mart}.arrow")
        with _open(self.database, self.memory_limit) as connection:
            query = f"select * from main.{mart} order by {columns}"  # noqa: S608 - our own names
            rows = connection.sql(query).to_arrow_reader(MART_ROWS)
            with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, rows.schema) as file:
                for batch in rows:
                    file.write_batch(batch)
        return Mart(path, rows.schema)

    def raise_for_problems(self) -> None:
        """Stop here if something failed.

        Raises
        ------
        ConditioningFailed
            With the failing rows.
        """
        if self.problems:
            raise ConditioningFailed("; ".join(self.problems))


class Conditioning(dg.ConfigurableResource):
    """dbt over the lake, for some regions and weeks at a time: on DuckDB, or on a local Spark."""

    project_dir: str = Field(default=str(PROJECT_DIR), description="Folder of the dbt project.")
    memory_limit: str = Field(
        default=MEMORY_LIMIT, description="What DuckDB may use before it spills."
    )
    target: str = Field(
        default="run",
        description="Target of the dbt profile: `run` (DuckDB, in this process) or `spark`.",
    )

    @contextmanager
    def build(
        self,
        lake: Lake,
        keys: Iterable[RegionWeek],
        *,
        select: Sequence[str] = (),
        unit_tests: bool = False,
    ) -> Iterator[Conditioned]:
        """Build and test the marts of some region-weeks, in a file that lives in the block.

        Parameters
        ----------
        lake : Lake
            Where the raw tables are read.
        keys : iterable of RegionWeek
            The same consecutive weeks of each region.
        select : sequence of str, optional
            Marts to build, with all that they are made from; all of them by default.
        unit_tests : bool, default=False
            Whether to run dbt's unit tests too; they do not depend on the data.

        Raises
        ------
        ValueError
            If ``keys`` are not a box.
        TableMissing
            If a table of a required source is not there.
        """
        box = Box.of(keys)
        with tempfile.TemporaryDirectory(prefix="conditioning-") as folder:
            database = Path(folder) / f"{DATABASE}.duckdb"
            versions = load_box(lake, box, database)
            arguments = _arguments(self.project_dir, database, box, self.memory_limit)
            if select:
                arguments += ["--indirect-selection", "cautious"]
                arguments += ["--select", *(f"+{mart}" for mart in select)]
            arguments += [] if unit_tests else ["--exclude-resource-type", "unit_test"]
            if self.target == "spark":
                tests, problems = _build_on_spark(arguments, database)
            else:
                results = _invoke(Path(self.project_dir), arguments)
                tests, problems = _test_outcomes(results, database), _problems(results, database)
            yield Conditioned(
                database,
                versions=versions,
                tests=tests,
                problems=problems,
                memory_limit=self.memory_limit,
            )


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
    with _open(database) as connection:
        connection.execute("create schema lake")
        for name, raw in RAW_TABLES.items():
            rows = delivered.pop(name)
            parts = [rows, *_read_behind(lake, name, raw, box, rows=rows, earliest=earliest)]
            _create(connection, name, raw.columns, parts)
            versions[name] = _version(rows)
        known = _read_known_series(lake, box)
        _create(connection, "known_series", KNOWN_SERIES, known)
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


def _create(
    connection: "duckdb.DuckDBPyConnection",
    name: str,
    columns: Mapping[str, str],
    parts: "Sequence[pa.Table | None]",
) -> None:
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
def _open(
    database: Path, memory_limit: str = MEMORY_LIMIT
) -> "Iterator[duckdb.DuckDBPyConnection]":
    import duckdb

    config = {"threads": 1, "memory_limit": memory_limit}
    connection = duckdb.connect(str(database), config=config)
    try:
        yield connection
    finally:
        connection.close()


def _arguments(project_dir: str, database: Path, box: Box, memory_limit: str) -> list[str]:
    target = str(database.parent / "target")
    variables = box.as_vars() | {
        "plan_lookback_weeks": PLAN_LOOKBACK_WEEKS,
        "trailing_weeks": TRAILING_WEEKS,
        "duckdb_path": str(database),
        "duckdb_memory_limit": memory_limit,
    }
    return [
        "build",
        *("--project-dir", project_dir, "--profiles-dir", project_dir),
        *("--target-path", target, "--log-path", target),
        *("--vars", json.dumps(variables)),
        *("--no-use-colors", "--no-version-check", "--no-write-json"),
        *("--log-level-file", "none", "--no-populate-cache"),
    ]


def _invoke(project_dir: Path, arguments: Sequence[str]) -> "Sequence[RunResult]":
    """Run dbt in this process and return what became of each node."""
    from dbt.artifacts.schemas.run import RunExecutionResult
    from dbt.cli.main import dbtRunner
    from dbt.contracts.graph.manifest import Manifest

    parsed = prepare_manifest(project_dir).with_name("partial_parse.msgpack")
    with _one_dbt:
        # A manifest is used once: dbt keeps the SQL that it compiled for these vars in it.
        manifest = Manifest.from_msgpack(parsed.read_bytes())
        outcome = dbtRunner(manifest=manifest).invoke(list(arguments))
    if outcome.exception is not None:
        raise ConditioningFailed(f"dbt could not run: {outcome.exception}") from outcome.exception
    if not isinstance(outcome.result, RunExecutionResult):
        raise ConditioningFailed(f"dbt returned {type(outcome.result).__name__}, not results")
    return outcome.result.results


def build_docs(folder: Path, project_dir: Path = PROJECT_DIR) -> Path:
    """Write dbt's documentation of sources, models and their columns as one page.

    The models are made over empty tables first, so that the page knows the columns' types.

    Returns
    -------
    pathlib.Path
        ``static_index.html`` in ``folder``: graph, SQL, tests; needs no server.

    Raises
    ------
    ConditioningFailed
        If dbt cannot.
    """
    from dbt.cli.main import dbtRunner

    monday = pd.Timestamp("2024-01-01")
    box = Box(("any_region",), monday, monday + WEEK_DAYS)
    with tempfile.TemporaryDirectory(prefix="conditioning-") as scratch:
        database = Path(scratch) / f"{DATABASE}.duckdb"
        with _open(database) as connection:
            connection.execute("create schema lake")
            for name, columns in _tables_of_the_lake().items():
                _create(connection, name, columns, [])
        _, *options = _arguments(str(project_dir), database, box, memory_limit="1GB")
        options = [one for one in options if one not in {"--no-write-json", "--no-populate-cache"}]
        for verb in (["run"], ["docs", "generate", "--static"]):
            with _one_dbt:
                outcome = dbtRunner().invoke([*verb, "--quiet", *options])
            if not outcome.success:
                raise ConditioningFailed(f"dbt {' '.join(verb)}: {outcome.exception}")
        folder.mkdir(parents=True, exist_ok=True)
        page = folder / "static_index.html"
        shutil.copyfile(Path(scratch) / "target" / page.name, page)
    return page


def _tables_of_the_lake() -> dict[str, Mapping[str, str]]:
    return {name: raw.columns for name, raw in RAW_TABLES.items()} | {"known_series": KNOWN_SERIES}


def _test_outcomes(results: "Sequence[RunResult]", database: Path) -> list[TestOutcome]:
    return [
        TestOutcome(
            unique_id=result.node.unique_id,
            name=result.node.name,
            status=str(result.status),
            n_failures=result.failures or 0,
            message=result.message or "",
            rows=_failing_rows(result, database),
        )
        for result in results
        if result.node.resource_type in {"test", "unit_test"}
    ]


def _problems(results: "Sequence[RunResult]", database: Path) -> list[str]:
    return [
        _problem(result, _failing_rows(result, database))
        for result in results
        if str(result.status) in {"fail", "error"}
    ]


def _problem(result: "RunResult", rows: pd.DataFrame | None) -> str:
    text = f"dbt {result.node.resource_type} {result.node.name}: {result.message}"
    if rows is None:
        return text
    return f"{text}; first rows: {rows.to_dict('records')}"


def _failing_rows(result: "RunResult", database: Path) -> pd.DataFrame | None:
    """Run a failed test's own query again, for the rows that it counted."""
    query = getattr(result.node, "compiled_code", None)
    if result.node.resource_type != "test" or str(result.status) not in {"fail", "warn"}:
        return None
    with _open(database) as connection:
        limited = f"select * from ({query}) limit {MAX_ROWS_SHOWN}"  # noqa: S608 - dbt's own SQL
        return connection.execute(limited).df() if query else None


def _build_on_spark(
    arguments: Sequence[str], database: Path
) -> tuple[list[TestOutcome], list[str]]:
    """Build on a local Spark what `_invoke` builds on DuckDB; its marts come into ``database``.

    Spark and dbt's adapter for it live in a process of their own, which ends with the build.
    """
    folder = database.parent / "spark"
    sources = folder / spark.SOURCES_FOLDER
    sources.mkdir(parents=True)
    with _open(database) as connection:
        for name in _tables_of(connection, "lake"):
            path = sources / f"{name}.parquet"
            connection.execute(f"copy lake.{name} to '{path}' (format parquet)")
    job = spark.Job([*arguments, "--target", "spark"], spark.local_settings(folder))
    try:
        told = spark.run_apart(folder, job)
    except spark.SparkFailed as error:
        raise ConditioningFailed(str(error)) from error
    with _open(database) as connection:
        for path in sorted((folder / spark.MARTS_FOLDER).glob("*")):
            rows = f"from read_parquet('{path}/*.parquet')"
            connection.execute(f"create table main.{path.name} as {rows}")
    return _outcomes_told(told)


def _outcomes_told(told: Iterable[Mapping[str, Any]]) -> tuple[list[TestOutcome], list[str]]:
    tests, problems = [], []
    for one in told:
        if one["resource_type"] in {"test", "unit_test"}:
            fields = ("unique_id", "name", "status", "n_failures", "message")
            rows = pd.DataFrame(one["rows"]) if one["rows"] else None
            tests.append(TestOutcome(**{name: one[name] for name in fields}, rows=rows))
        if one["status"] in {"fail", "error"}:
            text = f"dbt {one['resource_type']} {one['name']}: {one['message']}"
            problems.append(f"{text}; first rows: {one['rows']}" if one["rows"] else text)
    return tests, problems


def _tables_of(connection: "duckdb.DuckDBPyConnection", schema: str) -> list[str]:
    query = "select table_name from duckdb_tables() where schema_name = ? order by 1"
    return [name for (name,) in connection.execute(query, [schema]).fetchall()]


def prepare_manifest(project_dir: Path = PROJECT_DIR) -> Path:
    """Return the manifest of the project as it is now; parse it if nobody has yet.

    Parsed projects lie under ``target/`` by the digest of their files, and come into being by
    one rename: processes that start together do not meet.

    Raises
    ------
    ConditioningFailed
        If the project does not parse.
    """
    parsed = project_dir / "target" / _digest(project_dir)
    if not (parsed / "manifest.json").exists():
        _parse(project_dir, parsed)
    return parsed / "manifest.json"


def _digest(project_dir: Path) -> str:
    files = [*sorted(project_dir.glob("*.yml"))]
    for folder in SOURCE_FOLDERS:
        files += sorted((project_dir / folder).rglob("*.*"))
    digest = sha256(_dbt_versions().encode())
    for file in files:
        digest.update(file.relative_to(project_dir).as_posix().encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


@cache
def _dbt_versions() -> str:
    return f"{version_of('dbt-core')} {version_of('dbt-duckdb')}"


def _parse(project_dir: Path, parsed: Path) -> None:
    parsed.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=parsed.parent, prefix="parsing-") as folder:
        command = [
            *(sys.executable, "-m", "dbt.cli.main", "parse", "--quiet", "--no-version-check"),
            *("--project-dir", str(project_dir), "--profiles-dir", str(project_dir)),
            *("--target-path", folder, "--log-path", folder, "--no-use-colors"),
        ]
        done = subprocess.run(  # noqa: S603 - our own command
            command, capture_output=True, text=True, check=False, timeout=PARSE_TIMEOUT_SECONDS
        )
        if done.returncode:
            raise ConditioningFailed(f"the dbt project does not parse:\n{done.stdout}{done.stderr}")
        complete = Path(folder) / "complete"
        complete.mkdir()
        for name in ("manifest.json", "partial_parse.msgpack"):
            shutil.move(Path(folder) / name, complete / name)
        try:
            os.rename(complete, parsed)  # noqa: PTH104 - refuses a folder that is not empty
        except OSError:
            if not (parsed / "manifest.json").exists():
                raise
