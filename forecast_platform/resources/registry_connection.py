"""The way to MLflow: connecting, the first use of a database, and telling when it is down.

What is asked over the connection is in `registry` and `registry_versions`. MLflow is imported at
the first use (it costs 2 seconds).
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from forecast_platform.errors import RegistryUnavailable

if TYPE_CHECKING:
    from mlflow import MlflowClient

EXPERIMENT = "demand-forecasts"

MLFLOW_ENVIRONMENT = {
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_MODEL_CATALOG_URI": "",
    "MLFLOW_SKIP_PIP_REQUIREMENTS_CHECK": "true",
    "MLFLOW_UV_AUTO_DETECT": "false",
    "GIT_PYTHON_REFRESH": "quiet",
}
"""MLflow has no other way to be told these. Its defaults hold a step for minutes when a server
is down (7 retries of 120 s), and allow pickle."""


@contextmanager
def connected(tracking_uri: str) -> Iterator["MlflowClient"]:
    """Open a registry and translate its ways of being down into one error.

    Raises
    ------
    RegistryUnavailable
        If it cannot be reached.
    """
    _configure_mlflow()
    try:
        yield _client(tracking_uri)
    except Exception as error:
        if _is_outage(error):
            raise RegistryUnavailable(
                f"the model registry cannot be reached: {type(error).__name__}"
            ) from error
        raise


@cache
def _configure_mlflow() -> None:
    """Set MLflow's environment before its first import; what the user has set stays."""
    for name, value in MLFLOW_ENVIRONMENT.items():
        os.environ.setdefault(name, value)  # noqa: TID251 - written for MLflow, not read
    import logging

    logging.getLogger("alembic").setLevel(logging.WARNING)


@cache
def _client(tracking_uri: str) -> "MlflowClient":
    """Connect once per process.

    The database is tried first, because MLflow itself tries a dead one for more than a minute.
    """
    path = sqlite_path(tracking_uri)
    if path is not None:
        with _prepared_sqlite(path):
            return _opened(tracking_uri)
    if not tracking_uri.startswith("http"):
        _try_database(tracking_uri)
    return _opened(tracking_uri)


def _opened(tracking_uri: str) -> "MlflowClient":
    """Open both of MLflow's stores now: of a new database, that makes the tables."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=tracking_uri, registry_uri=tracking_uri)
    client.get_experiment_by_name(EXPERIMENT)
    client.search_registered_models(max_results=1)
    return client


def sqlite_path(tracking_uri: str) -> Path | None:
    """Return the database file of a SQLite registry, None for other registries.

    Examples
    --------
    >>> sqlite_path("sqlite:////data/mlflow.db").as_posix()
    '/data/mlflow.db'
    >>> sqlite_path("http://127.0.0.1:5000") is None
    True
    """
    prefix = "sqlite:///"
    return Path(tracking_uri.removeprefix(prefix)) if tracking_uri.startswith(prefix) else None


@contextmanager
def _prepared_sqlite(path: Path) -> Iterator[None]:
    """Let one process at a time open the file for the first time, which makes its tables."""
    import fcntl

    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        connection = sqlite3.connect(path, timeout=20)
        try:
            # Readers and a writer at once: measured, the slowest of four processes waits half.
            connection.execute("PRAGMA journal_mode=WAL")
        finally:
            connection.close()
        yield


def _try_database(uri: str) -> None:
    import sqlalchemy

    arguments = {"connect_timeout": 5} if uri.startswith("postgresql") else {}
    engine = sqlalchemy.create_engine(uri, connect_args=arguments)
    try:
        engine.connect().close()
    finally:
        engine.dispose()


@cache
def experiment_id(client: "MlflowClient", tracking_uri: str, artifacts_uri: str) -> str:  # noqa: ARG001 - the cache's key
    """Find or make the experiment; of two processes that make it at once, one wins."""
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(EXPERIMENT)
    if found is not None:
        return found.experiment_id
    try:
        return client.create_experiment(EXPERIMENT, artifact_location=artifacts_uri or None)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
        made = client.get_experiment_by_name(EXPERIMENT)
        if made is None:
            raise
        return made.experiment_id


OUTAGE_CODES = {"INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE", "IO_ERROR", "REQUEST_LIMIT_EXCEEDED"}


def _is_outage(error: Exception) -> bool:
    """Tell a registry that is down or broken from one that refuses what it was asked."""
    module = type(error).__module__.partition(".")[0]
    if isinstance(error, (sqlite3.Error, ConnectionError, TimeoutError, PermissionError)):
        return True
    if module in {"sqlalchemy", "requests", "urllib3", "azure", "botocore", "google"}:
        return True
    return module == "mlflow" and getattr(error, "error_code", "") in OUTAGE_CODES
