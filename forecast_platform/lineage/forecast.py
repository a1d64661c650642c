"""One forecast as it is in the lake: found by its id, with the model that its week was served by.

What is further behind it is in `trace`.
"""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import pandas as pd

from forecast_platform.errors import TableMissing, UnknownForecast
from forecast_platform.lineage.commits import Commit, Commits
from forecast_platform.partitions import RegionWeek, parse_region, parse_week
from forecast_platform.resources.as_of import version_at
from forecast_platform.resources.experiments.arms import arm_of
from forecast_platform.resources.lake import Lake
from forecast_platform.resources.manifest import Manifest, manifest_at, no_promotions
from forecast_platform.resources.snapshot import Snapshot
from forecast_platform.schemas.forecasts import EXPERIMENT, SERVERS
from forecast_platform.vocabulary import SEGMENT

FORECASTS: Final = "forecasts"
MAX_SHOWN: Final = 3
FORM: Final = "<region>|<Monday>|<store>/<product>|<weeks ahead>"


@dataclass(frozen=True, slots=True)
class ForecastId:
    """What a forecast's id names."""

    key: RegionWeek
    unique_id: str
    h: int

    def __str__(self) -> str:
        return f"{self.key.key}|{self.unique_id}|{self.h}"


@dataclass(frozen=True)
class Found:
    """One forecast, and what its run read.

    Attributes
    ----------
    rows : pandas.DataFrame
        All forecasts of the region and week, as the commit wrote them.
    row : Mapping[str, Any]
        The forecast itself.
    commit : Commit
        Which wrote it.
    manifest : Manifest
        Promotions as of that week.
    arm : Mapping[str, Any] or None
        Its model, as a row of the manifest, if an arm of an experiment served it.
    """

    id: ForecastId
    rows: pd.DataFrame
    row: Mapping[str, Any]
    commit: Commit
    manifest: Manifest
    arm: Mapping[str, Any] | None = None

    @property
    def served(self) -> Mapping[str, Any] | None:
        """Row of the manifest of the model that made it; None if it was made on the spot."""
        if pd.isna(self.row["model_version"]):
            return None
        if self.row["served_by"] == EXPERIMENT:
            return self.arm
        return self.manifest.find(self.model_name, int(self.row["model_version"]))

    @property
    def served_by(self) -> dict[str, str]:
        """Who served the segment of the forecast: the best of those that made its rows."""
        own = self.rows.loc[self.rows[SEGMENT] == self.row[SEGMENT], "served_by"]
        return {str(self.row[SEGMENT]): min(own.unique(), key=SERVERS.index)}

    @property
    def model_name(self) -> str:
        """Registered name of the model that made it."""
        return str(self.row["model_name"])


def parse_forecast_id(text: str) -> ForecastId:
    """Read a forecast's id.

    Raises
    ------
    UnknownForecast
        If it is none.

    Examples
    --------
    >>> parse_forecast_id("north|2024-03-04|S1/P1|2").h
    2
    """
    parts = text.strip().split("|")
    if len(parts) != 4 or "/" not in parts[2] or not parts[3].isdigit():
        raise UnknownForecast(
            f"{text!r} is no forecast id: they look like {FORM}, such as "
            "north_texas|2024-12-30|NT00-0001/P0001|1; quote it, since | means something to a shell"
        )
    try:
        key = RegionWeek(parse_region(parts[0]), parse_week(parts[1]).as_unit("us"))
    except ValueError as error:
        raise UnknownForecast(f"{text!r} is no forecast id: {error}") from None
    return ForecastId(key, parts[2], int(parts[3]))


def find_forecast(lake: Lake, commits: Commits, text: str, as_of: datetime | None = None) -> Found:
    """Find a forecast by its id.

    Parameters
    ----------
    lake : Lake
    commits : Commits
    text : str
        The id.
    as_of : datetime, optional
        As it stood at that time, when its week was forecast more than once.

    Raises
    ------
    UnknownForecast
        If there is none; the message names the nearest.
    TableMissing
        If nothing was forecast yet, or the versions that it was made from are gone.
    """
    named = parse_forecast_id(text)
    version = version_at(lake, FORECASTS, as_of) if as_of else lake.version(FORECASTS)
    if version is None:
        raise TableMissing("nothing is forecast yet: forecast-platform run")
    rows = lake.read(FORECASTS, region=named.key.region, weeks=[named.key.week], version=version)
    own = rows[rows["forecast_id"] == str(named)]
    if own.empty:
        raise UnknownForecast(_nearest(lake, named, rows))
    commit = commits.writer(FORECASTS, named.key, until=version)
    manifest, tables = Manifest(no_promotions()), Snapshot(lake, dict(commit.read))
    if "promotion" in commit.read:
        manifest = manifest_at(named.key, tables)
    row = {str(name): value for name, value in own.iloc[0].items()}
    arm = arm_of(row, named.key, tables) if row["served_by"] == EXPERIMENT else None
    return Found(named, rows, row, commit, manifest, arm)


def _nearest(lake: Lake, named: ForecastId, rows: pd.DataFrame) -> str:
    """Say which part of an id is unknown, and what there is."""
    region, week = named.key
    weeks = lake.weeks_of(FORECASTS, region)
    if not weeks:
        return f"no forecast of {region!r}: `forecast-platform status` lists the regions"
    if rows.empty:
        near = sorted(weeks, key=lambda one: abs(one - week))[:MAX_SHOWN]
        return f"{region} was not forecast at {week:%Y-%m-%d}; near it: " + ", ".join(
            f"{one:%Y-%m-%d}" for one in sorted(near)
        )
    known = sorted(rows["unique_id"].unique())
    if named.unique_id not in known:
        near = difflib.get_close_matches(named.unique_id, known, MAX_SHOWN, 0.0)
        return f"{named.key.key} has no series {named.unique_id!r}; the nearest: {', '.join(near)}"
    ahead = sorted(rows.loc[rows["unique_id"] == named.unique_id, "h"])
    return (
        f"{named.key.key} forecasts {named.unique_id} for {ahead[0]} to {ahead[-1]} weeks ahead, "
        f"not {named.h}"
    )
