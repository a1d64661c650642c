"""The registry made to follow the manifest: aliases, and tags with the verdicts.

The manifest in the lake is what counts; the registry is for people and for tools that read MLflow.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from forecast_platform.resources.manifest import Manifest
from forecast_platform.resources.registry import Registry
from forecast_platform.vocabulary import ENSEMBLE


@dataclass(frozen=True)
class Note:
    """Tags for one version of a registered model."""

    name: str
    version: int
    tags: Mapping[str, str]


def publish(registry: Registry, manifest: Manifest, notes: Sequence[Note] = ()) -> None:
    """Hand the alias ``champion`` to whom the manifest names, and tag what was judged.

    Call it under `Registry.exclusive` of the region, with the newest manifest: the alias is then
    what the manifest says, whoever else promotes at the same time and in whatever order.

    Raises
    ------
    RegistryUnavailable
        If the registry cannot be reached. The next call makes up for it.
    """
    for name, row in manifest.newest.items():
        if row["kind"] == ENSEMBLE and not pd.isna(row["champion_version"]):
            registry.promote(name, int(row["champion_version"]), even_if_older=True)
    for one in notes:
        registry.tag(one.name, one.version, one.tags)
