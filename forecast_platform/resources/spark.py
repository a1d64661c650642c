"""One dbt build on a local Spark, in a process of its own: ``python -m …resources.spark FOLDER``.

dbt keeps one adapter in a process, and Spark a virtual machine: neither shares the process of
`resources.conditioning`, which puts the rows into a folder, has :func:`run_apart` start this
there, and reads the marts and what dbt told. A cluster needs none of it: see `docs/clusters.md`.
Nothing of Spark is imported before it is used; it has an environment of its own.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from forecast_platform.errors import ForecastPlatformError
from forecast_platform.settings import PROJECT_ROOT

if TYPE_CHECKING:
    from dbt.artifacts.schemas.run import RunResult
    from pyspark.sql import SparkSession  # pyright: ignore[reportMissingImports] - an extra

JOB_FILE: Final = "job.json"
RESULTS_FILE: Final = "results.json"
OUTPUT_FILE: Final = "output.txt"
SOURCES_FOLDER: Final = "lake"
MARTS_FOLDER: Final = "marts"
SOURCES_SCHEMA: Final = "lake"
MAX_ROWS_SHOWN: Final = 5
LINES_SHOWN: Final = 20
LIMIT_SECONDS: Final = 3600


class SparkFailed(ForecastPlatformError):  # noqa: N818 - named as its siblings
    """Spark or dbt on it did not come so far that there are results."""


@dataclass(frozen=True, slots=True)
class Job:
    """What to build.

    Attributes
    ----------
    arguments : list of str
        Of dbt's command line.
    settings : dict
        Of the Spark session, by Spark's names.
    """

    arguments: list[str]
    settings: dict[str, str]


def local_settings(folder: Path) -> dict[str, str]:
    """Return the settings of a small local Spark that keeps all its files in ``folder``.

    Those that the answer depends on, the time zone and ANSI's rules, are in the dbt profile too.
    Boxes are small here: most of the time goes into compiling plans, so there is less of that.

    >>> local_settings(Path("/tmp/run"))["spark.master"]
    'local[2]'
    """
    return {
        "spark.master": "local[2]",
        "spark.app.name": "conditioning",
        "spark.driver.host": "127.0.0.1",  # nothing listens to other machines
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.extraJavaOptions": f"-Djava.io.tmpdir={folder} -XX:TieredStopAtLevel=1",
        "spark.local.dir": str(folder),
        "spark.sql.warehouse.dir": str(folder / "warehouse"),
        "spark.sql.catalogImplementation": "in-memory",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.log.level": "ERROR",
        "spark.default.parallelism": "2",
        "spark.sql.shuffle.partitions": "2",
        "spark.sql.adaptive.enabled": "false",
        "spark.sql.codegen.wholeStage": "false",
        "spark.sql.ansi.enabled": "true",
        "spark.sql.session.timeZone": "UTC",
    }


def interpreter() -> str:
    """Name the Python that has Spark: that of ``.venv-spark`` beside the code, else this one."""
    apart = PROJECT_ROOT / ".venv-spark" / "bin" / "python"
    return str(apart) if apart.exists() else sys.executable


def run_apart(folder: Path, job: Job) -> list[dict[str, Any]]:
    """Build a job over the Parquet files of ``folder/lake``; the marts come into ``folder/marts``.

    Returns
    -------
    list of dict
        What became of each node of dbt, as :func:`tell` says.

    Raises
    ------
    SparkFailed
        If the process ended without results, with the end of what it printed.
    """
    (folder / JOB_FILE).write_text(json.dumps(asdict(job)))
    command = [interpreter(), "-m", "forecast_platform.resources.spark", str(folder)]
    with (folder / OUTPUT_FILE).open("wb") as output:
        done = subprocess.run(  # noqa: S603 - our own command
            command,
            cwd=PROJECT_ROOT,
            env=os.environ | {"SPARK_LOCAL_IP": "127.0.0.1"},  # noqa: TID251 - added to, not read
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
            timeout=LIMIT_SECONDS,
        )
    results = folder / RESULTS_FILE
    if done.returncode or not results.exists():
        said = (folder / OUTPUT_FILE).read_text(errors="replace").splitlines()[-LINES_SHOWN:]
        raise SparkFailed("dbt could not run on Spark:\n" + "\n".join(said))
    return json.loads(results.read_text())


def run(folder: Path) -> None:
    """Build the job that lies in ``folder``; write its marts and results beside it."""
    job = Job(**json.loads((folder / JOB_FILE).read_text()))
    session = _start(job.settings)
    try:
        _register_sources(session, folder / SOURCES_FOLDER)
        results = _build(job.arguments)
        for result in results:
            if _is_mart(result):
                name = result.node.name
                target = str(folder / MARTS_FOLDER / name)
                session.table(f"main.{name}").coalesce(1).write.parquet(target)
        told = [tell(session, result) for result in results]
        (folder / RESULTS_FILE).write_text(json.dumps(told, default=str))
    finally:
        session.stop()


def _start(settings: Mapping[str, str]) -> "SparkSession":
    from pyspark.sql import SparkSession  # pyright: ignore[reportMissingImports] - an extra

    builder = SparkSession.builder
    for name, value in settings.items():
        builder = builder.config(name, value)
    return builder.getOrCreate()


def _register_sources(session: "SparkSession", folder: Path) -> None:
    """Name the Parquet files of ``folder`` as dbt's sources do: tables of one schema."""
    session.sql(f"create schema {SOURCES_SCHEMA}")
    for path in sorted(folder.glob("*.parquet")):
        session.sql(
            f"create table {SOURCES_SCHEMA}.{path.stem} using parquet location '{path.as_uri()}'"
        )


def _build(arguments: list[str]) -> "list[RunResult]":
    """Run dbt; its adapter finds the session that is there.

    Raises
    ------
    SparkFailed
        If dbt did not come so far that there are nodes.
    """
    from dbt.artifacts.schemas.run import RunExecutionResult
    from dbt.cli.main import dbtRunner

    outcome = dbtRunner().invoke(arguments)
    if not isinstance(outcome.result, RunExecutionResult):
        raise SparkFailed(f"dbt could not run: {outcome.exception}") from outcome.exception
    return list(outcome.result.results)


def _is_mart(result: "RunResult") -> bool:
    fqn = getattr(result.node, "fqn", [])
    is_built = str(result.status) == "success" and result.node.resource_type == "model"
    return is_built and fqn[1] == "marts"


def tell(session: "SparkSession", result: "RunResult") -> dict[str, Any]:
    """Say of a node its id, name, kind, status, failures, message, and rows that failed it."""
    told: dict[str, Any] = {
        "unique_id": result.node.unique_id,
        "name": result.node.name,
        "resource_type": str(result.node.resource_type),
        "status": str(result.status),
        "n_failures": result.failures or 0,
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
