"""What runs by the calendar.

A schedule asks its tick, once, which week is over, and passes that week on as the partition
key; nothing after it asks the clock. What runs because data arrived is in ``sensors.py``. See
https://docs.dagster.io/guides/automate/schedules.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, Final

import dagster as dg
import pandas as pd

from forecast_platform.automation.jobs import deep_forecast, weekly_forecast
from forecast_platform.partitions import RegionWeek, regions, weeks
from forecast_platform.resources.triggers import trigger_tag
from forecast_platform.schemas.models import Trigger

MONDAY_MORNING: Final = "0 6 * * 1"
"""Six hours after the week closed [UTC], when the deliveries of the night are there."""

SECOND_OF_MONTH: Final = "0 6 2 * *"
"""On the second of each month, when the week that closed on its first day is conditioned [UTC]."""

NO_REGION: Final = (
    "No region is registered: `forecast-platform regions add <region>` registers one."
)


def last_complete_week(moment: datetime) -> pd.Timestamp:
    """Return the Monday of the last week that had closed at ``moment``.

    Examples
    --------
    >>> last_complete_week(datetime(2024, 3, 11, 6)).date().isoformat()
    '2024-03-04'
    >>> last_complete_week(datetime(2024, 3, 10, 23)).date().isoformat()
    '2024-02-26'
    """
    this_monday = moment.date() - timedelta(days=moment.weekday())
    return pd.Timestamp(this_monday - timedelta(weeks=1))


def build_weekly_forecast_schedule(*, running: bool) -> dg.ScheduleDefinition:
    """Build the schedule that forecasts every region on Monday morning; see `_build`."""
    return _build(
        weekly_forecast,
        MONDAY_MORNING,
        "Forecast every registered region for the last complete week, on Monday 06:00.",
        running=running,
    )


def build_deep_forecast_schedule(*, running: bool) -> dg.ScheduleDefinition:
    """Build the schedule that forecasts every region up to a year ahead; see `_build`."""
    return _build(
        deep_forecast,
        SECOND_OF_MONTH,
        "Forecast every registered region up to a year ahead, on the 2nd at 06:00.",
        running=running,
    )


def _build(job: Any, cron: str, description: str, *, running: bool) -> dg.ScheduleDefinition:
    """Build a schedule that takes every region's last complete week through a job.

    Parameters
    ----------
    job : unresolved asset job
        Gives the schedule its name too.
    cron : str
        When, in UTC.
    description : str
    running : bool
        Whether a fresh installation starts with the schedule switched on.
    """
    status = dg.DefaultScheduleStatus.RUNNING if running else dg.DefaultScheduleStatus.STOPPED

    @dg.schedule(
        name=f"{job.name}_schedule",
        job=job,
        cron_schedule=cron,
        execution_timezone="UTC",
        description=description,
        default_status=status,
    )
    def schedule(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
        yield from _ask_for_all_regions(context)

    return schedule


def _ask_for_all_regions(
    context: dg.ScheduleEvaluationContext,
) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """Ask for the last complete week of every registered region."""
    tick = context.scheduled_execution_time
    week = last_complete_week(tick)
    registered = sorted(context.instance.get_dynamic_partitions(str(regions.name)))
    if week < pd.Timestamp(weeks.start.date()):
        yield dg.SkipReason(f"{week:%Y-%m-%d} is before the first week, {weeks.start:%Y-%m-%d}.")
        return
    if not registered:
        yield dg.SkipReason(NO_REGION)
    for region in registered:
        key = RegionWeek(region, week).key
        yield dg.RunRequest(
            run_key=f"{key}|{tick:%Y-%m-%dT%H:%M}",
            partition_key=key,
            tags=trigger_tag([Trigger.TIMER]),
        )
