"""Expected and drawn demand of one region, week by week.

Net demand is zero with a structural chance, else negative binomial. Everything that makes its
mean is here: level, trend, drift, season, weather, events, promotions, ramps of what is new.
Memory is a few arrays of store by product, however many weeks are drawn.
"""

from dataclasses import dataclass

import numpy as np

from forecast_platform.simulation import events
from forecast_platform.simulation.calendar import CATEGORIES
from forecast_platform.simulation.catalog import Products, Stores
from forecast_platform.simulation.config import RetailerConfig
from forecast_platform.simulation.promotions import PromotionPlan
from forecast_platform.simulation.streams import monday_of, stream
from forecast_platform.simulation.weather import Weather

PULL_BACK = 0.003
"""Chance that everything shipped and more comes back, as in a recall."""

_LONGEST_GAP = 5  # weeks without supply

# Per category: peak of the season [week of year], its log amplitude, log lift per degree that
# a week is too warm, log lift per 10 mm of extra rain.
_RESPONSE = {
    "soft_drinks": (27, 0.30, 0.020, -0.02),
    "juice": (14, 0.22, 0.005, 0.00),
    "chips": (26, 0.22, 0.008, -0.02),
    "cookies": (49, 0.30, -0.006, 0.01),
    "ice_cream": (28, 0.55, 0.030, -0.03),
    "soup": (3, 0.50, -0.030, 0.03),
    "bread": (45, 0.15, -0.003, 0.00),
    "coffee": (1, 0.28, -0.012, 0.01),
}
_TABLE = np.array([_RESPONSE[name] for name in CATEGORIES])


@dataclass(frozen=True)
class SoldWeek:
    """One week, store by product; inactive series are zero everywhere.

    Attributes
    ----------
    active
        The store is open, the product is listed, the store carries it.
    shipped, returned
        Units, as drawn.
    selling_mean
        Expected net demand when there is any supply and interest.
    p_selling
        Chance of that; 0 while there is no supply.
    """

    active: np.ndarray
    shipped: np.ndarray
    returned: np.ndarray
    selling_mean: np.ndarray
    p_selling: np.ndarray


