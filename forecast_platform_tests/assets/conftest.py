"""A region whose history is in the lake, and one call that materializes assets in it."""

import copy
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pytest

from forecast_platform.assets.features import demand_features
from forecast_platform.assets.forecasts import forecasts
from forecast_platform.assets.promotion import promotion
from forecast_platform.assets.training import trained_ensembles
from forecast_platform.assets.validation import validation_metrics
from forecast_platform.partitions import RegionWeek
from forecast_platform.resources.io_manager import LakeIOManager
from forecast_platform.resources.lake import Lake
from forecast_platform.resources.lifecycle import Lifecycle
from forecast_platform.resources.model_settings import ModelSettings
from forecast_platform_tests.fakes import InMemoryRegistry
from forecast_platform_tests.marts import weeks_from, write_marts

REGION = "north"
N_WEEKS = 44
WEEKS = weeks_from(N_WEEKS)
SETTINGS = ModelSettings(epochs=2)
MODEL_ASSETS = (trained_ensembles, validation_metrics, promotion, forecasts)


@dataclass
class World:
    """Everything outside of the assets: a lake, a registry, Dagster's records."""

    lake: Lake
    registry: Any
    settings: ModelSettings
    instance: dg.DagsterInstance
    lifecycle: Lifecycle = field(default_factory=Lifecycle)

    def make(
        self, assets: Sequence[Any], *keys: RegionWeek, raise_on_error: bool = True
    ) -> dg.ExecuteInProcessResult:
        """Materialize assets for the range from the first to the last key."""
        self.instance.add_dynamic_partitions("region", sorted({key.region for key in keys}))
        return dg.materialize(
            list(assets),
            instance=self.instance,
            resources={
                "lake": self.lake,
                "lake_io_manager": LakeIOManager(lake=self.lake),
                "registry": self.registry,
                "model_settings": self.settings,
                "lifecycle": self.lifecycle,
            },
            tags={
                "dagster/asset_partition_range_start": keys[0].key,
                "dagster/asset_partition_range_end": keys[-1].key,
            },
            raise_on_error=raise_on_error,
        )

    def rows(self, table: str, key: RegionWeek) -> pd.DataFrame:
        return self.lake.read(table, region=key.region, weeks=[key.week])


MakeWorld = Callable[[World], World]


@pytest.fixture
def _copy_world(tmp_path: Path) -> MakeWorld:
    def copy_world(world: World) -> World:
        folder = tmp_path / f"lake-{len(list(tmp_path.iterdir()))}"
        shutil.copytree(world.lake.uri, folder)
        return World(
            Lake(uri=str(folder), git_commit="abc"),
            copy.deepcopy(world.registry),
            world.settings,
            dg.DagsterInstance.ephemeral(),
        )

    return copy_world


@pytest.fixture(scope="session")
def _featured(tmp_path_factory: pytest.TempPathFactory) -> World:
    lake = Lake(uri=str(tmp_path_factory.mktemp("featured")), git_commit="abc")
    write_marts(lake, REGION, WEEKS)
    world = World(lake, InMemoryRegistry(), SETTINGS, dg.DagsterInstance.ephemeral())
    world.make([demand_features], RegionWeek(REGION, WEEKS[0]), RegionWeek(REGION, WEEKS[-1]))
    return world


@pytest.fixture(scope="session")
def _forecast(_featured: World, tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("forecast") / "lake"
    shutil.copytree(_featured.lake.uri, folder)
    lake = Lake(uri=str(folder), git_commit="abc")
    world = World(lake, InMemoryRegistry(), SETTINGS, dg.DagsterInstance.ephemeral())
    world.make(MODEL_ASSETS, RegionWeek(REGION, WEEKS[-1]))
    return world


@pytest.fixture
def featured(_featured: World, _copy_world: MakeWorld) -> World:
    """The history of a region, with features of every week and no models."""
    return _copy_world(_featured)


@pytest.fixture
def forecast(_forecast: World, _copy_world: MakeWorld) -> World:
    """The same, with models and forecasts of the last week."""
    return _copy_world(_forecast)
