"""The dbt project `dbt_conditioning` itself: parsed once, invoked in this process, documented.

dbt's command line costs 8 seconds a call here, this 3.5 and then 2. Which rows a build reads
and what becomes of its marts is not known here. See
https://docs.getdbt.com/reference/programmatic-invocations.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from functools import cache
from hashlib import sha256
from importlib.metadata import version as version_of
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pandas as pd

from forecast_platform.errors import ForecastPlatformError
from forecast_platform.settings import PROJECT_ROOT

if TYPE_CHECKING:
    from dbt.artifacts.schemas.run import RunResult
from forecast_platform.resources.conditioning_inputs import (
    MEMORY_LIMIT,
    PLAN_LOOKBACK_WEEKS,
    TRAILING_WEEKS,
    WEEK_DAYS,
    Box,
    create_table,
    open_database,
    tables_of_the_lake,
)

PROJECT_DIR: Final = PROJECT_ROOT / "dbt_conditioning"
DATABASE: Final = "conditioning"
"""Name of the DuckDB file: dbt writes it into the manifest, so every run's file has it."""

SOURCE_FOLDERS: Final = ("models", "macros", "tests")
PARSE_TIMEOUT_SECONDS: Final = 300

_one_dbt = threading.Lock()
"""dbt keeps its adapter and flags in the process: one invocation at a time."""


class ConditioningFailed(ForecastPlatformError):  # noqa: N818 - named as its siblings
    """A model could not be built or a test failed; nothing was published."""


def build_arguments(project_dir: str, database: Path, box: Box, memory_limit: str) -> list[str]:
    """Say to dbt what to build, in which file, and not to write anywhere else."""
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


def invoke(project_dir: Path, arguments: Sequence[str]) -> "Sequence[RunResult]":
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
        with open_database(database) as connection:
            connection.execute("create schema lake")
            for name, columns in tables_of_the_lake().items():
                create_table(connection, name, columns, [])
        _, *options = build_arguments(str(project_dir), database, box, MEMORY_LIMIT)
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
