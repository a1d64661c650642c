from pathlib import Path

import dagster as dg
import pytest
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus

from forecast_platform.launching.event_log import (
    MAX_OPEN,
    OpenEventLogStorage,
    open_busy_instance,
)
from forecast_platform.launching.instance import add_regions, prepare_home
from forecast_platform.partitions import region_weeks
from forecast_platform.settings import Settings


@dg.asset(partitions_def=region_weeks)
def a_table() -> None: ...


@dg.asset(partitions_def=region_weeks, backfill_policy=dg.BackfillPolicy.multi_run(4))
def a_ranged_table() -> None: ...


@dg.asset_check(asset=a_ranged_table, partitions_def=region_weeks)
def is_right() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=True)


@pytest.fixture
def dagster_home(home: Path) -> Path:
    return prepare_home(Settings(home=home))


def test_what_a_busy_instance_records_the_usual_one_reads(dagster_home: Path) -> None:
    with open_busy_instance(dagster_home) as busy:
        assert isinstance(busy.event_log_storage, OpenEventLogStorage)
        add_regions(busy, ["west"])
        for week in ("2024-01-01", "2024-01-08", "2024-01-15", "2024-01-22"):
            dg.materialize([a_table], instance=busy, partition_key=f"west|{week}")

    with dg.DagsterInstance.from_config(str(dagster_home)) as usual:
        done = usual.get_materialized_partitions(dg.AssetKey("a_table"))
        assert len(done) == 4
        run = next(iter(usual.get_runs()))
        kinds = {
            record.event_log_entry.dagster_event_type
            for record in usual.get_records_for_run(run.run_id).records
        }
        assert {dg.DagsterEventType.RUN_START, dg.DagsterEventType.RUN_SUCCESS} <= kinds


def test_a_check_of_many_partitions_leaves_its_one_verdict(dagster_home: Path) -> None:
    tags = {
        "dagster/asset_partition_range_start": "west|2024-01-01",
        "dagster/asset_partition_range_end": "west|2024-01-22",
    }
    with open_busy_instance(dagster_home) as busy:
        add_regions(busy, ["west"])
        job = dg.Definitions(assets=[a_ranged_table], asset_checks=[is_right]).resolve_job_def(
            "__ASSET_JOB"
        )
        job.execute_in_process(instance=busy, tags=tags)

    with dg.DagsterInstance.from_config(str(dagster_home)) as usual:
        key = dg.AssetCheckKey(dg.AssetKey("a_ranged_table"), "is_right")
        found = usual.event_log_storage.get_asset_check_execution_history(key, limit=10)
        assert [one.status for one in found] == [AssetCheckExecutionRecordStatus.SUCCEEDED]


def test_both_may_write_in_turns(dagster_home: Path) -> None:
    with (
        open_busy_instance(dagster_home) as busy,
        dg.DagsterInstance.from_config(str(dagster_home)) as usual,
    ):
        add_regions(busy, ["west"])
        add_regions(usual, ["east"])

        assert busy.get_dynamic_partitions("region") == ["west", "east"]


def test_few_databases_are_kept_open(dagster_home: Path) -> None:
    with open_busy_instance(dagster_home) as busy:
        storage = busy.event_log_storage
        assert isinstance(storage, OpenEventLogStorage)
        for number in range(2 * MAX_OPEN):
            storage.get_logs_for_run(f"run{number}")

        assert len(storage._engines) == MAX_OPEN


def test_an_instance_with_another_storage_is_opened_as_it_is(dagster_home: Path) -> None:
    (dagster_home / "dagster.yaml").write_text(
        "event_log_storage:\n"
        "  module: dagster._core.storage.event_log\n"
        "  class: ConsolidatedSqliteEventLogStorage\n"
        f"  config: {{base_dir: {dagster_home}/events}}\n"
    )

    with open_busy_instance(dagster_home) as busy:
        assert not isinstance(busy.event_log_storage, OpenEventLogStorage)
