"""The model registry: MLflow behind a handful of verbs.

One MLflow run for each region and week, its models registered under stable names with the
aliases ``challenger``, ``champion`` and ``baseline``. Models are bytes here: they are verified
against the registered SHA-256, and never parsed or executed. What a model is belongs to
`forecast_platform.forecasting.models`; when one is promoted, to the promotion asset.

The verbs are here; `registry_models` says what goes in and out, `registry_connection` connects,
`registry_versions` speaks of runs and versions, `registry_locks` keeps others away. See
https://mlflow.org/docs/latest/ml/model-registry/.
"""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
import pandas as pd
from pydantic import Field

from forecast_platform.errors import CorruptModel, NoChampion, RegistryUnavailable
from forecast_platform.resources.model_copies import ModelCopies
from forecast_platform.resources.model_files import digest_of, local_folder, read_folder, verify
from forecast_platform.resources.registry_connection import (
    connected,
    experiment_id,
    sqlite_path,
)
from forecast_platform.resources.registry_locks import locked
from forecast_platform.resources.registry_models import (
    NO_FILES,
    Alias,
    Candidate,
    ModelVersionInfo,
    RegisteredModel,
    Registry,
    model_name,
)
from forecast_platform.resources.registry_versions import (
    MAX_TAG,
    PAGE,
    aliases_of,
    all_versions,
    bearer_of,
    create_versions,
    described,
    find_run,
    idempotency_key,
    log_files,
    log_numbers,
    lookup,
    move_alias,
    registered,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient

__all__ = [
    "NO_FILES",
    "Alias",
    "Candidate",
    "ModelRegistry",
    "ModelVersionInfo",
    "RegisteredModel",
    "Registry",
    "model_name",
    "sqlite_path",
]


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
        key = idempotency_key(region, week, digests)
        with self._connected() as client:
            experiment = self._experiment(client)
            run = find_run(client, experiment, key) or client.create_run(
                experiment,
                run_name=f"{region} {week:%Y-%m-%d}",
                tags={**shared, "idempotency_key": key},
            )
            if run.info.status != "FINISHED":
                log_files(client, run, candidates, descriptors)
                log_numbers(client, run, metrics, params)
            versions = create_versions(client, run, candidates, digests, shared)
            if run.info.status != "FINISHED":
                client.set_terminated(run.info.run_id)
            for one in candidates:
                move_alias(client, versions[one.name], one.alias)
        return [versions[one.name] for one in candidates]

    def find(self, name: str, version: int) -> RegisteredModel:
        """Look one version up.

        Raises
        ------
        CorruptModel
            If the registry does not have it (any more).
        """
        with self._connected() as client:
            found = lookup(lambda: client.get_model_version(name, str(version)))
        if found is None:
            raise CorruptModel(f"the registry has no version {version} of {name}")
        return registered(found)

    def champion(self, name: str, alias: Alias = "champion") -> RegisteredModel:
        """Look the bearer of an alias up.

        Raises
        ------
        NoChampion
            If there is no such model, or it has no bearer of the alias.
        """
        with self._connected() as client:
            found = bearer_of(client, name, alias)
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
            serving = bearer_of(client, name, "champion")
            if serving is not None and serving.version == version:
                return True
        promoted = self.find(name, version)
        with self._locked([f"model/{name}"]), self._connected() as client:
            return move_alias(client, promoted, "champion", even_if_older=even_if_older)

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
            found = all_versions(client, name)
            aliases = aliases_of(client, name) if found else {}
        infos = [described(one, aliases.get(int(one.version), ())) for one in found]
        return sorted(infos, key=lambda one: one.version)

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
        return experiment_id(client, self.tracking_uri, self.artifacts_uri)

    def _connected(self) -> AbstractContextManager["MlflowClient"]:
        return connected(self.tracking_uri)
