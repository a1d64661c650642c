"""One region-week with landing and lake on Blob storage, by settings alone."""

import json

import pytest

from forecast_platform.definitions import build_definitions
from forecast_platform.settings import Settings
from forecast_platform.simulation import RetailerConfig, simulate
from forecast_platform_tests.azure.conftest import Azurite
from forecast_platform_tests.azure.test_instance import point_compute_logs_at, production_instance

pytestmark = [pytest.mark.azure, pytest.mark.integration, pytest.mark.slow]

RETAILER = RetailerConfig(regions=("north",), stores_per_region=4, products=5, n_weeks=1)
WEEK = str(RETAILER.first_week)
TABLES = ("raw_shipments", "fct_weekly_demand", "demand_features", "promotion", "forecasts")


def upload(folder, azurite: Azurite) -> None:
    with azurite.client() as client:
        container = client.get_container_client("landing")
        for path in folder.rglob("*.csv"):
            container.upload_blob(f"files/{path.relative_to(folder).as_posix()}", path.read_bytes())


@pytest.fixture
def settings(azurite: Azurite, tmp_path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Read the settings as an installation would: from the environment."""
    environment = {
        "HOME": str(tmp_path / "home"),
        "DEPLOYMENT": "prod",
        "LANDING_URI": "abfs://landing/files",
        "LAKE_URI": "abfs://lake/tables",
        "STORAGE_OPTIONS": json.dumps(azurite.storage_options),
        "EPOCHS": "1",
    }
    for name, value in environment.items():
        monkeypatch.setenv(f"FORECAST_PLATFORM_{name}", value)
    for name, value in azurite.environment.items():
        monkeypatch.setenv(name, value)
    return Settings()


def test_a_region_week_goes_from_blob_to_blob(azurite, settings, tmp_path, monkeypatch):
    simulate(RETAILER, tmp_path / "deliveries")
    upload(tmp_path / "deliveries", azurite)
    point_compute_logs_at(azurite, monkeypatch)
    definitions = build_definitions(settings)
    with production_instance(tmp_path) as instance:
        instance.add_dynamic_partitions("region", ["north"])
        result = definitions.resolve_job_def("weekly_forecast").execute_in_process(
            instance=instance, partition_key=f"north|{WEEK}"
        )

    assert result.success
    lake = definitions.resources["lake"]
    for table in TABLES:
        weeks = lake.read(table, region="north", columns=["week"])["week"]
        assert {f"{week:%Y-%m-%d}" for week in weeks} == {WEEK}, table
    assert any("_delta_log" in name for name in azurite.blobs("lake"))
    assert any(result.run_id in name for name in azurite.blobs("logs"))
    assert not (tmp_path / "home" / "lake").exists()
    assert not (tmp_path / "home" / "landing").exists()
