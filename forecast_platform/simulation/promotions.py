"""Prices and promotions: planned by chain and product, displayed by store.

Only the plan; what it does to demand is in `log_lift`, used by `demand`.
"""

from dataclasses import dataclass

import numpy as np

from forecast_platform.simulation.catalog import CHAINS, Products, Stores
from forecast_platform.simulation.config import RetailerConfig
from forecast_platform.simulation.streams import stream

_BURN_IN = 8  # weeks before the first, so that the first week is like any other
_COOL_DOWN = 2  # weeks that a promotion is not repeated
_MEAN_LENGTH = 1.4  # weeks


@dataclass(frozen=True)
class PlannedWeek:
    """Plan of one week, store by product."""

    price: np.ndarray
    feature: np.ndarray
    display: np.ndarray
    log_lift: np.ndarray


class PromotionPlan:
    """Plan of a region from the first week to week ``last``.

    Parameters
    ----------
    config, region, stores, products
        The world that is planned for.
    last
        Last week number that can be asked for.
    """

    def __init__(
        self, config: RetailerConfig, region: str, stores: Stores, products: Products, last: int
    ) -> None:
        self._config, self._region = config, region
        self._stores, self._products = stores, products
        self._start = config.first_week_number - _BURN_IN
        self._reference = _reference_prices(config, len(products.ids))
        self._depth, self._feature = self._plan(last)
        self._regular = self._regular_prices(last)

    def _plan(self, last: int) -> tuple[np.ndarray, np.ndarray]:
        shape = (last - self._start + 1, CHAINS, len(self._products.ids))
        depth, feature = np.zeros(shape), np.zeros(shape)
        for row in range(shape[0]):
            self._plan_week(row, depth, feature)
        return depth, feature

    def _plan_week(self, row: int, depth: np.ndarray, feature: np.ndarray) -> None:
        """Start promotions where none ran lately; some run for two weeks."""
        rng = stream(self._config.seed, self._region, "promotions", self._start + row)
        begin, deep, shown, longer = rng.random((4, *depth.shape[1:]))
        rested = (depth[max(row - _COOL_DOWN, 0) : row] == 0).all(axis=0)
        starts = rested & (begin < _start_chance(self._config.promotion_share))
        depth[row] += np.where(starts, 0.15 + 0.05 * np.floor(5 * deep), 0.0)
        feature[row] += starts & (shown < 0.55)
        if row + 1 < len(depth):
            goes_on = starts & (longer < _MEAN_LENGTH - 1)
            depth[row + 1] = np.where(goes_on, depth[row], 0.0)
            feature[row + 1] = np.where(goes_on, feature[row], 0.0)

    def _regular_prices(self, last: int) -> np.ndarray:
        """Relative shelf price by week and product: now and then a step."""
        steps = []
        for week in range(self._start, last + 1):
            rng = stream(self._config.seed, self._region, "shelf prices", week)
            changes, size = rng.random((2, len(self._products.ids)))
            steps.append(np.where(changes < 0.025, 0.16 * (size - 0.4), 0.0))
        return np.exp(np.clip(np.cumsum(steps, axis=0), -0.2, 0.4))

    def week(self, week: int) -> PlannedWeek:
        """Plan of one week."""
        row, chain = week - self._start, self._stores.chain
        depth, feature = self._depth[row][chain], self._feature[row][chain]
        rng = stream(self._config.seed, self._region, "displays", week)
        stand = rng.random(depth.shape)
        display = np.where(depth > 0, 0.5 * (stand < 0.6) + 0.5 * (stand < 0.3), 0.0)
        markup = np.where(self._stores.is_large, 1.0, 1.08)[:, None]
        shelf = self._reference * self._regular[row]
        price = np.round(markup * shelf * (1 - depth), 2)
        lift = self._log_lift(row, depth, feature, display)
        return PlannedWeek(price, feature, display, lift)

    def _log_lift(
        self, row: int, depth: np.ndarray, feature: np.ndarray, display: np.ndarray
    ) -> np.ndarray:
        """Elasticity to the shelf price and to the cut, leaflet, display, and the dip after."""
        count = len(self._products.ids)
        cut, shelf = stream(self._config.seed, "elasticities").random((2, count))
        lift = -(2.2 + 0.9 * cut) * np.log1p(-depth) + 0.22 * feature + 0.28 * display
        lift -= (0.8 + 0.8 * shelf) * np.log(self._regular[row])
        dip = (depth == 0) & (self._depth[row - 1][self._stores.chain] > 0)
        return np.minimum(lift, np.log(3.6)) - 0.12 * dip


def _start_chance(share: float) -> float:
    """Chance to start in a rested week, so that ``share`` of all weeks are on promotion."""
    return 1 / (_MEAN_LENGTH / share - _MEAN_LENGTH - _COOL_DOWN + 1) if share else 0.0


def _reference_prices(config: RetailerConfig, count: int) -> np.ndarray:
    return np.round(np.exp(stream(config.seed, "prices").normal(1.25, 0.45, count)), 2)
