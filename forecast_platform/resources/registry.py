"""The model registry: MLflow behind a handful of verbs.

One MLflow run for each region and week, its models registered under stable names with the
aliases ``challenger``, ``champion`` and ``baseline``. Models are bytes here: they are verified
against the registered SHA-256, and never parsed or executed. What a model is belongs to
`forecast_platform.forecasting.models`; when one is promoted, to the promotion asset.

MLflow is imported at the first use (it costs 2 seconds). See
https://mlflow.org/docs/latest/ml/model-registry/.
"""

import os
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import dagster as dg
import pandas as pd
from pydantic import Field

from forecast_platform.errors import CorruptModel, NoChampion, RegistryUnavailable
from forecast_platform.resources.model_copies import ModelCopies
from forecast_platform.resources.model_files import (
    digest_of,
    local_folder,
    read_folder,
    verify,
    write_files,
)
from forecast_platform.resources.registry_locks import locked

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion

Alias = Literal["champion", "challenger", "baseline"]

EXPERIMENT = "demand-forecasts"
MODELS_FOLDER = "models"
DESCRIPTORS_FOLDER = "descriptors"
NO_FILES: Mapping[str, bytes] = {}
MAX_BATCH = 900
"""MLflow takes at most 1,000 metrics in one call."""

PAGE = 1_000
"""Entries that are asked for at a time."""

MAX_TAG = 4_900
"""MLflow cuts longer values of tags, or refuses them, by its version [characters]."""

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


def model_name(region: str, form: str, what: str) -> str:
    """Name a registered model: ``what`` is a velocity, or ``historical_average``.

    Examples
    --------
    >>> model_name("north_texas", "large", "fast")
    'demand-north_texas-large-fast'
    """
    return f"demand-{region}-{form}-{what}"


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A trained model on its way into the registry.

    Parameters
    ----------
    name : str
        Registered name, ``demand-<region>-<format>-<velocity or historical_average>``.
    files : Mapping[str, bytes]
        The model as plain files.
    alias : {"challenger", "baseline"}
        Role in which it enters.
    tags : Mapping[str, str]
        Tags of the version, such as its format and velocity.
    """

    name: str
    files: Mapping[str, bytes]
    alias: Literal["challenger", "baseline"]
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class RegisteredModel:
    """One version of a registered model, and all that is needed to fetch it."""

    name: str
    version: int
    run_id: str
    sha256: str
    artifact_uri: str
    cutoff: pd.Timestamp


@dataclass(frozen=True, kw_only=True)
class ModelVersionInfo:
    """One version as lists show it.

    Attributes
    ----------
    created : datetime.datetime
    aliases : tuple of str
        Roles that it bears.
    """

    name: str
    version: int
    run_id: str
    created: datetime
    aliases: tuple[str, ...]


class Registry(Protocol):
    """What assets ask of a registry; `ModelRegistry` and the tests' fake both have it."""

    def log_region_week(
        self,
        region: str,
        week: pd.Timestamp,
        candidates: Sequence[Candidate],
        *,
        metrics: Mapping[str, float],
        params: Mapping[str, Any],
        tags: Mapping[str, str],
        descriptors: Mapping[str, bytes] = NO_FILES,
    ) -> list[RegisteredModel]:
        """Register the models of one region and week."""
        ...

    def find(self, name: str, version: int) -> RegisteredModel:
        """Look one version up."""
        ...

    def champion(self, name: str, alias: Alias = "champion") -> RegisteredModel:
        """Look the bearer of an alias up."""
        ...

    def promote(self, name: str, version: int, *, even_if_older: bool = False) -> bool:
        """Make a version the champion."""
        ...

    def tag(self, name: str, version: int, tags: Mapping[str, str]) -> None:
        """Tag a version."""
        ...

    def exclusive(self, regions: Sequence[str]) -> AbstractContextManager[None]:
        """Hold the promotions of some regions, so that nobody else changes them."""
        ...

    @property
    def copies(self) -> ModelCopies:
        """Local copies of the models that served last."""
        ...

    def fetch(self, artifact_uri: str, digest: str) -> dict[str, bytes]:
        """Fetch a model's verified files."""
        ...

    def load_files(self, name: str, version: int) -> dict[str, bytes]:
        """Fetch a version's verified files."""
        ...


