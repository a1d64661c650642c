import platform
import subprocess
import sys
from pathlib import Path

import dagster as dg

from forecast_platform.launching.instance import (
    PROCESS_TAG,
    add_regions,
    close_lost_runs,
    failed_region_weeks,
    open_instance,
    prepare_home,
    registered_regions,
    this_process,
)
from forecast_platform.settings import Settings


def tagged(instance: dg.DagsterInstance, status: dg.DagsterRunStatus, **tags: str) -> str:
    run = instance.create_run(
        job_name="weekly_forecast",
        run_id=None,
        run_config=None,
        status=status,
        tags=tags,
        root_run_id=None,
        parent_run_id=None,
        step_keys_to_execute=None,
        execution_plan_snapshot=None,
        job_snapshot=None,
        parent_job_snapshot=None,
        asset_selection=None,
        asset_check_selection=None,
        resolved_op_selection=None,
        op_selection=None,
        remote_job_origin=None,
        job_code_origin=None,
        asset_graph=None,
    )
    return run.run_id


def dead_process() -> str:
    process = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"],
        capture_output=True,
        text=True,
        check=True,
    )
    return process.stdout.strip()


def test_regions_keep_the_order_of_registration_and_are_registered_once(home: Path) -> None:
    with open_instance(Settings(home=home)) as instance:
        assert add_regions(instance, ["west", "east"]) == ["west", "east"]
        assert add_regions(instance, ["east", "alaska"]) == ["alaska"]

        assert registered_regions(instance) == ["west", "east", "alaska"]


def test_an_existing_dagster_yaml_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "dagster.yaml").write_text("telemetry:\n  enabled: false\n# mine\n")

    prepare_home(Settings(home=tmp_path), tmp_path)

    assert (tmp_path / "dagster.yaml").read_text().endswith("# mine\n")


def test_runs_of_a_process_that_is_gone_are_closed_and_live_ones_are_not(home: Path) -> None:
    with open_instance(Settings(home=home)) as instance:
        started = dg.DagsterRunStatus.STARTED
        lost = tagged(instance, started, **{PROCESS_TAG: f"{platform.node()}:{dead_process()}"})
        alive = tagged(instance, started, **{PROCESS_TAG: this_process()})
        daemons = tagged(instance, started)
        elsewhere = tagged(instance, started, **{PROCESS_TAG: "another-host:1"})

        assert close_lost_runs(instance) == 1

        status = {run.run_id: run.status for run in instance.get_runs()}
        assert status[lost] is dg.DagsterRunStatus.FAILURE
        assert {status[alive], status[daemons], status[elsewhere]} == {started}


def test_a_failure_counts_until_a_later_run_succeeds(home: Path) -> None:
    box = {
        "dagster/asset_partition_range_start": "west|2024-01-01",
        "dagster/asset_partition_range_end": "east|2024-01-08",
    }
    with open_instance(Settings(home=home)) as instance:
        add_regions(instance, ["west", "east"])
        tagged(instance, dg.DagsterRunStatus.FAILURE, **box)
        again = {"dagster/partition": "west|2024-01-08"}
        tagged(instance, dg.DagsterRunStatus.SUCCESS, **again)

        assert failed_region_weeks(instance) == {
            "east": ("2024-01-01", "2024-01-08"),
            "west": ("2024-01-01",),
        }


def test_a_killed_run_has_failed_before_anybody_marks_it(home: Path) -> None:
    started = dg.DagsterRunStatus.STARTED
    gone = {PROCESS_TAG: f"{platform.node()}:{dead_process()}"}
    with open_instance(Settings(home=home)) as instance:
        add_regions(instance, ["west", "east"])
        tagged(instance, dg.DagsterRunStatus.SUCCESS, **{"dagster/partition": "west|2024-01-01"})
        tagged(instance, started, **{"dagster/partition": "west|2024-01-01"}, **gone)
        tagged(instance, dg.DagsterRunStatus.SUCCESS, **{"dagster/partition": "east|2024-01-01"})
        under_way = {"dagster/partition": "east|2024-01-01", PROCESS_TAG: this_process()}
        tagged(instance, started, **under_way)

        assert failed_region_weeks(instance) == {"west": ("2024-01-01",)}
        assert {run.status for run in instance.get_runs()} >= {started}, "looking changes nothing"
