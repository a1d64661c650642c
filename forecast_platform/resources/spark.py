"""One dbt build on a local Spark, in a process of its own: ``python -m …resources.spark FOLDER``.

dbt keeps one adapter in a process, and Spark a virtual machine: neither shares the process of
`resources.conditioning`, which puts the rows and the arguments into the folder, starts this, and
reads the marts and the results. What Spark is told is in `dbt_conditioning/profiles.yml`, once;
here is only what has to be there before dbt asks for a session. A cluster needs none of this: see
`docs/clusters.md`. Nothing of Spark is imported before it is used; it is an extra.
"""

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from dbt.artifacts.schemas.run import RunResult
    from pyspark.sql import SparkSession  # pyright: ignore[reportMissingImports] - an extra

JOB_FILE: Final = "job.json"
RESULTS_FILE: Final = "results.json"
SOURCES_FOLDER: Final = "lake"
MARTS_FOLDER: Final = "marts"
WAREHOUSE_FOLDER: Final = "warehouse"
SOURCES_SCHEMA: Final = "lake"
MAX_ROWS_SHOWN: Final = 5


@dataclass(frozen=True, slots=True)
class Job:
    """What to build.

    Attributes
    ----------
    arguments : list of str
        Of dbt's command line.
    settings : dict
        Of the Spark session, by Spark's names.
    marts : list of str
        Models whose rows are wanted.
    """

    arguments: list[str]
    settings: dict[str, str]
    marts: list[str]


def local_settings(folder: Path) -> dict[str, str]:
    """Return the settings of a small local Spark that keeps all its files in ``folder``.

    Those that the answer depends on, the time zone and ANSI's rules, are in the dbt profile too.

    >>> local_settings(Path("/tmp/run"))["spark.master"]
    'local[2]'
    """
    return {
        "spark.master": "local[2]",
        "spark.app.name": "conditioning",
        "spark.driver.host": "127.0.0.1",  # of this machine only
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.extraJavaOptions": f"-Djava.io.tmpdir={folder}",
        "spark.local.dir": str(folder),
        "spark.sql.warehouse.dir": str(folder / WAREHOUSE_FOLDER),
        "spark.sql.catalogImplementation": "in-memory",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.log.level": "ERROR",
        "spark.default.parallelism": "2",
        "spark.sql.shuffle.partitions": "2",
        "spark.sql.ansi.enabled": "true",
        "spark.sql.session.timeZone": "UTC",
    }


def run(folder: Path) -> None:
    """Build the job that lies in ``folder``; write its marts and results beside it."""
    job = Job(**json.loads((folder / JOB_FILE).read_text()))
    session = _start(job.settings)
    try:
        _register_sources(session, folder / SOURCES_FOLDER)
        results = _build(session, job.arguments)
        (folder / RESULTS_FILE).write_text(json.dumps(results, default=str))
        if not any(one["status"] in {"error", "fail"} for one in results):
            for mart in job.marts:
                session.table(f"main.{mart}").coalesce(1).write.parquet(
                    str(folder / MARTS_FOLDER / mart)
                )
    finally:
        session.stop()


def write_job(folder: Path, job: Job) -> None:
    """Put a job into the folder that :func:`run` is given."""
    (folder / JOB_FILE).write_text(json.dumps(asdict(job)))


def _start(settings: Mapping[str, str]) -> "SparkSession":
    from pyspark.sql import SparkSession  # pyright: ignore[reportMissingImports] - an extra

    builder = SparkSession.builder
    for name, value in settings.items():
        builder = builder.config(name, value)
    return builder.getOrCreate()


def _register_sources(session: "SparkSession", folder: Path) -> None:
    """Name the Parquet files of ``folder`` as dbt's sources do: tables of one schema."""
    session.sql(f"create schema if not exists {SOURCES_SCHEMA}")
    for path in sorted(folder.glob("*.parquet")):
        session.sql(
            f"create table {SOURCES_SCHEMA}.{path.stem} using parquet location '{path.as_uri()}'"
        )


def _build(session: "SparkSession", arguments: list[str]) -> list[dict[str, Any]]:
    """Run dbt in the session and tell of each node: its id, name, kind, status and failures.

    Raises
    ------
    RuntimeError
        If dbt did not come so far that there are nodes.
    """
    from dbt.artifacts.schemas.run import RunExecutionResult
    from dbt.cli.main import dbtRunner

    outcome = dbtRunner().invoke(arguments)
    if not isinstance(outcome.result, RunExecutionResult):
        raise RuntimeError(f"dbt could not run: {outcome.exception}") from outcome.exception  # noqa: TRY004
    return [_told(session, result) for result in outcome.result.results]


def _told(session: "SparkSession", result: "RunResult") -> dict[str, Any]:
    told: dict[str, Any] = {
        "unique_id": result.node.unique_id,
        "name": result.node.name,
        "resource_type": str(result.node.resource_type),
        "status": str(result.status),
        "failures": result.failures or 0,
        "message": result.message or "",
        "rows": None,
    }
    query = getattr(result.node, "compiled_code", None)
    if query and told["resource_type"] == "test" and told["status"] in {"fail", "warn"}:
        rows = session.sql(f"select * from ({query}) limit {MAX_ROWS_SHOWN}")  # noqa: S608
        told["rows"] = [row.asDict() for row in rows.collect()]
    return told


if __name__ == "__main__":
    run(Path(sys.argv[1]))