class ModelRegistry(dg.ConfigurableResource):
    """Registered models of all regions, kept in MLflow."""

    tracking_uri: str = Field(
        description="MLflow server or database, such as sqlite:////data/registry/mlflow.db."
    )
    artifacts_uri: str = Field(
        default="",
        description="Folder or URI of the model files; empty leaves the choice to the server. "
        "Counts when the experiment is made, at the first use.",
    )
    copies_folder: str = Field(
        default="",
        description="Folder of local copies of the models that served last; empty keeps none.",
    )
    keep_days: int = Field(
        default=730,
        ge=1,
        description="How long versions that nothing refers to are kept, where somebody asks for "
        "old ones to be deleted [days].",
    )

    def log_region_week(
        self,
        region: str,
        week: pd.Timestamp,
        candidates: Sequence[Candidate],
        *,
        metrics: Mapping[str, float],
        params: Mapping[str, Any],
        tags: Mapping[str, str],
        descriptors: Mapping[str, bytes] = NO_FILES,
    ) -> list[RegisteredModel]:
        """Register the models of one region and week as one MLflow run.

        The same models again find their run and make no new version; a run that was interrupted
        is completed. The aliases move only if no bearer has a later cutoff.

        Parameters
        ----------
        region : str
        week : pandas.Timestamp
            The cutoff of the models.
        candidates : Sequence[Candidate]
        metrics : Mapping[str, float]
            Logged with the run; undefined (nan) ones are left out.
        params : Mapping[str, Any]
            Training parameters, logged with the run.
        tags : Mapping[str, str]
            Tags of the run and of each version: git commit, table versions, seed.
        descriptors : Mapping[str, bytes], optional
            Files that say how the models are called: signature, input example, requirements. Kept
            once, beside the models.

        Returns
        -------
        list[RegisteredModel]
            In the order of ``candidates``.

        Raises
        ------
        RegistryUnavailable
            If the registry cannot be reached.
        """
        digests = {one.name: digest_of(one.files) for one in candidates}
        shared = {**tags, "region": region, "cutoff": f"{week:%Y-%m-%d}"}
        key = _idempotency_key(region, week, digests)
        with self._connected() as client:
            run = _find_run(client, self._experiment(client), key) or client.create_run(
                self._experiment(client),
                run_name=f"{region} {week:%Y-%m-%d}",
                tags={**shared, "idempotency_key": key},
            )
            if run.info.status != "FINISHED":
                _log_files(client, run, candidates, descriptors)
                _log_numbers(client, run, metrics, params)
            versions = _create_versions(client, run, candidates, digests, shared)
            if run.info.status != "FINISHED":
                client.set_terminated(run.info.run_id)
            for one in candidates:
                _move_alias(client, versions[one.name], one.alias)
        return [versions[one.name] for one in candidates]

    def find(self, name: str, version: int) -> RegisteredModel:
        """Look one version up.

        Raises
        ------
        CorruptModel
            If the registry does not have it (any more).
        """
        with self._connected() as client:
            found = _lookup(lambda: client.get_model_version(name, str(version)))
        if found is None:
            raise CorruptModel(f"the registry has no version {version} of {name}")
        return _registered(found)

    def champion(self, name: str, alias: Alias = "champion") -> RegisteredModel:
        """Look the bearer of an alias up.

        Raises
        ------
        NoChampion
            If there is no such model, or it has no bearer of the alias.
        """
        with self._connected() as client:
            found = _bearer(client, name, alias)
        if found is None:
            raise NoChampion(f"{name} has no {alias}")
        return found

    def promote(self, name: str, version: int, *, even_if_older: bool = False) -> bool:
        """Make a version the champion, unless a champion with a later cutoff is there.

        Parameters
        ----------
        name : str
        version : int
        even_if_older : bool, default=False
            Take the place of a champion with a later cutoff too, as a rollback does.

        Returns
        -------
        bool
            Whether the version is the champion now. Replaying an old week must not put an old
            model in the place of a newer one.
        """
        with self._connected() as client:
            bearer = _bearer(client, name, "champion")
            if bearer is not None and bearer.version == version:
                return True
        promoted = self.find(name, version)
        with self._locked([f"model/{name}"]), self._connected() as client:
            return _move_alias(client, promoted, "champion", even_if_older=even_if_older)

    def tag(self, name: str, version: int, tags: Mapping[str, str]) -> None:
        """Tag a version; values are cut to what MLflow takes."""
        with self._connected() as client:
            for key, value in tags.items():
                client.set_model_version_tag(name, str(version), key, value[:MAX_TAG])

    @contextmanager
    def exclusive(self, regions: Sequence[str]) -> Iterator[None]:
        """Hold the promotions of some regions, so that nobody else changes them meanwhile.

        MLflow has no compare-and-swap for aliases: who reads, judges and writes must be alone. On
        PostgreSQL, advisory locks of the database hold off every machine; on SQLite and for an
        MLflow server, a file lock holds off the other processes of this machine.

        Raises
        ------
        RegistryUnavailable
            If the registry's database cannot be reached.
        """
        with self._locked([f"region/{region}" for region in regions]):
            yield

    @property
    def copies(self) -> ModelCopies:
        """Local copies of the models that served last."""
        return ModelCopies(self.copies_folder)

    def versions(self, name: str) -> list[ModelVersionInfo]:
        """List all versions of a model, the oldest first; none if there is no such model."""
        with self._connected() as client:
            found = _all_versions(client, name)
            bearers = _bearers(client, name) if found else {}
        described = [_described(one, bearers.get(int(one.version), ())) for one in found]
        return sorted(described, key=lambda one: one.version)

    def names(self) -> list[str]:
        """List the registered models, in order."""
        with self._connected() as client:
            found, token = [], None
            while True:
                page = client.search_registered_models(max_results=PAGE, page_token=token)
                found += [one.name for one in page]
                token = page.token
                if not token:
                    return sorted(found)

    def delete(self, name: str, version: int) -> None:
        """Delete a version; its files stay until its run is deleted."""
        with self._connected() as client:
            client.delete_model_version(name, str(version))

    def delete_run(self, run_id: str) -> None:
        """Delete a run and all its files, the models' among them; one that is gone stays gone."""
        with self._connected() as client:
            from mlflow.exceptions import MlflowException
            from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

            try:
                run = client.get_run(run_id)
            except MlflowException as error:
                if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                    return
                raise
            get_artifact_repository(str(run.info.artifact_uri)).delete_artifacts()
            if run.info.lifecycle_stage == "active":
                client.delete_run(run_id)

    def fetch(self, artifact_uri: str, digest: str) -> dict[str, bytes]:
        """Fetch a model's files without asking the registry's database.

        Parameters
        ----------
        artifact_uri : str
        digest : str
            SHA-256 that was noted when the model was registered or promoted.

        Raises
        ------
        CorruptModel
            If the files are gone or do not match ``digest``.
        RegistryUnavailable
            If the artifact store cannot be reached.
        """
        files = self._read_artifacts(artifact_uri)
        verify(files, expected=digest, what=artifact_uri)
        return files

    def load_files(self, name: str, version: int) -> dict[str, bytes]:
        """Fetch a version's files, verified against the digest in the registry."""
        found = self.find(name, version)
        return self.fetch(found.artifact_uri, found.sha256)

    def _read_artifacts(self, uri: str) -> dict[str, bytes]:
        folder = local_folder(uri)
        if folder is not None:
            return self._read_local(folder, uri)
        with self._connected(), tempfile.TemporaryDirectory() as temporary:
            from mlflow.artifacts import download_artifacts

            path = download_artifacts(
                artifact_uri=uri, dst_path=temporary, tracking_uri=self.tracking_uri
            )
            return read_folder(Path(path), what=uri)

    def _read_local(self, folder: Path, uri: str) -> dict[str, bytes]:
        """Read from a disk; one that is gone as a whole, or refuses, is out of reach."""
        root = local_folder(self.artifacts_uri) if self.artifacts_uri else None
        if root is not None and not root.is_dir():
            raise RegistryUnavailable(f"the folder of the models is gone: {root}")
        try:
            return read_folder(folder, what=uri)
        except OSError as error:
            raise RegistryUnavailable(
                f"the models' files cannot be read: {type(error).__name__}"
            ) from error

    def _locked(self, names: Sequence[str]) -> AbstractContextManager[None]:
        database = sqlite_path(self.tracking_uri)
        beside = str(database.parent / "locks") if database else ""
        return locked(self.tracking_uri, names, beside or self.copies_folder)

    def _experiment(self, client: "MlflowClient") -> str:
        return _experiment_id(client, self.tracking_uri, self.artifacts_uri)

    @contextmanager
    def _connected(self) -> Iterator["MlflowClient"]:
        """Open the registry and translate its ways of being down into one error."""
        _configure_mlflow()
        try:
            yield _client(self.tracking_uri)
        except Exception as error:
            if _is_outage(error):
                raise RegistryUnavailable(
                    f"the model registry cannot be reached: {type(error).__name__}"
                ) from error
            raise


