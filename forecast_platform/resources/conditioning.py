"""Marts of some region-weeks: dbt builds and tests them on a throw-away file over the lake.

Rows of the lake go in, tested tables come out; publishing them is the asset's business, what they
mean is in `schemas.conditioned`, and the SQL is in the dbt project.
"""

import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import dagster as dg
import pandas as pd
from pydantic import Field

from forecast_platform.partitions import RegionWeek
from forecast_platform.resources import spark
from forecast_platform.resources.lake import Lake

if TYPE_CHECKING:
    import pyarrow as pa
    from dbt.artifacts.schemas.run import RunResult
from forecast_platform.resources.conditioning_inputs import (
    MEMORY_LIMIT,
    RANGE_MEMORY_LIMIT,
    Box,
    load_box,
    open_database,
    tables_of,
)
from forecast_platform.resources.dbt_project import (
    DATABASE,
    PROJECT_DIR,
    ConditioningFailed,
    build_arguments,
    invoke,
)

MART_ROWS: Final = 2**18
"""Rows of a mart that are judged and written at a time."""

MAX_ROWS_SHOWN: Final = 5


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
        with open_database(self.database, self.memory_limit) as connection:
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
        default="",
        description="What DuckDB may use before it spills; by default 1GB for one week and 4GB for "
        "several.",
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
            usual = RANGE_MEMORY_LIMIT if box.last_week > box.week_from else MEMORY_LIMIT
            memory_limit = self.memory_limit or usual
            arguments = build_arguments(self.project_dir, database, box, memory_limit)
            if select:
                arguments += ["--indirect-selection", "cautious"]
                arguments += ["--select", *(f"+{mart}" for mart in select)]
            arguments += [] if unit_tests else ["--exclude-resource-type", "unit_test"]
            if self.target == "spark":
                tests, problems = _build_on_spark(arguments, database)
            else:
                results = invoke(Path(self.project_dir), arguments)
                tests, problems = _test_outcomes(results, database), _problems(results, database)
            yield Conditioned(
                database,
                versions=versions,
                tests=tests,
                problems=problems,
                memory_limit=memory_limit,
            )


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
    with open_database(database) as connection:
        limited = f"select * from ({query}) limit {MAX_ROWS_SHOWN}"  # noqa: S608 - dbt's own SQL
        return connection.execute(limited).df() if query else None


def _build_on_spark(
    arguments: Sequence[str], database: Path
) -> tuple[list[TestOutcome], list[str]]:
    """Build on a local Spark what `invoke` builds on DuckDB; its marts come into ``database``.

    Spark and dbt's adapter for it live in a process of their own, which ends with the build.
    """
    folder = database.parent / "spark"
    sources = folder / spark.SOURCES_FOLDER
    sources.mkdir(parents=True)
    with open_database(database) as connection:
        for name in tables_of(connection, "lake"):
            path = sources / f"{name}.parquet"
            connection.execute(f"copy lake.{name} to '{path}' (format parquet)")
    job = spark.Job([*arguments, "--target", "spark"], spark.local_settings(folder))
    try:
        told = spark.run_apart(folder, job)
    except spark.SparkFailed as error:
        raise ConditioningFailed(str(error)) from error
    with open_database(database) as connection:
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
