"""Stand-ins for what talks to the outside; each passes the same contract test as the real one."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pandas as pd

from forecast_platform.errors import CorruptModel, NoChampion, RegistryUnavailable
from forecast_platform.resources.model_copies import ModelCopies
from forecast_platform.resources.model_files import digest_of, verify
from forecast_platform.resources.registry import NO_FILES, Alias, Candidate, RegisteredModel


class InMemoryRegistry:
    """A registry that lives as long as the test; ``is_down`` makes every verb fail."""

    def __init__(self) -> None:
        self.is_down = False
        self.copies = ModelCopies()
        self.descriptors: dict[str, bytes] = {}
        self.tags: dict[tuple[str, int], dict[str, str]] = {}
        self._versions: dict[str, list[RegisteredModel]] = {}
        self._aliases: dict[tuple[str, str], RegisteredModel] = {}
        self._files: dict[str, dict[str, bytes]] = {}
        self._metrics: dict[str, dict[str, float]] = {}

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
        self._answer()
        self.descriptors = dict(descriptors)
        digests = "".join(digest_of(one.files) for one in candidates)
        run_id = f"{region}|{week:%Y-%m-%d}|{digest_of({'all': digests.encode()})[:12]}"
        self._metrics[run_id] = dict(metrics)
        return [self._register(one, run_id, week) for one in candidates]

    def find(self, name: str, version: int) -> RegisteredModel:
        self._answer()
        for one in self._versions.get(name, []):
            if one.version == version:
                return one
        raise CorruptModel(f"the registry has no version {version} of {name}")

    def champion(self, name: str, alias: Alias = "champion") -> RegisteredModel:
        self._answer()
        if (name, alias) not in self._aliases:
            raise NoChampion(f"{name} has no {alias}")
        return self._aliases[name, alias]

    def promote(self, name: str, version: int, *, even_if_older: bool = False) -> bool:
        return self._move_alias(self.find(name, version), "champion", even_if_older=even_if_older)

    def tag(self, name: str, version: int, tags: Mapping[str, str]) -> None:
        found = self.find(name, version)
        self.tags.setdefault((found.name, found.version), {}).update(tags)

    @contextmanager
    def exclusive(self, regions: Sequence[str]) -> Iterator[None]:
        self._answer()
        yield

    def remove(self, name: str, version: int) -> None:
        """Lose a model's files."""
        del self._files[self.find(name, version).artifact_uri]

    def fetch(self, artifact_uri: str, digest: str) -> dict[str, bytes]:
        self._answer()
        if artifact_uri not in self._files:
            raise CorruptModel(f"{artifact_uri}: its files are gone")
        verify(self._files[artifact_uri], expected=digest, what=artifact_uri)
        return self._files[artifact_uri]

    def load_files(self, name: str, version: int) -> dict[str, bytes]:
        found = self.find(name, version)
        return self.fetch(found.artifact_uri, found.sha256)

    def corrupt(self, name: str, version: int) -> None:
        """Change one byte of a model's first file, as a failing disk would."""
        files = self._files[self.find(name, version).artifact_uri]
        first = min(files)
        files[first] = bytes([files[first][0] ^ 1]) + files[first][1:]

    def _register(self, one: Candidate, run_id: str, week: pd.Timestamp) -> RegisteredModel:
        versions = self._versions.setdefault(one.name, [])
        present = [found for found in versions if found.run_id == run_id]
        uri = f"memory://{run_id}/{one.name}"
        if not present:
            made = RegisteredModel(
                name=one.name,
                version=len(versions) + 1,
                run_id=run_id,
                sha256=digest_of(one.files),
                artifact_uri=uri,
                cutoff=week,
            )
            versions.append(made)
            self._files[uri] = dict(one.files)
            present = [made]
        self._move_alias(present[0], one.alias)
        return replace(present[0])

    def _move_alias(
        self, model: RegisteredModel, alias: str, *, even_if_older: bool = False
    ) -> bool:
        bearer = self._aliases.get((model.name, alias))
        if bearer is not None and bearer.cutoff > model.cutoff and not even_if_older:
            return False
        self._aliases[model.name, alias] = model
        return True

    def _answer(self) -> None:
        if self.is_down:
            raise RegistryUnavailable("the model registry cannot be reached: down in this test")
