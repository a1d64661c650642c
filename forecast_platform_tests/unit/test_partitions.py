"""Partition keys: what names a region, a week and a region-week."""

import dagster as dg
import pandas as pd
import pytest

from forecast_platform import partitions
from forecast_platform.partitions import RegionWeek, by_region, parse_key, parse_region, parse_week


def test_key_survives_the_round_trip() -> None:
    key = "north_texas|2024-03-04"

    assert parse_key(key) == RegionWeek("north_texas", pd.Timestamp("2024-03-04"))
    assert parse_key(key).key == key


@pytest.mark.parametrize(
    "name",
    ["", "North", "../etc", "a b", "x" * 33, "a|b", "o'neill", "-a", "a\n", "a;drop table"],
)
def test_a_name_that_could_leave_its_folder_or_its_sql_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="not a region name"):
        parse_region(name)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("2024-03-05", r"Tuesday.*2024-03-04"),
        ("04.03.2024", "YYYY-MM-DD"),
        ("2024-02-30", "YYYY-MM-DD"),
        ("", "YYYY-MM-DD"),
    ],
)
def test_a_week_that_is_not_a_monday_is_refused_with_the_right_one(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_week(text)


def test_weeks_open_on_monday() -> None:
    keys = partitions.weeks.get_partition_keys()

    assert keys[0] == "2017-01-02"
    assert {parse_week(key).dayofweek for key in keys} == {0}


def test_region_weeks_are_grouped_by_region_in_order() -> None:
    first, second = pd.Timestamp("2024-03-04"), pd.Timestamp("2024-03-11")
    keys = [RegionWeek("b", first), RegionWeek("a", second), RegionWeek("a", first)]

    assert by_region(keys) == {"a": [first, second], "b": [first]}


def test_a_range_that_ends_before_it_begins_fails_instead_of_doing_nothing() -> None:
    @dg.asset(partitions_def=partitions.region_weeks, backfill_policy=partitions.backfill_policy)
    def probe(context: dg.AssetExecutionContext) -> None:
        partitions.region_weeks_of(context)

    job = dg.Definitions(
        assets=[probe], jobs=[dg.define_asset_job("probe_job", selection="*")]
    ).resolve_job_def("probe_job")
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("region", ["a", "b"])
        result = job.execute_in_process(
            instance=instance,
            raise_on_error=False,
            tags={
                "dagster/asset_partition_range_start": "a|2024-03-11",
                "dagster/asset_partition_range_end": "b|2024-03-04",
            },
        )

    assert not result.success
    assert "no region-week" in str(result.get_step_failure_events()[0].step_failure_data.error)