def _idempotency_key(region: str, week: pd.Timestamp, digests: Mapping[str, str]) -> str:
    parts = [region, f"{week:%Y-%m-%d}", *(f"{name}={digests[name]}" for name in sorted(digests))]
    return sha256("|".join(parts).encode()).hexdigest()[:32]


def _find_run(client: "MlflowClient", experiment: str, key: str) -> "Run | None":
    found = client.search_runs([experiment], f"tags.idempotency_key = '{key}'", max_results=1)
    return found[0] if found else None


def _log_files(
    client: "MlflowClient",
    run: "Run",
    candidates: Sequence[Candidate],
    descriptors: Mapping[str, bytes],
) -> None:
    """Write all files in one call."""
    with tempfile.TemporaryDirectory() as temporary:
        for one in candidates:
            write_files(Path(temporary) / MODELS_FOLDER / one.name, one.files)
        if descriptors:
            write_files(Path(temporary) / DESCRIPTORS_FOLDER, descriptors)
        client.log_artifacts(run.info.run_id, temporary)


def _log_numbers(
    client: "MlflowClient", run: "Run", metrics: Mapping[str, float], params: Mapping[str, Any]
) -> None:
    """Write metrics and parameters in one call."""
    from mlflow.entities import Metric, Param

    # The run's own start is the time of its metrics, so that completing a run repeats them.
    logged = [
        Metric(name, float(value), run.info.start_time, 0)
        for name, value in metrics.items()
        if pd.notna(value)
    ]
    noted = [Param(name, str(value)) for name, value in params.items()]
    client.log_batch(run.info.run_id, metrics=logged[:MAX_BATCH], params=noted)


