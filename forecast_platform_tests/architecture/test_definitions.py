"""What every asset must say about itself, and a snapshot of all that exists.

After a wanted change: python forecast_platform_tests/architecture/test_definitions.py
"""

import re
from pathlib import Path

import dagster as dg
import pytest

from forecast_platform.definitions import defs
from forecast_platform.partitions import backfill_policy, region_weeks

SNAPSHOT = Path(__file__).with_name("definitions.txt")
GROUPS = (
    "raw",
    "conditioned",
    "features",
    "quality",
    "training",
    "validation",
    "promotion",
    "forecasting",
    "monitoring",
    "deep_horizon",
)
FOR_PEOPLE = ("quality", "monitoring", "deep_horizon")
"""No forecast is made from these tables: they tell what was delivered and what became of it."""
EXPLANATIONS = ("forecast_contributions", "model_explanations")
"""For people too, in the groups of what they explain."""

DATA_ENGINEERING = ("raw", "conditioned", "quality")

graph = defs.resolve_asset_graph()
checks = {key: graph.get_check_spec(key) for key in graph.asset_check_keys}
stored = [
    node for node in sorted(graph.asset_nodes, key=lambda node: node.key) if node.is_executable
]
every_asset = pytest.mark.parametrize(
    "asset", stored, ids=[node.key.to_user_string() for node in stored]
)


def snapshot() -> str:
    """Describe every definition in one line."""
    repository = defs.get_repository_def()
    lines = [_asset_line(node) for node in graph.asset_nodes]
    lines += [
        f"check    {key.asset_key.to_user_string()}.{key.name}{' [blocking]' * spec.blocking}"
        for key, spec in checks.items()
    ]
    jobs = [job for job in repository.get_all_jobs() if not job.name.startswith("__")]
    lines += [f"job      {job.name}" for job in jobs]
    lines += [
        f"schedule {schedule.name} {schedule.cron_schedule} {schedule.execution_timezone}"
        for schedule in repository.schedule_defs
    ]
    lines += [f"sensor   {sensor.name}" for sensor in repository.sensor_defs]
    lines += [f"resource {name}" for name in defs.resources or {}]
    return "\n".join(sorted(lines)) + "\n"


def _asset_line(node: dg.AssetsDefinition) -> str:
    parents = ", ".join(sorted(key.to_user_string() for key in node.parent_keys))
    kind = "asset   " if node.is_executable else "view    "
    made_of = f" <- {parents}" if parents else ""
    return f"{kind} {node.group_name}/{node.key.to_user_string()}{made_of}"


def test_definitions_are_those_of_the_snapshot():
    assert snapshot() == SNAPSHOT.read_text(), (
        f"If the change is wanted: python {Path(__file__).name}, and commit the difference"
    )


@every_asset
def test_asset_says_its_grain(asset):
    first_line, *_ = (asset.description or "").splitlines()

    assert first_line.strip()
    assert "Grain:" in asset.description


@every_asset
def test_asset_has_one_of_the_stages_as_group(asset):
    assert asset.group_name in GROUPS


@every_asset
def test_asset_has_the_team_of_its_stage_as_owner(asset):
    team = "data-engineering" if asset.group_name in DATA_ENGINEERING else "forecasting"

    assert asset.owners == [f"team:{team}"]


@every_asset
def test_asset_says_what_it_is_made_with(asset):
    assert asset.kinds


@every_asset
def test_asset_has_a_column_schema_with_a_description_for_each_column(asset):
    columns = asset.metadata["dagster/column_schema"].columns

    assert [column.name for column in columns if not column.description] == []
    bare = [c.name for c in columns if "<" in re.sub(r"`[^`]*`", "", c.description)]
    assert bare == []  # outside of backticks the UI drops a placeholder, as a tag of HTML
    assert {"region", "week"} <= {column.name for column in columns}


@every_asset
def test_asset_is_versioned_by_its_code(asset):
    assert asset.code_version


@every_asset
def test_asset_is_held_to_something_by_a_blocking_check(asset):
    blocking = [
        key.name for key, spec in checks.items() if key.asset_key == asset.key and spec.blocking
    ]

    assert blocking


@every_asset
def test_asset_is_partitioned_by_region_and_week(asset):
    assert asset.partitions_def == region_weeks


@every_asset
def test_asset_is_backfilled_in_ranges(asset):
    assert asset.backfill_policy == backfill_policy


@every_asset
def test_asset_depends_on_the_same_week_only(asset):
    """A window mapping would make the UI target hundreds of runs; history is read by the body."""
    mappings = asset.partition_mappings.values()

    assert [
        mapping for mapping in mappings if not isinstance(mapping, dg.IdentityPartitionMapping)
    ] == []


def test_every_table_reaches_the_forecasts():
    """What no forecast is made from does not belong in the graph, or an arrow is missing."""
    upstream = dg.AssetSelection.assets("forecasts").upstream().resolve(graph)

    made_for_forecasts = {
        node.key
        for node in stored
        if node.group_name not in FOR_PEOPLE and node.key.to_user_string() not in EXPLANATIONS
    }
    assert made_for_forecasts <= upstream


def test_the_weekly_job_has_every_stored_asset():
    job = defs.resolve_job_def("weekly_forecast")

    weekly = {node.key for node in stored if node.group_name != "deep_horizon"}
    assert job.asset_layer.selected_asset_keys == weekly


def test_deep_horizons_have_a_job_of_their_own():
    job = defs.resolve_job_def("deep_forecast")

    deep = {node.key for node in stored if node.group_name == "deep_horizon"}
    assert job.asset_layer.selected_asset_keys == deep


def test_every_run_is_in_process_and_limited_in_time():
    for name in ("weekly_forecast", "retrain_ensemble", "condition_data", "deep_forecast"):
        job = defs.resolve_job_def(name)
        assert job.executor_def.name == "in_process"
        assert int(job.tags["dagster/max_runtime"]) > 0


if __name__ == "__main__":
    SNAPSHOT.write_text(snapshot())
