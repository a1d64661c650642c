from collections.abc import Iterator
from datetime import UTC, datetime

import dagster as dg
import pytest

from forecast_platform.automation.schedules import (
    build_weekly_forecast_schedule,
    last_complete_week,
)

MONDAY_AT_SIX = datetime(2024, 3, 11, 6, tzinfo=UTC)


@pytest.fixture(scope="module")
def disk_instance(tmp_path_factory) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp(str(tmp_path_factory.mktemp("dagster"))) as instance:
        yield instance


@pytest.fixture
def instance(disk_instance: dg.DagsterInstance) -> Iterator[dg.DagsterInstance]:
    yield disk_instance
    for region in disk_instance.get_dynamic_partitions("region"):
        disk_instance.delete_dynamic_partition("region", region)


def ticked(instance: dg.DagsterInstance, moment: datetime) -> list[dg.RunRequest | dg.SkipReason]:
    context = dg.build_schedule_context(instance=instance, scheduled_execution_time=moment)
    return list(build_weekly_forecast_schedule(running=True)(context))


def test_every_registered_region_is_asked_for_its_last_complete_week(instance):
    instance.add_dynamic_partitions("region", ["south", "north"])

    requests = ticked(instance, MONDAY_AT_SIX)

    assert [request.partition_key for request in requests] == [
        "north|2024-03-04",
        "south|2024-03-04",
    ]


def test_a_repeated_tick_repeats_its_run_keys_and_the_next_week_has_new_ones(instance):
    instance.add_dynamic_partitions("region", ["north"])

    once, again = ticked(instance, MONDAY_AT_SIX), ticked(instance, MONDAY_AT_SIX)
    next_week = ticked(instance, datetime(2024, 3, 18, 6, tzinfo=UTC))

    assert [r.run_key for r in once] == [r.run_key for r in again]
    assert once[0].run_key != next_week[0].run_key


def test_a_region_added_after_the_code_was_loaded_is_asked_for(instance):
    instance.add_dynamic_partitions("region", ["north"])
    before = ticked(instance, MONDAY_AT_SIX)
    instance.add_dynamic_partitions("region", ["west"])

    assert len(ticked(instance, MONDAY_AT_SIX)) == len(before) + 1


def test_without_regions_the_tick_says_how_to_register_one(instance):
    (skip,) = ticked(instance, MONDAY_AT_SIX)

    assert isinstance(skip, dg.SkipReason)
    assert "regions add" in str(skip.skip_message)


def test_a_tick_before_the_first_week_asks_for_nothing(instance):
    instance.add_dynamic_partitions("region", ["north"])

    (skip,) = ticked(instance, datetime(2016, 1, 4, 6, tzinfo=UTC))

    assert isinstance(skip, dg.SkipReason)


@pytest.mark.parametrize(
    ("moment", "week"),
    [
        pytest.param(datetime(2024, 3, 11, 0, 0, tzinfo=UTC), "2024-03-04", id="monday-midnight"),
        pytest.param(datetime(2024, 3, 10, 23, 59, tzinfo=UTC), "2024-02-26", id="sunday-night"),
        pytest.param(datetime(2021, 1, 4, 6, tzinfo=UTC), "2020-12-28", id="iso-week-53"),
        pytest.param(datetime(2024, 3, 14, 6, tzinfo=UTC), "2024-03-04", id="late-tick"),
    ],
)
def test_only_a_week_that_is_over_is_complete(moment, week):
    assert f"{last_complete_week(moment):%Y-%m-%d}" == week
