"""Starting and stopping experiments: what a person or a job orders, held to what there is.

What an experiment is, and where it is kept, is in `book`.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import pandas as pd

from forecast_platform.errors import ExperimentRefused, RegistryError
from forecast_platform.partitions import RegionWeek
from forecast_platform.resources.demand import read_demand
from forecast_platform.resources.experiments.analysis import judge
from forecast_platform.resources.experiments.book import (
    CHAMPION,
    FOLLOWED,
    Arm,
    Experiment,
    Metric,
    Version,
    experiments_of,
    history_of,
    parse_name,
    record,
)
from forecast_platform.resources.lake import Lake
from forecast_platform.resources.registry import Registry, model_name
from forecast_platform.resources.snapshot import Snapshot
from forecast_platform.schemas.experiments import Design, State
from forecast_platform.vocabulary import FORMAT, SEGMENT, STORE_ID, Y

VOLUME_WEEKS: Final = 26
"""Weeks whose demand says how much a store sells [weeks]."""

VERSION: Final = re.compile(r"([a-z]+_[a-z]+)=([0-9]+)")
FORECASTS: Final = "forecasts"
FEATURES: Final = "demand_features"


@dataclass(frozen=True, kw_only=True)
class Start:
    """What somebody wants to compare.

    Parameters
    ----------
    region, name : str
    a, b : str
        ``champion``, ``challenger``, or ``SEGMENT=VERSION,...``.
    segments : sequence of str
        All of the region's when empty.
    design : Design
    metric : {"mape", "wape"}
    alpha, min_difference : float
        See `SequentialTest`.
    first_week : pandas.Timestamp, optional
        The one after the newest forecast by default, so that nothing that was forecast changes.
    who, why, decided_at, run_id : str
        Kept in the table.
    """

    region: str
    name: str
    a: str = CHAMPION
    b: str
    segments: Sequence[str] = ()
    design: Design = Design.STORES
    metric: Metric = "mape"
    alpha: float = 0.05
    min_difference: float = 0.005
    first_week: pd.Timestamp | None = None
    who: str
    why: str
    decided_at: str
    run_id: str


def start(order: Start, lake: Lake, registry: Registry) -> Experiment:
    """Start an experiment: it serves from its first week on.

    Returns
    -------
    Experiment

    Raises
    ------
    ExperimentRefused
        If it cannot be carried out, or another one runs in one of its segments.
    RegistryUnavailable
        If named versions cannot be looked up.
    """
    parse_name(order.name)
    _signed(order.who, order.why)
    tables = Snapshot(lake)
    newest = newest_week(lake, order.region)
    rows = tables.read(FEATURES, region=order.region, weeks=[newest])
    segments = _segments(order, rows)
    a, b = (_arm(text, order.region, segments, registry) for text in (order.a, order.b))
    if a == b:
        raise ExperimentRefused(f"both arms are {a.label}: there is nothing to compare")
    known = experiments_of(tables, order.region)
    _refuse_conflicts(order, segments, known)
    experiment = Experiment(
        region=order.region,
        name=order.name,
        state=State.RUNNING,
        design=order.design,
        segments=segments,
        a=a,
        b=b,
        metric=order.metric,
        alpha=order.alpha,
        min_difference=order.min_difference,
        first_week=order.first_week or newest + pd.Timedelta(weeks=1),
        stores=_stores(order, newest, rows, tables),
        who=order.who,
        why=order.why,
        decided_at=order.decided_at,
        run_id=order.run_id,
    )
    _check_test(experiment)
    record(lake, [experiment], order.run_id)
    return _unless_late(experiment, lake)


def stop(
    region: str,
    name: str,
    lake: Lake,
    *,
    who: str,
    why: str,
    decided_at: str,
    run_id: str,
    promoted: str | None = None,
) -> Experiment:
    """Stop an experiment: weeks that it has served stay as they are, later ones are the champion's.

    Parameters
    ----------
    promoted : {"A", "B"}, optional
        Arm that was promoted; kept in the table. See `promoting`.

    Raises
    ------
    ExperimentRefused
        If no such experiment runs.
    """
    _signed(who, why)
    tables = Snapshot(lake)
    running = find_running(region, name, tables)
    newest = newest_week(lake, region)
    decision, _, _ = judge(RegionWeek(region, newest), running, tables)
    stopped = replace(
        running,
        state=State.STOPPED,
        last_week=max(newest, running.first_week - pd.Timedelta(weeks=1)),
        winner=decision.winner.value,
        promoted=promoted,
        who=who,
        why=why,
        decided_at=decided_at,
        run_id=run_id,
    )
    record(lake, [stopped], run_id)
    return stopped


def find_running(region: str, name: str, tables: Snapshot) -> Experiment:
    """Find an experiment that runs.

    Raises
    ------
    ExperimentRefused
        If it does not; the message names those that do.
    """
    known = experiments_of(tables, region)
    for one in known:
        if one.name == name and one.state is State.RUNNING:
            return one
    stopped = [one for one in known if one.name == name]
    running = ", ".join(one.name for one in known if one.state is State.RUNNING) or "none"
    what = "was stopped already" if stopped else "is no experiment"
    raise ExperimentRefused(f"{name!r} {what} of {region}; running: {running}")


def newest_week(lake: Lake, region: str) -> pd.Timestamp:
    """Find the last week that was forecast.

    Raises
    ------
    ExperimentRefused
        If there is none.
    """
    weeks = lake.weeks_of(FORECASTS, region) if lake.exists(FORECASTS) else []
    if not weeks:
        raise ExperimentRefused(
            f"{region} has no forecast yet: `forecast-platform run --region {region}` first"
        )
    return weeks[-1]


def _segments(order: Start, features: pd.DataFrame) -> tuple[str, ...]:
    known = sorted(features[SEGMENT].unique())
    unknown = sorted(set(order.segments) - set(known))
    if unknown:
        raise ExperimentRefused(
            f"{order.region} has no segment {', '.join(unknown)}; it has {', '.join(known)}"
        )
    return tuple(one for one in known if not order.segments or one in order.segments)


def _arm(text: str, region: str, segments: Sequence[str], registry: Registry) -> Arm:
    """Read what an arm is, and see that its models can be fetched."""
    if text in FOLLOWED:
        return Arm(follows=text)
    named: dict[str, int] = {}
    for part in text.split(","):
        found = VERSION.fullmatch(part.strip())
        if not found:
            raise ExperimentRefused(
                f"{text!r} is no arm: write champion, challenger, or SEGMENT=VERSION,... such as "
                "large_fast=7,large_slow=5"
            )
        named[found[1]] = int(found[2])
    if set(named) != set(segments):
        raise ExperimentRefused(
            f"an arm of versions needs one for each segment of the experiment, "
            f"{', '.join(segments)}; {text!r} has {', '.join(sorted(named))}"
        )
    return Arm(versions={one: _version(region, one, named[one], registry) for one in segments})


def _version(region: str, segment: str, version: int, registry: Registry) -> Version:
    form, _, velocity = segment.partition("_")
    name = model_name(region, form, velocity)
    try:
        found = registry.find(name, version)
        registry.fetch(found.artifact_uri, found.sha256)
    except RegistryError as error:
        raise ExperimentRefused(f"{segment}={version}: {error}") from error
    cutoff = f"{found.cutoff:%Y-%m-%d}"
    return Version(name, version, found.sha256, found.artifact_uri, cutoff)


def _refuse_conflicts(order: Start, segments: Sequence[str], known: Sequence[Experiment]) -> None:
    if any(one.name == order.name for one in known):
        raise ExperimentRefused(
            f"{order.region} had an experiment {order.name!r} already: a name is used once, since "
            "it decides which stores are A and B"
        )
    for one in known:
        shared = sorted(set(one.segments) & set(segments))
        if one.state is State.RUNNING and shared:
            raise ExperimentRefused(
                f"{one.name!r} runs in {', '.join(shared)} of {order.region}: stop it first "
                f"(`forecast-platform experiments stop {order.region} {one.name}`), or choose "
                "other segments"
            )


def _stores(
    order: Start, week: pd.Timestamp, features: pd.DataFrame, tables: Snapshot
) -> dict[str, str]:
    from forecast_platform.forecasting.experiments.assignment import VOLUME, assign_stores

    if order.design is not Design.STORES:
        return {}
    since = week - pd.Timedelta(weeks=VOLUME_WEEKS - 1)
    sold = read_demand(tables, order.region, week, since=since).groupby(STORE_ID)[Y].sum()
    stores = features[[STORE_ID, FORMAT]].drop_duplicates(STORE_ID)
    volumes = stores[STORE_ID].map(sold).fillna(0.0)
    if len(stores) < 2:
        raise ExperimentRefused(
            f"{order.region} has {len(stores)} store: stores cannot be compared, use "
            "--design interleaved"
        )
    return assign_stores(stores.assign(**{VOLUME: volumes}), order.name)


def _check_test(experiment: Experiment) -> None:
    from forecast_platform.forecasting.experiments.sequential import SequentialTest

    try:
        SequentialTest(alpha=experiment.alpha, min_difference=experiment.min_difference)
    except ValueError as error:
        raise ExperimentRefused(str(error)) from error


def _signed(who: str, why: str) -> None:
    if not who.strip() or not why.strip():
        raise ExperimentRefused("say who decides and why: both are kept in `experiments`")


def _unless_late(started: Experiment, lake: Lake) -> Experiment:
    """Give way to one of the same segments or name that was started at the same moment."""
    history = history_of(Snapshot(lake), started.region)
    over = {one.name for one in history if one.state is State.STOPPED}
    for one in history:
        collides = one.name == started.name or bool(set(one.segments) & set(started.segments))
        if collides and one.order < started.order and one.name not in over:
            record(lake, [replace(started, state=State.REFUSED)], started.run_id)
            raise ExperimentRefused(
                f"{one.name!r} was started at the same moment in the same segments, and is ahead"
            )
    return started
