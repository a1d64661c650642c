"""Troubles that are seen in tables: forecasts that the champion did not make, weeks missed.

Each look returns all that is wrong now: what was told before and is not among it is over. Troubles
that Dagster records, failed runs and checks, are found in `forecast_platform.automation`.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import pandas as pd

from forecast_platform.partitions import RegionWeek
from forecast_platform.resources.alerts.config import AlertsConfig
from forecast_platform.resources.alerts.kinds import ADVICE
from forecast_platform.resources.alerts.messages import Alert, asset_link
from forecast_platform.resources.lake import Lake
from forecast_platform.schemas.alerts import Kind, Severity
from forecast_platform.schemas.forecasts import AS_WANTED

FORECASTS: Final = "forecasts"


@dataclass(frozen=True)
class View:
    """What a look at the tables knows.

    Attributes
    ----------
    lake : Lake
    regions : sequence of str
        Registered regions.
    config : AlertsConfig
    dagster_url : str
    now : datetime.datetime
    week : pandas.Timestamp
        The last week that is over.
    due_at : datetime.datetime
        When the schedule starts the runs of that week.
    """

    lake: Lake
    regions: Sequence[str]
    config: AlertsConfig
    dagster_url: str
    now: datetime
    week: pd.Timestamp
    due_at: datetime


@dataclass(frozen=True)
class Condition:
    """One thing to look for.

    Attributes
    ----------
    kind : Kind
        No other look finds troubles of it.
    table : str
        It need not be looked at again until this table has a new version.
    by_clock : bool
        Whether time alone brings troubles, so that every look counts.
    find : callable
    """

    kind: Kind
    table: str
    find: Callable[[View], Iterator[Alert]]
    by_clock: bool = False


def find_failovers(view: View) -> Iterator[Alert]:
    """Find segments of which the newest forecasts were not made by the champion."""
    for region in view.regions:
        weeks = view.lake.weeks_of(FORECASTS, region)
        if not weeks:
            continue
        rows = view.lake.read(
            FORECASTS,
            region=region,
            weeks=weeks[-1:],
            columns=["segment", "served_by", "failover_reason"],
        )
        failed = rows[~rows["served_by"].isin(AS_WANTED)].drop_duplicates(["segment", "served_by"])
        for row in failed.to_dict("records"):
            yield _failover(view, RegionWeek(region, weeks[-1]), row)


def _failover(view: View, key: RegionWeek, row: dict) -> Alert:
    return Alert(
        kind=Kind.FAILOVER,
        severity=Severity.WARNING,
        fingerprint=f"failover|{key.region}|{row['segment']}",
        occurrence=key.key,
        title=f"{key.region} {row['segment']} is served by {row['served_by']}, not the champion",
        happened=f"Forecasts of {key.key}, segment {row['segment']}, are by "
        f"{row['served_by']}: {row['failover_reason']}.",
        link=asset_link(view.dagster_url, FORECASTS, partition=key.key),
        region=key.region,
        partition=key.key,
        done=ADVICE[Kind.FAILOVER].done,
        todo=ADVICE[Kind.FAILOVER].todo,
    )


def find_missed_weeks(view: View) -> Iterator[Alert]:
    """Find regions that have no forecast for the last week, hours after the schedule."""
    limit = view.config.missed_after_hours
    if limit is None or view.now < view.due_at + timedelta(hours=limit):
        return
    for region in view.regions:
        known = view.lake.weeks_of(FORECASTS, region) if view.lake.exists(FORECASTS) else []
        key = RegionWeek(region, view.week)
        if view.week in known:
            continue
        last = f"the last one is of {known[-1]:%Y-%m-%d}" if known else "it never had one"
        yield Alert(
            kind=Kind.MISSED_WEEK,
            severity=Severity.ERROR,
            fingerprint=f"missed_week|{region}",
            occurrence=key.key,
            title=f"{region} has no forecast of the week {key.week:%Y-%m-%d}",
            happened=f"{limit:g} hours after the schedule there is no forecast of {key.key}; "
            f"{last}.",
            link=asset_link(view.dagster_url, FORECASTS, partition=key.key),
            region=region,
            partition=key.key,
            done=ADVICE[Kind.MISSED_WEEK].done,
            todo=f"{ADVICE[Kind.MISSED_WEEK].todo} `forecast-platform run --region {region} "
            f"--week {key.week:%Y-%m-%d}`",
        )


CONDITIONS: Final = (
    Condition(Kind.FAILOVER, FORECASTS, find_failovers),
    Condition(Kind.MISSED_WEEK, FORECASTS, find_missed_weeks, by_clock=True),
)
