"""Features of the weather forecast for a target week, as issued by the cutoff.

Observed weather serves only as what is usual; the weather of the target week itself is never read.
"""

from collections.abc import Sequence

import numpy as np

from forecast_platform.forecasting.features import compiled_columns, compiled_weather
from forecast_platform.forecasting.features.columns import stretch
from forecast_platform.forecasting.features.history import History
from forecast_platform.forecasting.features.panel import (
    Floats,
    Ints,
    WeekRows,
    floats_of,
    week_numbers,
)
from forecast_platform.forecasting.features.texts import levels_and_codes, rows_of
from forecast_platform.vocabulary import WEEK, H

YEAR = 52
AROUND = 2
"""Weeks before and after the same week of earlier years that make a normal [weeks]."""

TRAILING = 4
"""Recent weeks whose weather a forecast is compared with [weeks]."""

_MEASURED = ("temperature_c", "precipitation_mm", "snow_cm")

COLUMNS = stretch(
    *("temperature", "temperature_anomaly", "temperature_change"),
    *("precipitation", "precipitation_anomaly", "snow", "weather_missing"),
)


class Weather:
    """Weekly weather of a region's zip codes; precipitation and snow as ``log1p``.

    Parameters
    ----------
    history : History
    first_week : int
        Number of the week with index 0.
    n_weeks : int
    cutoffs : sequence of int
        Week numbers whose forecasts are kept.
    """

    def __init__(
        self, history: History, first_week: int, n_weeks: int, cutoffs: Sequence[int]
    ) -> None:
        frame = history.weather
        weeks, h = week_numbers(frame[WEEK]), frame[H].to_numpy(np.int64)
        kept = (h == 0) | np.isin(weeks, cutoffs)
        kept &= (weeks >= first_week) & (weeks < first_week + n_weeks)
        weeks, h, texts = weeks[kept] - first_week, h[kept], rows_of(frame["zip"], kept)
        self.zips, zips = levels_and_codes(texts, [0])
        temperature, precipitation, snow = (floats_of(frame[name])[kept] for name in _MEASURED)
        wet = (np.log1p(np.maximum(amount, 0)) for amount in (precipitation, snow))
        values, is_now = np.stack([temperature, *wet], axis=1), h == 0
        self._observed = np.full((n_weeks, 3, len(self.zips)), np.nan)
        self._observed[weeks[is_now], :, zips[is_now]] = values[is_now]
        self._rows = WeekRows(weeks, {"h": h, "zip": zips, "values": values})

    def at(self, t: int, horizon: int) -> Floats:
        """Return the columns of h = 1 .. horizon, shape (horizon, 7, zips + 1).

        The last place is for stores of an unknown zip: the mean of all zips.
        """
        rows = self._rows.at(t)
        out = np.empty((horizon, COLUMNS.stop - COLUMNS.start, len(self.zips) + 1))
        issued = rows["h"], rows["zip"], rows["values"]
        spans = np.array([TRAILING, YEAR, AROUND])
        compiled_weather.weather_ahead(t, self._observed, issued, spans, out)
        return out


def write_weather(ahead: Floats, zips: Ints, out: Floats) -> None:
    """Give each series the weather of its zip (-1 is unknown), for all weeks ahead."""
    compiled_columns.spread_ahead(ahead, zips, out, COLUMNS.start)
