"""Compiled loops over the weather of zip codes; see `weather.Weather` for what it means."""

import numpy as np

from forecast_platform.forecasting.features.compiled import compiled

PARTS = 3
"""Temperature, precipitation and snow."""


@compiled
def weather_ahead(t, observed, issued, spans, out):  # pragma: no cover
    """Write what is forecast for each zip, beside what is normal.

    ``observed`` is (weeks, 3, zips); ``issued`` are weeks ahead, zips and values (rows, 3) of what
    was forecast at ``t``. ``spans`` are the recent weeks, the weeks of a year, and those around the
    same week of earlier years. ``out`` (h, 7, zips + 1): value, anomaly and change of temperature,
    value and anomaly of precipitation, snow, and whether none was forecast.
    """
    horizon, n = out.shape[0], observed.shape[2]
    value, recent = np.full((horizon, PARTS, n), np.nan), np.empty((PARTS, n))
    normal = np.empty((horizon, PARTS, n))
    out[:] = 0
    out[:, 6] = 1
    _place(issued, value, out)
    for part in range(PARTS):
        for z in range(n):
            total, known = _add(observed[:, part, z], t - spans[0] + 1, t, 0.0, 0)
            recent[part, z] = total / known if known else np.nan
            for h in range(horizon):
                usual = _usual(observed[:, part, z], t, t + h + 1, spans)
                normal[h, part, z] = recent[part, z] if np.isnan(usual) else usual
    _fill(value, normal)
    for h in range(horizon):
        for z in range(n):
            _compare(value[h, :, z], normal[h, :, z], recent[0, z], out[h, :, z])
            for row in range(6):
                out[h, row, n] += out[h, row, z] / n


@compiled
def _place(issued, value, out):  # pragma: no cover
    """Put what was forecast to its week ahead and zip."""
    hs, zips, values = issued
    for row in range(len(hs)):
        if 1 <= hs[row] <= len(value):
            for part in range(PARTS):
                value[hs[row] - 1, part, zips[row]] = values[row, part]
            out[hs[row] - 1, 6, zips[row]] = np.isnan(values[row, 0])


@compiled
def _add(observed, first, last, total, known):  # pragma: no cover
    """Add what is known of some weeks to a total and a count."""
    for week in range(max(0, first), last + 1):
        if not np.isnan(observed[week]):
            total += observed[week]
            known += 1
    return total, known


@compiled
def _usual(observed, t, week, spans):  # pragma: no cover
    """Return the mean around the same week of earlier years, NaN where none is known."""
    total, known, year = 0.0, 0, week - spans[1]
    while year >= -spans[2]:
        last = min(year + spans[2], t)
        total, known = _add(observed, year - spans[2], last, total, known)
        year -= spans[1]
    return total / known if known else np.nan


@compiled
def _fill(value, normal):  # pragma: no cover
    """Fill what is not forecast with what is normal, and what has no normal with the region's."""
    for h in range(value.shape[0]):
        for part in range(value.shape[1]):
            total, known = 0.0, 0
            for z in range(value.shape[2]):
                if np.isnan(value[h, part, z]):
                    value[h, part, z] = normal[h, part, z]
                if not np.isnan(value[h, part, z]):
                    total += value[h, part, z]
                    known += 1
            for z in range(value.shape[2]):
                if np.isnan(value[h, part, z]):
                    value[h, part, z] = total / known if known else 0.0


@compiled
def _compare(value, normal, recent_temperature, out):  # pragma: no cover
    """Write a zip's weather beside what is normal; what has nothing beside it differs by 0."""
    temperature, precipitation = value[0] - normal[0], value[1] - normal[1]
    change = value[0] - recent_temperature
    out[0], out[3], out[5] = value[0], value[1], value[2]
    out[1] = 0.0 if np.isnan(temperature) else temperature
    out[2] = 0.0 if np.isnan(change) else change
    out[4] = 0.0 if np.isnan(precipitation) else precipitation
