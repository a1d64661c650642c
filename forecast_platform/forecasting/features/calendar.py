"""Features of the events and the season of a target week.

The calendar is the one known at the cutoff; which events lift demand is learnt in `response`.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import pandas as pd

from forecast_platform.forecasting.features import compiled_plans
from forecast_platform.forecasting.features.columns import stretch
from forecast_platform.forecasting.features.history import History
from forecast_platform.forecasting.features.panel import (
    Floats,
    Ints,
    Panel,
    floats_of,
    monday,
    week_numbers,
)
from forecast_platform.forecasting.features.response import Response
from forecast_platform.forecasting.features.texts import codes_of, levels_of, rows_of
from forecast_platform.vocabulary import NO_EVENT, STORE_ID, WEEK, H

DAYS_OF_YEAR = 365.25

DAYS = stretch("n_event_days", "n_event_days_next", "n_event_days_previous", "is_holiday")
LIFTS = stretch("event_lift_product", "event_lift_region")
SEASON = stretch("year_sin_1", "year_cos_1", "year_sin_2", "year_cos_2")


class Calendar:
    """Events per store and week, as known week by week; code -1 is no event.

    Attributes
    ----------
    names : pandas.Index
        Event names; a code is a position among them.
    now : array of shape (weeks, stores)
        Code of the event of each week, as known in it.
    """

    def __init__(
        self, history: History, panel: Panel, cutoffs: Sequence[int], horizon: int
    ) -> None:
        frame, first = history.events, panel.first_week
        weeks, h = week_numbers(frame[WEEK]), frame[H].to_numpy(np.int64)
        stores = codes_of(frame[STORE_ID], panel.stores)
        kept = ((h == 0) | np.isin(weeks, cutoffs)) & (stores >= 0)
        kept &= (weeks >= first) & (weeks < first + panel.n_weeks) & (h >= 0) & (h <= horizon + 1)
        weeks, h, stores = weeks[kept] - first, h[kept], stores[kept]
        texts = rows_of(frame["event"], kept)
        names = levels_of(texts)
        self.names = names[names != NO_EVENT]
        event, is_now = codes_of(texts, self.names), h == 0
        self.now = np.full((panel.n_weeks, len(panel.stores)), -1)
        self.now[weeks[is_now], stores[is_now]] = event[is_now]
        known = [week - first for week in sorted(cutoffs) if week >= first]
        self._place = {t: place for place, t in enumerate(known)}
        is_known = np.isin(weeks, known)
        cell = np.searchsorted(known, weeks[is_known]), h[is_known], stores[is_known]
        shape = (len(known), horizon + 2, len(panel.stores))
        self._events = np.full(shape, -1)
        self._days, self._holidays = np.zeros((2, *shape))
        self._events[cell] = event[is_known]
        self._days[cell] = floats_of(frame["n_event_days"])[kept][is_known]
        holidays = frame["is_holiday"].to_numpy(dtype=np.float64, na_value=0.0)
        self._holidays[cell] = holidays[kept][is_known]

    def ahead(self, t: int) -> tuple[Ints, Floats, Floats]:
        """Return event codes, event days and holiday flags as known at a cutoff.

        Shape (horizon + 2, stores): h weeks after ``t``, from 0 on.
        """
        place = self._place[t]
        return self._events[place], self._days[place], self._holidays[place]


def write_events(ahead: tuple[Ints, Floats, Floats], learnt: Response, out: Floats) -> None:
    """Write the events of the target weeks and of their neighbours, and what they are to lift.

    ``ahead`` as of `Calendar.ahead`; ``out`` is (horizon, features, series).
    """
    at = DAYS.start, LIFTS.start
    compiled_plans.write_events(*ahead, learnt.series, *learnt.event_lifts(), out, at)


@lru_cache(maxsize=4096)
def season_of(week: int) -> Floats:
    """Return two harmonics of the year at the Thursday of the week (its number).

    Sine and cosine of the year, then those of the half-year; shape (4, 1).

    Examples
    --------
    >>> round(float(season_of(0)[1, 0]), 2)
    0.99
    """
    angle = 2 * np.pi * (monday(week).dayofyear + 3) / DAYS_OF_YEAR
    return np.array([[np.sin(angle)], [np.cos(angle)], [np.sin(2 * angle)], [np.cos(2 * angle)]])


@lru_cache(maxsize=4096)
def week_of_year(week: int) -> str:
    """Return the ISO week, ``01`` .. ``53``, of a week number.

    Examples
    --------
    >>> week_of_year(0)
    '02'
    """
    return f"{monday(week).isocalendar().week:02d}"


def names_with_none(names: pd.Index) -> pd.Index:
    """Append `NO_EVENT`, so that code -1 names it."""
    return names.append(pd.Index([NO_EVENT], dtype="str"))
