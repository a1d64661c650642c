"""Troubles that are seen in tables: forecasts that the champion did not make, weeks missed.

Each look returns all that is wrong now: what was told before and is not among it is over. Troubles
that Dagster records, failed runs and checks, are found in `forecast_platform.automation`.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import pandas as pd

from forecast_platform.partitions import RegionWeek
from forecast_platform.resources.alerts.config import AlertsConfig
from forecast_platform.resources.alerts.kinds import ADVICE
from forecast_platform.resources.alerts.messages import Alert, asset_link
from forecast_platform.resources.experiments.book import experiments_of
from forecast_platform.resources.failover import FAILOVER_STATE
from forecast_platform.resources.lake import Lake
from forecast_platform.resources.manifest import PROMOTION
from forecast_platform.resources.snapshot import Snapshot
from forecast_platform.schemas.alerts import Kind, Severity
from forecast_platform.schemas.lifecycle import ServingState
from forecast_platform.schemas.models import PENDING

FORECASTS: Final = "forecasts"
EXPERIMENT_RESULTS: Final = "experiment_results"
AS_IT_SHOULD: Final = (ServingState.CHAMPION, ServingState.NO_CHAMPION)
NOT_YET: Final = "not_yet"


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
    """Find segments with a champion that did not make their newest forecasts."""
    for row in _newest(view, FAILOVER_STATE):
        if row["state"] in AS_IT_SHOULD:
            continue
        key, who = RegionWeek.of(row["region"], row["week"]), str(row["state"]).replace("_", " ")
        is_last_resort = row["state"] == ServingState.HISTORICAL_AVERAGE
        yield Alert(
            kind=Kind.FAILOVER,
            severity=Severity.ERROR if is_last_resort else Severity.WARNING,
            fingerprint=f"failover|{key.region}|{row['segment']}",
            occurrence=key.key,
            title=f"{key.region} {row['segment']} is served by {who}, not its champion",
            happened=f"Forecasts of {key.key}, segment {row['segment']}, are by {who} since "
            f"{row['since']:%Y-%m-%d}: {row['reason']}.",
            link=asset_link(view.dagster_url, FORECASTS, partition=key.key),
            region=key.region,
            partition=key.key,
            done=ADVICE[Kind.FAILOVER].done,
            todo=ADVICE[Kind.FAILOVER].todo,
        )


def find_pending(view: View) -> Iterator[Alert]:
    """Find challengers that passed the rule and wait for a person."""
    for row in _newest(view, PROMOTION):
        if row["verdict"] != PENDING:
            continue
        key = RegionWeek.of(row["region"], row["week"])
        yield Alert(
            kind=Kind.PROMOTION_PENDING,
            severity=Severity.INFO,
            fingerprint=f"pending|{row['model_name']}",
            occurrence=f"version {row['challenger_version']}",
            title=f"{key.region} {row['segment']}: version {row['challenger_version']} waits for "
            "approval",
            happened=f"Version {row['challenger_version']} of {row['model_name']}: {row['reason']}",
            link=asset_link(view.dagster_url, PROMOTION, partition=key.key),
            region=key.region,
            partition=key.key,
            done=ADVICE[Kind.PROMOTION_PENDING].done,
            todo=f"{ADVICE[Kind.PROMOTION_PENDING].todo} `forecast-platform models show "
            f"{key.region}`",
        )


def find_decided_experiments(view: View) -> Iterator[Alert]:
    """Find experiments that run on although the test has named a winner."""
    for row in _newest(view, EXPERIMENT_RESULTS):
        key, tables = RegionWeek.of(row["region"], row["week"]), Snapshot(view.lake)
        running = [one.name for one in experiments_of(tables, key.region) if one.last_week is None]
        if row["verdict"] == NOT_YET or row["experiment"] not in running:
            continue
        yield Alert(
            kind=Kind.EXPERIMENT,
            severity=Severity.INFO,
            fingerprint=f"experiment|{key.region}|{row['experiment']}",
            occurrence=str(row["verdict"]),
            title=f"{key.region}: arm {row['verdict']} of experiment {row['experiment']} is better",
            happened=f"After {row['n_weeks']} weeks the {row['metric'].upper()} of A is "
            f"{row['loss_a']:.4f}, of B {row['loss_b']:.4f}.",
            link=asset_link(view.dagster_url, EXPERIMENT_RESULTS, partition=key.key),
            region=key.region,
            partition=key.key,
            done=ADVICE[Kind.EXPERIMENT].done,
            todo=ADVICE[Kind.EXPERIMENT].todo,
        )


def _newest(view: View, table: str) -> Iterator[dict[str, Any]]:
    """Read the rows of each region's newest week."""
    if not view.lake.exists(table):
        return
    for region in view.regions:
        if weeks := view.lake.weeks_of(table, region):
            rows = view.lake.read(table, region=region, weeks=weeks[-1:])
            yield from ({str(k): v for k, v in row.items()} for row in rows.to_dict("records"))


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
    Condition(Kind.FAILOVER, FAILOVER_STATE, find_failovers),
    Condition(Kind.PROMOTION_PENDING, PROMOTION, find_pending),
    Condition(Kind.EXPERIMENT, EXPERIMENT_RESULTS, find_decided_experiments, by_clock=True),
    Condition(Kind.MISSED_WEEK, FORECASTS, find_missed_weeks, by_clock=True),
)
