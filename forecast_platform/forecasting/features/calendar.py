"""Features of the events and the season of a target week.

The calendar is the one known at the cutoff; which events lift demand is learnt in `response`.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from forecast_platform.forecasting.features.history import History
from forecast_platform.forecasting.features.panel import (
    Floats,
    Ints,
    Panel,
    WeekRows,
    floats_of,
    monday,
    week_numbers,
)
from forecast_platform.forecasting.features.texts import codes_of, levels_of
from forecast_platform.vocabulary import NO_EVENT, STORE_ID, WEEK, H

DAYS_OF_YEAR = 365.25


class Calendar:
    """Events per store and week, as known week by week; code -1 is no event."""

    def __init__(self, history: History, panel: Panel, cutoffs: Sequence[int]) -> None:
        frame = history.events
        weeks, h = week_numbers(frame[WEEK]), frame[H].to_numpy(np.int64)
        stores = codes_of(frame[STORE_ID], panel.stores)
        kept = ((h == 0) | np.isin(weeks, cutoffs)) & (stores >= 0)
        frame = frame[kept]
        names = levels_of(frame["event"])
        self.names = names[names != NO_EVENT]
        self._n_stores = len(panel.stores)
        self._store_of_series = panel.store
        self._rows = WeekRows(
            weeks[kept] - panel.first_week,
            {
                "h": h[kept],
                "store": stores[kept],
                "event": codes_of(frame["event"], self.names),
                "days": floats_of(frame["n_event_days"]),
                "holiday": frame["is_holiday"].to_numpy(dtype=np.float64, na_value=0.0),
            },
        )

    def known_at(self, t: int, h: int) -> tuple[Ints, Floats, Floats]:
        """Return event code, event days and holiday flag of each series, h weeks after ``t``."""
        rows = self._rows.at(t)
        now = rows["h"] == h
        store = rows["store"][now]
        event = np.full(self._n_stores, -1)
        days, holiday = np.zeros((2, self._n_stores))
        event[store] = rows["event"][now]
        days[store], holiday[store] = rows["days"][now], rows["holiday"][now]
        of = self._store_of_series
        return event[of], days[of], holiday[of]


def season_of(week: int) -> dict[str, float]:
    """Return two harmonics of the year at the Thursday of the week (its number).

    Examples
    --------
    >>> round(float(season_of(0)["year_cos_1"]), 2)
    0.99
    """
    angle = 2 * np.pi * (monday(week).dayofyear + 3) / DAYS_OF_YEAR
    return {
        "year_sin_1": np.sin(angle),
        "year_cos_1": np.cos(angle),
        "year_sin_2": np.sin(2 * angle),
        "year_cos_2": np.cos(2 * angle),
    }


def week_of_year(week: int) -> str:
    """Return the ISO week, ``01`` .. ``53``, of a week number.

    Examples
    --------
    >>> week_of_year(0)
    '02'
    """
    return f"{monday(week).isocalendar().week:02d}"


def lift_of(event: Ints, product: Ints, lifts: tuple[Floats, Floats]) -> dict[str, Floats]:
    """Return the expected effect of each series' event, 0 where there is none [log]."""
    of_product, of_region = lifts
    none = event < 0
    if not of_region.size:
        return {"event_lift_product": none * 0.0, "event_lift_region": none * 0.0}
    return {
        "event_lift_product": np.where(none, 0, of_product[product, event]),
        "event_lift_region": np.where(none, 0, of_region[event]),
    }


def names_with_none(names: pd.Index) -> pd.Index:
    """Append `NO_EVENT`, so that code -1 names it."""
    return names.append(pd.Index([NO_EVENT], dtype="str"))
