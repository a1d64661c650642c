"""The maintenance job and its commands, over a lake with something to do."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import dagster as dg
import pandas as pd
import pytest
from typer.testing import CliRunner

from forecast_platform.automation.maintenance import build_maintenance_schedule, lake_maintenance
from forecast_platform.cli.app import app
from forecast_platform.partitions import RegionWeek
from forecast_platform.resources.lake import Lake
from forecast_platform.resources.maintenance import look_at
from forecast_platform.resources.registry import Candidate, ModelRegistry

TABLE = "forecasts"
MODEL = "demand-north-large-fast"
KEY = RegionWeek("north", pd.Timestamp("2024-01-01").as_unit("us"))


@pytest.fixture
def lake(home) -> Lake:
    """Three files of one region-week."""
    lake = Lake(uri=str(home / "lake"))
    for y in (1.0, 2.0, 3.0):
        rows = pd.DataFrame({"region": [KEY.region], "week": [KEY.week], "y": [y]})
        lake.append(TABLE, rows, run_id="run")
    return lake


@pytest.fixture
def registry(make_registry: Callable[[], ModelRegistry]) -> ModelRegistry:
    return make_registry()


def metadata_of(result: dg.ExecuteInProcessResult, op: str = "maintain_lake") -> dict:
    (event,) = [one for one in result.events_for_node(op) if one.is_successful_output]
    return {name: one.value for name, one in event.step_output_data.metadata.items()}


def test_a_run_says_what_it_did_to_each_table(lake: Lake, registry: ModelRegistry):
    result = lake_maintenance.execute_in_process(resources={"lake": lake, "registry": registry})

    told = metadata_of(result)
    assert result.success
    assert look_at(lake, TABLE).files == 1
    assert (told["n_tables"], told["compacted_files"]) == (1, 2)
    assert "| forecasts |" in told["tables"]
    assert lake.history(TABLE, 1)[0]["maintenance_run_id"] == result.run_id


def test_a_dry_run_leaves_the_lake_alone(lake: Lake, registry: ModelRegistry):
    config = {"ops": {"maintain_lake": {"config": {"dry_run": True}}}}

    result = lake_maintenance.execute_in_process(
        resources={"lake": lake, "registry": registry}, run_config=config
    )

    assert metadata_of(result)["compacted_files"] == 2
    assert look_at(lake, TABLE).files == 3


def test_a_lake_without_tables_is_no_failure(tmp_path, registry: ModelRegistry):
    lake = Lake(uri=str(tmp_path / "none"))

    done = lake_maintenance.execute_in_process(resources={"lake": lake, "registry": registry})

    assert metadata_of(done) == {
        "n_tables": 0,
        "compacted_files": 0,
        "removed_files": 0,
        "removed_logs": 0,
        "freed_bytes": 0,
    }


@pytest.fixture
def aged(registry: ModelRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lake:
    """Four versions that are 101 days old: one made a kept forecast, the last is the champion."""
    for number, week in enumerate(pd.date_range("2024-01-01", periods=4, freq="W-MON")):
        one = Candidate(name=MODEL, files={"m": bytes([number])}, alias="challenger")
        registry.log_region_week("north", week, [one], metrics={}, params={}, tags={})
    registry.promote(MODEL, 4)
    lake = Lake(uri=str(tmp_path / "served"), audit_days=7)
    rows = pd.DataFrame(
        {"region": ["north"], "week": [KEY.week], "model_name": [MODEL], "model_version": [2]}
    )
    lake.write(TABLE, rows, [KEY], run_id="run")
    later = SimpleNamespace(now=lambda zone: datetime.now(zone) + timedelta(days=101))
    monkeypatch.setattr("forecast_platform.automation.maintenance.datetime", later)
    return lake


@pytest.mark.parametrize(
    ("keep_days", "dry_run", "left"),
    [
        pytest.param(100, False, [2, 4], id="older-ones-go"),
        pytest.param(100, True, [1, 2, 3, 4], id="dry-run"),
        pytest.param(102, False, [1, 2, 3, 4], id="younger-ones-stay"),
    ],
)
def test_the_job_deletes_old_models_that_no_kept_forecast_refers_to(
    aged: Lake, registry: ModelRegistry, keep_days: int, dry_run: bool, left: list[int]
):
    keeping = ModelRegistry(
        tracking_uri=registry.tracking_uri,
        artifacts_uri=registry.artifacts_uri,
        keep_days=keep_days,
    )
    ops = {name: {"config": {"dry_run": dry_run}} for name in ("maintain_lake", "retain_models")}

    result = lake_maintenance.execute_in_process(
        resources={"lake": aged, "registry": keeping}, run_config={"ops": ops}
    )

    assert [one.version for one in registry.versions(MODEL)] == left
    told = metadata_of(result, "retain_models")
    expected = 2 if keep_days == 100 else 0
    assert (told["n_versions"], told["deleted_versions"]) == (4, expected)


@pytest.mark.parametrize("running", [True, False])
def test_the_schedule_is_on_where_it_is_told(running: bool):
    schedule = build_maintenance_schedule(running=running)

    assert schedule.cron_schedule == "0 3 * * 0"
    assert (schedule.default_status is dg.DefaultScheduleStatus.RUNNING) == running


def test_the_commands_tell_and_maintain(lake: Lake):
    run = CliRunner()
    before = run.invoke(app, ["lake", "status"])
    told = run.invoke(app, ["lake", "maintain", "--dry-run"])

    assert before.exit_code == told.exit_code == 0
    assert look_at(lake, TABLE).small == 3
    assert "Nothing was changed" in told.output
    assert run.invoke(app, ["lake", "maintain"]).exit_code == 0
    assert look_at(lake, TABLE).small == 0


@pytest.mark.parametrize("command", ["status", "maintain"])
def test_the_commands_say_that_there_is_no_lake(home, command):
    done = CliRunner().invoke(app, ["lake", command])

    assert done.exit_code == 1
    assert "no table yet" in done.output