class Demand:
    """Demand of a region; weeks are asked for in any order, each gives the same numbers.

    Parameters
    ----------
    config, region, stores, products, weather, plan
        The world that sells.
    last
        Last week number that can be asked for.
    """

    def __init__(
        self,
        config: RetailerConfig,
        region: str,
        *,
        stores: Stores,
        products: Products,
        weather: Weather,
        plan: PromotionPlan,
        last: int,
    ) -> None:
        self._config, self._region = config, region
        self._stores, self._products = stores, products
        self._weather, self._plan = weather, plan
        self._level = self._levels()
        self._carried = self._assortment()
        self._sells = self._selling_chances()
        self.return_share = stream(config.seed, "returns").uniform(0.01, 0.06, len(products.ids))
        self.dispersion = np.where(products.is_fast, 40.0, 28.0)
        self._drift_products, self._drift_stores = self._drifts(last)

    def _levels(self) -> np.ndarray:
        """Log of the usual demand; small stores sell less, of slow movers not much less."""
        stores, products = self._stores, self._products
        base = np.where(products.is_fast, np.log(60.0), np.log(17.0))
        small = np.where(products.is_fast, np.log(0.45), np.log(0.65))
        product = stream(self._config.seed, "levels").normal(0, 0.3, len(products.ids))
        rng = stream(self._config.seed, self._region, "levels")
        store = rng.normal(0, 0.3, len(stores.ids))
        mixed = rng.normal(0, 0.22, (len(stores.ids), len(products.ids)))
        level = base + product + store[:, None] + mixed
        return np.maximum(level + np.where(stores.is_large, 0.0, 1.0)[:, None] * small, np.log(4))

    def _assortment(self) -> np.ndarray:
        """Small stores carry a little more than half of the products."""
        shape = len(self._stores.ids), len(self._products.ids)
        chance = np.where(self._stores.is_large, 0.95, 0.6)[:, None]
        carried = stream(self._config.seed, self._region, "assortment").random(shape) < chance
        carried[:4, :4] = True
        return carried

    def _selling_chances(self) -> np.ndarray:
        """Chance of any demand in a week: a fifth of the slow movers are intermittent."""
        shape = len(self._stores.ids), len(self._products.ids)
        kind, chance = stream(self._config.seed, self._region, "intermittent").random((2, *shape))
        slow = np.where(kind < 0.2, 0.1 + 0.35 * chance, 0.99)
        return np.where(self._products.is_fast, 0.998, slow)

    def _drifts(self, last: int) -> tuple[np.ndarray, np.ndarray]:
        """Log drift by week of products and of stores: a trend and a random walk."""
        weeks = range(self._config.first_week_number, last + 1)
        products = self._walk("product drift", len(self._products.ids), weeks, 0.010, 0.14)
        return products, self._walk("store drift", len(self._stores.ids), weeks, 0.005, 0.06)

    def _walk(self, name: str, count: int, weeks: range, sd: float, trend: float) -> np.ndarray:
        slope = stream(self._config.seed, self._region, name).normal(0.02, trend, count) / 52
        steps = [
            stream(self._config.seed, self._region, name, week).normal(0, sd, count)
            for week in weeks
        ]
        return np.cumsum(steps, axis=0) + slope * np.arange(len(weeks))[:, None]

    def week(self, week: int) -> SoldWeek:
        """Draw one week."""
        active = self.active(week)
        mean = np.where(active, np.exp(self._log_mean(week)), 0.0)
        supplied = active & ~self._without_supply(week)
        chance = np.where(supplied, self._sells * (1 - PULL_BACK), 0.0)
        shipped, returned = self._draw(week, mean, supplied)
        return SoldWeek(active, shipped, returned, mean, chance)

    def active(self, week: int) -> np.ndarray:
        """Tell which series exist: store open, product listed and carried."""
        stores, products = self._stores.life.alive(week), self._products.life.alive(week)
        return self._carried & stores[:, None] & products

    def _log_mean(self, week: int) -> np.ndarray:
        row = week - self._config.first_week_number
        category = self._products.category
        local = self._weather_lift(week) + events.log_lift(
            self._config, self._region, self._stores, week
        )
        drift = self._drift_products[row] + self._drift_stores[row][:, None]
        ramp = _ramp(self._products.life.age(week)) + _ramp(self._stores.life.age(week))[:, None]
        season = self._season(week)
        planned = self._plan.week(week).log_lift
        return self._level + drift + ramp + season + planned + local[:, category]

    def _season(self, week: int) -> np.ndarray:
        """Log season by product: its category's, a little its own."""
        rng = stream(self._config.seed, "seasons")
        shift, scale = (
            rng.normal(0, 1.5, len(self._products.ids)),
            rng.uniform(0.8, 1.2, len(self._products.ids)),
        )
        peak, amplitude = _TABLE[self._products.category, :2].T
        position = monday_of(week).timetuple().tm_yday / 7 - peak - shift
        return scale * amplitude * np.cos(2 * np.pi * position / 52.18)

    def _weather_lift(self, week: int) -> np.ndarray:
        zips = self._stores.zip_index
        warm = self._weather.temperature_anomaly(week)[zips, None] * _TABLE[:, 2]
        rain = self._weather.extra_rain(week)[zips, None] / 10 * _TABLE[:, 3]
        return np.clip(warm + rain, -0.5, 0.5)

    def _without_supply(self, week: int) -> np.ndarray:
        """Gaps of 1 to 5 weeks, told by the starts of the weeks before."""
        shape = len(self._stores.ids), len(self._products.ids)
        chance = np.where(self._products.is_fast, 0.001, 0.012)
        out = np.zeros(shape, dtype=bool)
        for age in range(_LONGEST_GAP):
            rng = stream(self._config.seed, self._region, "gaps", week - age)
            starts, length = rng.random((2, *shape), dtype=np.float32)
            out |= (starts < chance) & (1 + np.floor(length * _LONGEST_GAP) > age)
        return out

    def _draw(
        self, week: int, mean: np.ndarray, supplied: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draw units so that shipped minus returned has exactly the wanted mean.

        Each unit shipped comes back with the product's chance: a thinned negative binomial is
        one again, of the same dispersion.
        """
        rng = stream(self._config.seed, self._region, "sales", week)
        rate = rng.gamma(self.dispersion, 1 / self.dispersion, mean.shape)
        sells = supplied & (rng.random(mean.shape) < self._sells)
        gross = np.where(sells, mean * rate / (1 - self.return_share), 0.0)
        shipped = rng.poisson(gross)
        returned = rng.binomial(shipped, self.return_share)
        pulled = supplied & (rng.random(mean.shape) < PULL_BACK)
        extra = 1 + rng.poisson(0.3 * mean)
        return shipped, np.where(pulled, shipped + extra, returned)


def _ramp(age: np.ndarray) -> np.ndarray:
    """Log of what a store or product sells in its first eight weeks, from 60 %."""
    return np.log(np.clip(0.6 + 0.05 * age, 0.6, 1.0))