def _create_versions(
    client: "MlflowClient",
    run: "Run",
    candidates: Sequence[Candidate],
    digests: Mapping[str, str],
    tags: Mapping[str, str],
) -> dict[str, RegisteredModel]:
    """Register what the run does not have yet."""
    present = client.search_model_versions(f"run_id = '{run.info.run_id}'")
    versions = {found.name: _registered(found) for found in present}
    for one in candidates:
        if one.name in versions:
            continue
        _ensure_model(client, one, tags)
        created = client.create_model_version(
            one.name,
            source=f"{run.info.artifact_uri}/{MODELS_FOLDER}/{one.name}",
            run_id=run.info.run_id,
            tags={
                **tags,
                **one.tags,
                "sha256": digests[one.name],
                "size_bytes": str(sum(map(len, one.files.values()))),
                "descriptors": f"{run.info.artifact_uri}/{DESCRIPTORS_FOLDER}",
            },
            await_creation_for=0,
        )
        versions[one.name] = _registered(created)
    return versions


def _ensure_model(client: "MlflowClient", one: Candidate, tags: Mapping[str, str]) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(one.name, tags={"region": tags["region"], **one.tags})
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _move_alias(
    client: "MlflowClient", model: RegisteredModel, alias: Alias, *, even_if_older: bool = False
) -> bool:
    """Hand an alias over, unless its bearer has a later cutoff."""
    bearer = _bearer(client, model.name, alias)
    if bearer is not None and bearer.cutoff > model.cutoff and not even_if_older:
        return False
    if bearer != model:
        client.set_registered_model_alias(model.name, alias, str(model.version))
    return True


def _bearer(client: "MlflowClient", name: str, alias: Alias) -> RegisteredModel | None:
    found = _lookup(lambda: client.get_model_version_by_alias(name, alias))
    return None if found is None else _registered(found)


def _all_versions(client: "MlflowClient", name: str) -> list["ModelVersion"]:
    found: list[ModelVersion] = []
    token = None
    while True:
        page = client.search_model_versions(f"name = '{name}'", max_results=PAGE, page_token=token)
        found += page
        token = page.token
        if not token:
            return found


def _bearers(client: "MlflowClient", name: str) -> dict[int, tuple[str, ...]]:
    """Find the aliases of each version: a search for versions does not tell them."""
    bearers: dict[int, tuple[str, ...]] = {}
    for alias, version in client.get_registered_model(name).aliases.items():
        bearers[int(version)] = (*bearers.get(int(version), ()), alias)
    return bearers


def _described(found: "ModelVersion", aliases: tuple[str, ...]) -> ModelVersionInfo:
    return ModelVersionInfo(
        name=found.name,
        version=int(found.version),
        run_id=found.run_id or "",
        created=datetime.fromtimestamp(found.creation_timestamp / 1000, UTC),
        aliases=aliases,
    )


def _lookup(ask: Callable[[], "ModelVersion"]) -> "ModelVersion | None":
    """Ask for one version; None when the registry answers that there is none."""
    from mlflow.exceptions import MlflowException

    try:
        return ask()
    except MlflowException as error:
        if error.error_code in {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}:
            return None
        raise


def _registered(found: "ModelVersion") -> RegisteredModel:
    return RegisteredModel(
        name=found.name,
        version=int(found.version),
        run_id=found.run_id or "",
        sha256=found.tags.get("sha256", ""),
        artifact_uri=found.source or "",
        cutoff=pd.Timestamp(found.tags.get("cutoff", "1970-01-05")),
    )


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
def _experiment_id(client: "MlflowClient", tracking_uri: str, artifacts_uri: str) -> str:  # noqa: ARG001 - the cache's key
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
