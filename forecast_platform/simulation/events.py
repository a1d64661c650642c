"""The events file: holidays a year ahead, local events some weeks ahead.

Only what is told to the platform and how strongly it sells; national dates are in `calendar`.
"""

from datetime import date, timedelta
from typing import NamedTuple

import numpy as np
import pandas as pd

from forecast_platform.simulation.calendar import (
    CATEGORIES,
    holiday_lift,
    holidays,
    window_share,
)
from forecast_platform.simulation.catalog import Stores
from forecast_platform.simulation.config import RetailerConfig
from forecast_platform.simulation.streams import monday_of, stream, week_number

ANNOUNCED_AHEAD = 8
"""A local event is told this long before it begins [weeks]."""


class LocalEvent(NamedTuple):
    """An event of one zip code or one store, inside one week."""

    event: str
    starts_on: date
    ends_on: date
    scope: str
    place: int
    log_lift: float


_KINDS = {
    "zip": (("county_fair", 3, 0.30), ("music_festival", 2, 0.25), ("home_game", 1, 0.15)),
    "store": (("store_anniversary", 7, 0.25), ("grand_tasting", 2, 0.15)),
}
_CHANCE = {"zip": 0.03, "store": 0.01}


def local_events(
    config: RetailerConfig, region: str, stores: Stores, week: int
) -> list[LocalEvent]:
    """Draw the local events that take place in a week."""
    sizes = {"zip": len(stores.zips), "store": len(stores.ids)}
    found = []
    for scope, kinds in _KINDS.items():
        rng = stream(config.seed, region, f"events by {scope}", week)
        happens, which = rng.random(sizes[scope]), rng.random(sizes[scope])
        for index in np.flatnonzero(happens < _CHANCE[scope]):
            event, days, lift = kinds[int(which[index] * len(kinds))]
            starts_on = monday_of(week) + timedelta(7 - days)
            ends_on = starts_on + timedelta(days - 1)
            found.append(LocalEvent(event, starts_on, ends_on, scope, int(index), lift))
    return found


def log_lift(config: RetailerConfig, region: str, stores: Stores, week: int) -> np.ndarray:
    """Log of the lift that events give in a week, store by category."""
    lift = np.zeros((len(stores.ids), len(CATEGORIES))) + _holiday_lift(week)
    for local in local_events(config, region, stores, week):
        if local.scope == "store":
            lift[local.place] += local.log_lift
        else:
            lift[stores.zip_index == local.place] += local.log_lift
    return lift


def _holiday_lift(week: int) -> np.ndarray:
    monday = monday_of(week)
    lift = np.zeros(len(CATEGORIES))
    for year in (monday.year, monday.year + 1):
        for holiday in holidays(year):
            share = window_share(holiday.starts_on, monday)
            if share:
                lift += [share * holiday_lift(holiday.event, name) for name in CATEGORIES]
    return lift


def events_file(
    config: RetailerConfig, region: str, stores: Stores, week: int
) -> pd.DataFrame | None:
    """Events that become known in a week; None when there are none."""
    rows = _new_holidays(config, region, week)
    start = config.first_week_number
    ahead = range(week, week + ANNOUNCED_AHEAD) if week == start else range(0)
    for told in (*ahead, week + ANNOUNCED_AHEAD):
        rows += [_row(local, stores) for local in local_events(config, region, stores, told)]
    return pd.DataFrame(rows, columns=list(_COLUMNS)) if rows else None


_COLUMNS = ("event", "starts_on", "ends_on", "scope", "scope_id", "is_holiday")


def _row(local: LocalEvent, stores: Stores) -> tuple:
    ids = stores.zips if local.scope == "zip" else stores.ids
    return (*local[:4], str(ids[local.place]), "false")


def _new_holidays(config: RetailerConfig, region: str, week: int) -> list[tuple]:
    """First the last, this and the next year; then every July the year after."""
    monday, first = monday_of(week), config.first_week.year
    if week == config.first_week_number:
        years = [first - 1, first, first + 1]
    elif week == week_number(date(monday.year, 7, 7)) and monday.year > first:
        years = [monday.year + 1]
    else:
        years = []
    return [
        (*holiday[:3], "region", region, str(holiday.is_holiday).lower())
        for year in years
        for holiday in holidays(year)
    ]
