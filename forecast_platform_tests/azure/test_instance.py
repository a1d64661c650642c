"""The Dagster instances of `deploy/`: both are valid; production's logs go to Blob storage."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
import yaml
from dagster._config import process_config
from dagster._core.instance.config import dagster_instance_config_schema

from forecast_platform.settings import PROJECT_ROOT
from forecast_platform_tests.azure.conftest import ACCOUNT, ACCOUNT_KEY, Azurite

DEPLOY = PROJECT_ROOT / "deploy"
SHARED = ("telemetry", "freshness", "run_retries", "run_monitoring", "retention", "concurrency")


def settings_of(deployment: str) -> dict:
    return yaml.safe_load((DEPLOY / deployment / "dagster.yaml").read_text())


@pytest.mark.parametrize("deployment", ["local", "production"])
def test_dagster_accepts_the_instance_settings(deployment, monkeypatch):
    for name in ("DAGSTER_POSTGRES_URL", "DAGSTER_AZURE_ACCOUNT", "DAGSTER_AZURE_CONTAINER"):
        monkeypatch.setenv(name, "given-by-the-environment")

    outcome = process_config(dagster_instance_config_schema(), settings_of(deployment))

    assert outcome.success, outcome.errors


@pytest.mark.parametrize("deployment", ["local", "production"])
def test_no_instance_sends_telemetry_or_waits_for_ever(deployment):
    settings = settings_of(deployment)

    assert settings["telemetry"]["enabled"] is False
    assert settings["run_monitoring"]["max_runtime_seconds"] > 0
    assert set(SHARED) <= set(settings)


def test_a_local_instance_queues_runs_two_at_a_time_and_one_for_each_region(tmp_path):
    (tmp_path / "dagster.yaml").write_text((DEPLOY / "local" / "dagster.yaml").read_text())
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        queue = instance.get_concurrency_config().run_queue_config

    assert queue.max_concurrent_runs == 2
    assert queue.tag_concurrency_limits[0]["key"] == "dagster/partition/region"


def test_production_settings_hold_no_secret():
    text = (DEPLOY / "production" / "dagster.yaml").read_text()
    config = settings_of("production")

    assert "AccountKey" not in text
    assert config["storage"]["postgres"]["postgres_url"] == {"env": "DAGSTER_POSTGRES_URL"}


@pytest.fixture
def production_logs(
    azurite: Azurite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dg.DagsterInstance]:
    """Production's instance with SQLite for PostgreSQL and the emulator for Azure."""
    point_compute_logs_at(azurite, monkeypatch)
    with production_instance(tmp_path) as instance:
        yield instance


def point_compute_logs_at(azurite: Azurite, monkeypatch: pytest.MonkeyPatch) -> None:
    """dagster-azure makes its URL from the account's name: give it the emulator's."""
    from azure.storage.blob import BlobServiceClient

    def emulator(account: str, credential: str, endpoint_suffix: str) -> BlobServiceClient:
        key = {"account_name": account, "account_key": credential}
        return BlobServiceClient(f"{azurite.url}/{account}", credential=key)

    monkeypatch.setattr("dagster_azure.blob.compute_log_manager.create_blob_client", emulator)
    monkeypatch.setenv("DAGSTER_AZURE_ACCOUNT", ACCOUNT)
    monkeypatch.setenv("DAGSTER_AZURE_CONTAINER", "logs")


def production_instance(home: Path) -> dg.DagsterInstance:
    """Load production's dagster.yaml, with a key where the emulator knows no identities."""
    settings = settings_of("production")
    settings["storage"] = {"sqlite": {"base_dir": str(home / "storage")}}
    logs = settings["compute_logs"]["config"]
    del logs["default_azure_credential"]
    logs |= {"access_key_or_sas_token": ACCOUNT_KEY, "local_dir": str(home / "logs")}
    (home / "dagster.yaml").write_text(yaml.safe_dump(settings))
    return dg.DagsterInstance.from_config(str(home))


@pytest.mark.azure
@pytest.mark.integration
def test_what_a_step_prints_is_found_in_blob_storage(production_logs, azurite):
    @dg.asset
    def talkative() -> None:
        print("said by the step")  # noqa: T201

    result = dg.materialize([talkative], instance=production_logs)

    (stdout,) = [name for name in azurite.blobs("logs") if result.run_id in name and ".out" in name]
    with azurite.client() as client:
        assert (
            b"said by the step" in client.get_blob_client("logs", stdout).download_blob().readall()
        )
