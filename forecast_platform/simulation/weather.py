"""Daily weather by zip code, as observed and as forecast on each Sunday.

Only the physics; what weather does to demand is in `demand`.
"""

from dataclasses import dataclass

import numpy as np

from forecast_platform.simulation.config import RetailerConfig
from forecast_platform.simulation.streams import stable_hash, stream

_CLIMATE = {
    "north_texas": (18.5, 10.5),
    "south_texas": (22.0, 8.0),
    "southern_california": (18.5, 4.5),
    "northern_california": (15.0, 6.0),
    "pacific_northwest": (11.0, 7.0),
    "great_lakes": (9.0, 13.5),
    "ohio_valley": (12.0, 12.0),
    "new_england": (9.0, 12.5),
    "mid_atlantic": (13.0, 11.5),
    "florida": (23.0, 5.5),
    "gulf_coast": (20.5, 8.0),
    "carolinas": (16.0, 9.5),
    "rocky_mountains": (8.0, 12.5),
    "desert_southwest": (21.5, 10.0),
}
"""Mean of the year and half of its swing, in degrees Celsius."""

_PERSISTENCE = 0.75
_MEAN_RAIN = 0.3 * 6.4  # chance of a wet day x mean of a wet day [mm]


def climate_of(region: str) -> tuple[float, float]:
    """Mean temperature and half swing of a region, made up for unknown names."""
    made_up = 8.0 + stable_hash(region) % 14, 5.0 + stable_hash(region + "~") % 8
    return _CLIMATE.get(region, made_up)


@dataclass(frozen=True)
class Weather:
    """Arrays of day by zip; day 0 is the Monday of ``first_week``."""

    first_week: int
    normal: np.ndarray
    temperature: np.ndarray
    precipitation: np.ndarray

    def days(self, week: int, count: int = 7) -> slice:
        """Days of a week (or ``count`` days from its Monday)."""
        start = (week - self.first_week) * 7
        return slice(start, start + count)

    def temperature_anomaly(self, week: int) -> np.ndarray:
        """Degrees by which a week was warmer than usual, by zip."""
        days = self.days(week)
        return (self.temperature[days] - self.normal[days]).mean(axis=0)

    def extra_rain(self, week: int) -> np.ndarray:
        """Millimetres above the usual in a week, by zip."""
        return self.precipitation[self.days(week)].sum(axis=0) - 7 * _MEAN_RAIN


def snow_of(temperature: np.ndarray, precipitation: np.ndarray) -> np.ndarray:
    """Centimetres of snow: a millimetre of water each, when it freezes."""
    return np.where(temperature < 0.5, precipitation, 0.0)


def make_weather(config: RetailerConfig, region: str, n_zips: int, last: int) -> Weather:
    """Simulate every day from the first week to the close of week ``last``."""
    weeks = range(config.first_week_number, last + 1)
    draws = [_week_draws(config, region, n_zips, week) for week in weeks]
    shocks, wet, local = (np.concatenate(parts) for parts in zip(*draws, strict=True))
    offsets = stream(config.seed, region, "zip climate").normal(0, 1.0, n_zips)
    normal = _normal(region, weeks)[:, None] + offsets
    anomaly = _autoregress(shocks)[:, None] + local
    rain = wet[:, None] * np.exp(0.35 * local - 0.02)
    return Weather(config.first_week_number, normal, normal + anomaly, np.round(rain, 1))


def _week_draws(config: RetailerConfig, region: str, n_zips: int, week: int) -> tuple:
    rng = stream(config.seed, region, "weather", week)
    shocks = rng.normal(0, 2.6, 7)
    wet = np.where(rng.random(7) < 0.3, rng.gamma(0.8, 8.0, 7), 0.0)
    return shocks, wet, rng.normal(0, 0.6, (7, n_zips))


def _normal(region: str, weeks: range) -> np.ndarray:
    mean, swing = climate_of(region)
    day = np.arange(weeks.start * 7 + 1, weeks.stop * 7 + 1)
    return mean - swing * np.cos(2 * np.pi * (day - 15) / 365.2425)


def _autoregress(shocks: np.ndarray) -> np.ndarray:
    anomaly, level = np.empty_like(shocks), 0.0
    for day, shock in enumerate(shocks):
        level = _PERSISTENCE * level + shock
        anomaly[day] = level
    return anomaly


def forecast(
    weather: Weather, rng: np.random.Generator, week: int, days: int
) -> tuple[np.ndarray, np.ndarray]:
    """Temperature and precipitation as forecast at the close of ``week``, day by zip.

    Skill decays with the lead: tomorrow is nearly right, four weeks on it is the climate with
    noise.
    """
    ahead = weather.days(week + 1, days)
    normal, actual = weather.normal[ahead], weather.temperature[ahead]
    skill = np.exp(-np.arange(len(normal)) / 6.0)[:, None]
    noise = rng.normal(size=(2, *normal.shape))
    temperature = normal + skill * (actual - normal) + (0.5 + 2.0 * (1 - skill)) * noise[0]
    rain = skill * weather.precipitation[ahead] + (1 - skill) * _MEAN_RAIN
    return temperature, np.round(rain * np.exp(0.3 * (1 - skill) * noise[1]), 1)
