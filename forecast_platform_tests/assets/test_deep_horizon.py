"""Deep forecasts as tables: made by the month, from the marts of one week."""

from pathlib import Path

import dagster as dg
import pandas as pd
import pytest

from forecast_platform.assets.deep_horizon import deep_horizon
from forecast_platform.partitions import RegionWeek
from forecast_platform.resources.lake import Lake
from forecast_platform.resources.model_settings import ModelSettings
from forecast_platform.schemas.deep import DeepBacktest, DeepForecasts
from forecast_platform_tests.assets.conftest import World
from forecast_platform_tests.fakes import InMemoryRegistry
from forecast_platform_tests.marts import weeks_from, write_marts

WEEKS = weeks_from(84)
YOUNG = RegionWeek("north", WEEKS[40])
KEY = RegionWeek("north", WEEKS[-1])


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    lake = Lake(uri=str(tmp_path_factory.mktemp("deep")), git_commit="abc")
    write_marts(lake, "north", WEEKS, n_products=4)
    made = World(lake, InMemoryRegistry(), ModelSettings(epochs=1), dg.DagsterInstance.ephemeral())
    made.make([deep_horizon], KEY)
    return made


def test_a_year_of_sums_is_forecast_and_scored(world: World):
    rows, scores = world.rows("deep_forecasts", KEY), world.rows("deep_backtest", KEY)

    DeepForecasts.validate(rows, lazy=True)
    DeepBacktest.validate(scores, lazy=True)
    assert set(rows["scope"]) == {"region", "cluster_1", "cluster_2"}
    assert set(rows["category"]) == {"all", "bread", "cake"}
    assert set(rows.loc[rows["scope"] == "region", "h"]) == set(range(1, 53))
    assert rows.groupby("scope")["n_stores"].first().to_dict() == {
        "region": 4,
        "cluster_1": 2,
        "cluster_2": 2,
    }
    simple = {"seasonal_naive", "historical_average"}
    assert set(scores["model"]) == {"ensemble", "lasso", "embedding_net"} | simple


def test_made_again_they_are_the_same(world: World):
    order = ["unique_id", "h"]
    before = world.rows("deep_forecasts", KEY).sort_values(order, ignore_index=True)

    world.make([deep_horizon], KEY)

    after = world.rows("deep_forecasts", KEY).sort_values(order, ignore_index=True)
    pd.testing.assert_frame_equal(after, before)


def test_a_young_region_has_none_and_the_run_says_why(world: World):
    result = world.make([deep_horizon], YOUNG)

    assert result.success
    assert world.rows("deep_forecasts", YOUNG).empty
    events = result.asset_materializations_for_node("deep_horizon")
    assert "41 weeks, 78 needed" in events[0].metadata["problems"].value
    assert len(world.rows("deep_forecasts", KEY)), "other weeks stay"


def test_a_week_without_marts_fails_and_names_itself(world: World, tmp_path: Path):
    later = RegionWeek("north", KEY.week + pd.Timedelta(weeks=1))

    result = world.make([deep_horizon], later, raise_on_error=False)

    assert not result.success
    told = str(result.failure_data_for_node("deep_horizon").error)
    assert later.key in told
    assert "materialize dim_stores" in told
