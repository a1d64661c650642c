"""What a model registry is asked for, and what it answers; no registry is known here.

The one of production is `forecast_platform.resources.registry`; tests have one of their own.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol

import pandas as pd

from forecast_platform.resources.model_copies import ModelCopies

Alias = Literal["champion", "challenger", "baseline"]
NO_FILES: Mapping[str, bytes] = {}


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
