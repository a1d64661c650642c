"""Runs, versions and aliases in MLflow, as the registry writes and reads them.

Each function is handed a connection; connecting is in `registry_connection`, the verbs of the
platform are in `registry`.
"""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from forecast_platform.resources.model_files import write_files
from forecast_platform.resources.registry_models import (
    Alias,
    Candidate,
    ModelVersionInfo,
    RegisteredModel,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion

MODELS_FOLDER = "models"
DESCRIPTORS_FOLDER = "descriptors"
MAX_BATCH = 900
"""MLflow takes at most 1,000 metrics in one call."""

PAGE = 1_000
"""Entries that are asked for at a time."""

MAX_TAG = 4_900
"""MLflow cuts longer values of tags, or refuses them, by its version [characters]."""


def idempotency_key(region: str, week: pd.Timestamp, digests: Mapping[str, str]) -> str:
    """Name a set of models: the same ones again have the same key."""
    parts = [region, f"{week:%Y-%m-%d}", *(f"{name}={digests[name]}" for name in sorted(digests))]
    return sha256("|".join(parts).encode()).hexdigest()[:32]


def find_run(client: "MlflowClient", experiment: str, key: str) -> "Run | None":
    """Find the run that logged a set of models."""
    found = client.search_runs([experiment], f"tags.idempotency_key = '{key}'", max_results=1)
    return found[0] if found else None


def log_files(
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


def log_numbers(
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


def create_versions(
    client: "MlflowClient",
    run: "Run",
    candidates: Sequence[Candidate],
    digests: Mapping[str, str],
    tags: Mapping[str, str],
) -> dict[str, RegisteredModel]:
    """Register what the run does not have yet."""
    present = client.search_model_versions(f"run_id = '{run.info.run_id}'")
    versions = {found.name: registered(found) for found in present}
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
        versions[one.name] = registered(created)
    return versions


def _ensure_model(client: "MlflowClient", one: Candidate, tags: Mapping[str, str]) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(one.name, tags={"region": tags["region"], **one.tags})
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def move_alias(
    client: "MlflowClient", model: RegisteredModel, alias: Alias, *, even_if_older: bool = False
) -> bool:
    """Hand an alias over, unless its bearer has a later cutoff."""
    bearer = bearer_of(client, model.name, alias)
    if bearer is not None and bearer.cutoff > model.cutoff and not even_if_older:
        return False
    if bearer != model:
        client.set_registered_model_alias(model.name, alias, str(model.version))
    return True


def bearer_of(client: "MlflowClient", name: str, alias: Alias) -> RegisteredModel | None:
    """Look the bearer of an alias up; None without one."""
    found = lookup(lambda: client.get_model_version_by_alias(name, alias))
    return None if found is None else registered(found)


def all_versions(client: "MlflowClient", name: str) -> list["ModelVersion"]:
    """List the versions of a model, page by page."""
    found: list[ModelVersion] = []
    token = None
    while True:
        page = client.search_model_versions(f"name = '{name}'", max_results=PAGE, page_token=token)
        found += page
        token = page.token
        if not token:
            return found


def aliases_of(client: "MlflowClient", name: str) -> dict[int, tuple[str, ...]]:
    """Find the aliases of each version: a search for versions does not tell them."""
    found: dict[int, tuple[str, ...]] = {}
    for alias, version in client.get_registered_model(name).aliases.items():
        found[int(version)] = (*found.get(int(version), ()), alias)
    return found


def described(found: "ModelVersion", aliases: tuple[str, ...]) -> ModelVersionInfo:
    """Describe a version as lists show it."""
    return ModelVersionInfo(
        name=found.name,
        version=int(found.version),
        run_id=found.run_id or "",
        created=datetime.fromtimestamp(found.creation_timestamp / 1000, UTC),
        aliases=aliases,
    )


def lookup(ask: Callable[[], "ModelVersion"]) -> "ModelVersion | None":
    """Ask for one version; None when the registry answers that there is none."""
    from mlflow.exceptions import MlflowException

    try:
        return ask()
    except MlflowException as error:
        if error.error_code in {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}:
            return None
        raise


def registered(found: "ModelVersion") -> RegisteredModel:
    """Describe a version with all that is needed to fetch it."""
    return RegisteredModel(
        name=found.name,
        version=int(found.version),
        run_id=found.run_id or "",
        sha256=found.tags.get("sha256", ""),
        artifact_uri=found.source or "",
        cutoff=pd.Timestamp(found.tags.get("cutoff", "1970-01-05")),
    )
