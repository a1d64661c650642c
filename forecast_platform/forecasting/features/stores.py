"""What master data say of stores and products at one cutoff: who is alive, format, shoppers.

Snapshots of later weeks are never read; a week without a snapshot takes the latest before it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from forecast_platform.forecasting.features.history import History
from forecast_platform.forecasting.features.panel import (
    Bools,
    Floats,
    Ints,
    Panel,
    WeekRows,
    day_numbers,
    floats_of,
    monday,
    week_numbers,
)
from forecast_platform.forecasting.features.texts import codes_of, levels_of
from forecast_platform.vocabulary import (
    FORMAT,
    FORMATS,
    PRODUCT_ID,
    SHOPPER_COLUMNS,
    STORE_ID,
    WEEK,
)

UNKNOWN = "unknown"
"""Text of a category or brand that master data leave empty."""

_FORMATS = pd.Index(FORMATS, dtype="str")

ALWAYS, NEVER = -(10**6), 10**6
SKEWED = (
    "median_income",
    "warehouse_distance",
    "warehouse_volume_ratio",
    "competitor_distance",
    "competitor_volume_ratio",
)
"""Shopper columns that are taken on the log1p scale before they are standardised."""


@dataclass(frozen=True)
class Snapshot:
    """Master data as known at one cutoff, one value per store or product of the panel.

    Codes are -1 where the store or product is not in the snapshot.
    """

    zip: Ints
    format: Ints
    opened: Ints
    closed: Ints
    shoppers: Floats
    category: Ints
    brand: Ints
    launched: Ints
    delisted: Ints
    package_size: Floats

    def alive(self, panel: Panel, week: int, n_weeks: int) -> Bools:
        """Tell which series have an open store and a listed product from a week (its number) on.

        Shape (n_weeks, series).
        """
        first = int(np.datetime64(monday(week), "D").astype(np.int64))
        day = first + 7 * np.arange(n_weeks)[:, None]
        store = (self.format >= 0) & (self.opened < day + 7) & (self.closed > day)
        product = (self.launched < day + 7) & (self.delisted > day)
        return store.take(panel.store, axis=1) & product.take(panel.product, axis=1)


_Told = tuple[Mapping[str, Any], Mapping[str, Any]]
"""Rows of stores and of products."""


class Masters:
    """Store and product snapshots of a region, week by week."""

    def __init__(self, history: History, panel: Panel, zips: pd.Index) -> None:
        stores, products = history.stores, history.products
        self._n_stores, self._n_products = len(panel.stores), len(panel.products)
        self._last: tuple[_Told, Snapshot] | None = None
        self.categories = levels_of(products["category"])
        self.brands = levels_of(products["brand"])
        formats = codes_of(stores[FORMAT], _FORMATS)
        if (formats < 0).any() and (
            unknown := stores.loc[formats < 0, FORMAT].dropna().unique()
        ).size:
            raise ValueError(f"unknown store formats {sorted(unknown)}: expected {FORMATS}")
        numbers = [
            codes_of(stores["zip"], zips),
            formats,
            day_numbers(stores["opened_on"], missing=ALWAYS),
            day_numbers(stores["closed_on"], missing=NEVER),
        ]
        self._stores = WeekRows(
            week_numbers(stores[WEEK]),
            {
                "row": codes_of(stores[STORE_ID], panel.stores),
                "numbers": np.stack(numbers, axis=1),
                "shoppers": _shoppers(stores),
            },
        )
        numbers = [
            codes_of(products["category"], self.categories),
            codes_of(products["brand"], self.brands),
            day_numbers(products["launched_on"], missing=ALWAYS),
            day_numbers(products["delisted_on"], missing=NEVER),
        ]
        self._products = WeekRows(
            week_numbers(products[WEEK]),
            {
                "row": codes_of(products[PRODUCT_ID], panel.products),
                "numbers": np.stack(numbers, axis=1),
                "package_size": floats_of(products["package_size"])[:, None],
            },
        )

    def as_of(self, week: int) -> Snapshot:
        """Return the snapshot of the week (its number), or the latest before it.

        It is the same object as that of the call before while they tell the same.
        """
        told = self._stores.as_of(week), self._products.as_of(week)
        if self._last is None or not all(map(_tell_the_same, told, self._last[0])):
            self._last = told, self._snapshot(*told)
        return self._last[1]

    def _snapshot(self, stores: Mapping[str, Any], products: Mapping[str, Any]) -> Snapshot:
        row, n = stores["row"], self._n_stores
        zips, formats, opened, closed = _placed(row, stores["numbers"], (-1, -1, NEVER, ALWAYS), n)
        shoppers = _placed(row, _standardised(stores["shoppers"]), [0.0] * len(SHOPPER_COLUMNS), n)
        row, n = products["row"], self._n_products
        codes = _placed(row, products["numbers"], (-1, -1, NEVER, ALWAYS), n)
        category, brand, launched, delisted = codes
        return Snapshot(
            zip=zips,
            format=formats,
            opened=opened,
            closed=closed,
            shoppers=shoppers,
            category=category,
            brand=brand,
            launched=launched,
            delisted=delisted,
            package_size=_placed(row, products["package_size"], (np.nan,), n)[0],
        )


def _tell_the_same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Compare rows to the bit."""
    return all(one[name].tobytes() == other[name].tobytes() for name in one)


def _placed(row: Ints, values: np.ndarray, missing: Sequence[float], n: int) -> np.ndarray:
    """Put values (rows, k) to ``n`` places, -1 is none; return them as (k, n)."""
    placed = np.empty((n, values.shape[1]), values.dtype)
    placed[:] = missing
    known = row >= 0
    placed[row[known]] = values[known]
    return np.ascontiguousarray(placed.T)


def _shoppers(stores: pd.DataFrame) -> Floats:
    values = np.stack([floats_of(stores[name]) for name in SHOPPER_COLUMNS], axis=1)
    skewed = [SHOPPER_COLUMNS.index(name) for name in SKEWED]
    values[:, skewed] = np.log1p(np.maximum(values[:, skewed], 0))
    return values


def _standardised(values: Floats) -> Floats:
    """Standardise over the stores that have the value; missing is 0."""
    known = ~np.isnan(values)
    n = np.maximum(known.sum(axis=0), 1)
    filled = np.where(known, values, 0)
    mean = filled.sum(axis=0) / n
    deviation = np.where(known, values - mean, 0)
    scale = np.sqrt((deviation**2).sum(axis=0) / n)
    return np.clip(deviation / np.where(scale > 1e-9, scale, 1), -5, 5)
