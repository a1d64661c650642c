"""The maintenance job and its commands, over a lake with something to do."""

import dagster as dg
import pandas as pd
import pytest
from typer.testing import CliRunner

from forecast_platform.automation.maintenance import build_maintenance_schedule, lake_maintenance
from forecast_platform.cli.app import app
from forecast_platform.partitions import RegionWeek
from forecast_platform.resources.lake import Lake
from forecast_platform.resources.maintenance import look_at

TABLE = "forecasts"
KEY = RegionWeek("north", pd.Timestamp("2024-01-01").as_unit("us"))


@pytest.fixture
def lake(home) -> Lake:
    """Three files of one region-week."""
    lake = Lake(uri=str(home / "lake"))
    for y in (1.0, 2.0, 3.0):
        rows = pd.DataFrame({"region": [KEY.region], "week": [KEY.week], "y": [y]})
        lake.append(TABLE, rows, run_id="run")
    return lake


def metadata_of(result: dg.ExecuteInProcessResult) -> dict:
    (event,) = [one for one in result.all_events if one.is_successful_output]
    return {name: one.value for name, one in event.step_output_data.metadata.items()}


def test_a_run_says_what_it_did_to_each_table(lake: Lake):
    result = lake_maintenance.execute_in_process(resources={"lake": lake})

    told = metadata_of(result)
    assert result.success
    assert look_at(lake, TABLE).files == 1
    assert (told["n_tables"], told["compacted_files"]) == (1, 2)
    assert "| forecasts |" in told["tables"]
    assert lake.history(TABLE, 1)[0]["maintenance_run_id"] == result.run_id


def test_a_dry_run_leaves_the_lake_alone(lake: Lake):
    config = {"ops": {"maintain_lake": {"config": {"dry_run": True}}}}

    result = lake_maintenance.execute_in_process(resources={"lake": lake}, run_config=config)

    assert metadata_of(result)["compacted_files"] == 2
    assert look_at(lake, TABLE).files == 3


def test_a_lake_without_tables_is_no_failure(tmp_path):
    lake = Lake(uri=str(tmp_path / "none"))

    assert metadata_of(lake_maintenance.execute_in_process(resources={"lake": lake})) == {
        "n_tables": 0,
        "compacted_files": 0,
        "removed_files": 0,
        "removed_logs": 0,
        "freed_bytes": 0,
    }


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
