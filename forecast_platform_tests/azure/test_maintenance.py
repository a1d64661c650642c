"""Maintenance of a lake on Blob storage."""

from datetime import UTC, datetime

import pandas as pd
import pytest

from forecast_platform.partitions import RegionWeek
from forecast_platform.resources.lake import Lake
from forecast_platform.resources.maintenance import MIN_COMMITS, look_at, maintain, tables_of
from forecast_platform_tests.azure.conftest import Azurite

pytestmark = [pytest.mark.azure, pytest.mark.integration]

KEY = RegionWeek("north", pd.Timestamp("2024-01-01").as_unit("us"))


@pytest.fixture
def lake(azurite: Azurite, monkeypatch: pytest.MonkeyPatch) -> Lake:
    for name, value in azurite.environment.items():
        monkeypatch.setenv(name, value)
    return Lake(uri="abfs://lake/maintained", storage_options=azurite.storage_options)


def test_small_files_are_put_together_in_a_bucket(lake: Lake, azurite: Azurite):
    for y in range(MIN_COMMITS):
        rows = pd.DataFrame({"region": [KEY.region], "week": [KEY.week], "y": [float(y)]})
        lake.append("forecasts", rows, run_id="run")
    split = lake.version("forecasts")
    before = look_at(lake, "forecasts")

    (done,) = maintain(lake, now=datetime.now(UTC), run_id="care")

    assert tables_of(lake) == ["forecasts"]
    assert (before.files, before.small) == (MIN_COMMITS, MIN_COMMITS)
    assert (done.compacted_from, done.compacted_to, done.made_checkpoint) == (MIN_COMMITS, 1, True)
    assert done.problem == ""
    assert look_at(lake, "forecasts").files == 1
    assert sorted(lake.read("forecasts")["y"]) == list(range(MIN_COMMITS))
    assert len(lake.read("forecasts", version=split)) == MIN_COMMITS
    assert any("checkpoint" in name for name in azurite.blobs("lake"))
