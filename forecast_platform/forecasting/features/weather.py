"""Features of the weather forecast for a target week, as issued by the cutoff.

Observed weather serves only as what is usual; the weather of the target week itself is never read.
"""

from collections.abc import Sequence

import numpy as np

from forecast_platform.forecasting.features.history import History
from forecast_platform.forecasting.features.panel import (
    Floats,
    Ints,
    WeekRows,
    floats_of,
    week_numbers,
)
from forecast_platform.forecasting.features.texts import codes_of, levels_of
from forecast_platform.forecasting.features.windows import mean_or, zero_if_missing
from forecast_platform.vocabulary import WEEK, H

YEAR = 52
AROUND = 2
"""Weeks before and after the same week of earlier years that make a normal [weeks]."""

TRAILING = 4
TEMPERATURE, PRECIPITATION, SNOW = range(3)


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
        frame, weeks, h = frame[kept], weeks[kept] - first_week, h[kept]
        self.zips = levels_of(frame["zip"])
        zips = codes_of(frame["zip"], self.zips)
        values = np.stack(
            [
                floats_of(frame["temperature_c"]),
                np.log1p(np.maximum(floats_of(frame["precipitation_mm"]), 0)),
                np.log1p(np.maximum(floats_of(frame["snow_cm"]), 0)),
            ]
        )
        self._observed = np.full((n_weeks, 3, len(self.zips)), np.nan)
        self._observed[weeks[h == 0], :, zips[h == 0]] = values.T[h == 0]
        self._rows = WeekRows(weeks, {"h": h, "zip": zips, "values": values.T})

    def at(self, t: int, horizon: int, zips: Ints) -> list[dict[str, Floats]]:
        """Return the columns of h = 1 .. horizon for series in the given zips (-1 is unknown)."""
        rows, shape = self._rows.at(t), (3, len(self.zips))
        recent = self._mean(slice(max(0, t - TRAILING + 1), t + 1), np.full(shape, np.nan))
        forecast = np.full((horizon, *shape), np.nan)
        ahead = (rows["h"] >= 1) & (rows["h"] <= horizon)
        forecast[rows["h"][ahead] - 1, :, rows["zip"][ahead]] = rows["values"][ahead]
        normal = np.stack([self._normal(t, h, recent) for h in range(1, horizon + 1)])
        by_zip = _columns(forecast, normal, recent)
        columns = {name: _spread(values, zips, name) for name, values in by_zip.items()}
        return [{name: of[h] for name, of in columns.items()} for h in range(horizon)]

    def _normal(self, t: int, h: int, recent: Floats) -> Floats:
        """Return the mean of the same time of earlier years, else of the last weeks."""
        years = range(t + h - YEAR, -AROUND - 1, -YEAR)
        weeks = [w for year in years for w in range(year - AROUND, year + AROUND + 1)]
        weeks = [w for w in weeks if 0 <= w <= t]
        return self._mean(weeks, recent) if weeks else recent

    def _mean(self, weeks: slice | list[int], fallback: Floats) -> Floats:
        """Return the mean of what was observed in some weeks, shape (3, zips)."""
        observed = self._observed[weeks]
        flat = observed.reshape(len(observed), fallback.size)
        return mean_or(flat, fallback.ravel()).reshape(fallback.shape)


def _columns(forecast: Floats, normal: Floats, recent: Floats) -> dict[str, Floats]:
    """Fill what is not forecast with what is normal, and what has no normal with the region's.

    Arrays have shape (horizon, 3, zips), but for ``recent``: (3, zips).
    """
    missing = np.isnan(forecast[:, TEMPERATURE])
    value = np.where(np.isnan(forecast), normal, forecast)
    rows = value.reshape(value.shape[0] * value.shape[1], value.shape[2])
    region = mean_or(np.ascontiguousarray(rows.T), 0.0).reshape(*value.shape[:2], 1)
    value = np.where(np.isnan(value), region, value)
    anomaly = zero_if_missing(value - normal)
    return {
        "temperature": value[:, TEMPERATURE],
        "temperature_anomaly": anomaly[:, TEMPERATURE],
        "temperature_change": zero_if_missing(value[:, TEMPERATURE] - recent[TEMPERATURE]),
        "precipitation": value[:, PRECIPITATION],
        "precipitation_anomaly": anomaly[:, PRECIPITATION],
        "snow": value[:, SNOW],
        "weather_missing": missing.astype(np.float64),
    }


def _spread(values: Floats, zips: Ints, name: str) -> Floats:
    """Give each series the value of its zip; the mean of all zips where its own is unknown."""
    elsewhere = np.ones((len(values), 1))
    if name != "weather_missing":
        elsewhere = values.mean(axis=1, keepdims=True) if values.size else 0 * elsewhere
    return np.concatenate([values, elsewhere], axis=1)[:, zips]
