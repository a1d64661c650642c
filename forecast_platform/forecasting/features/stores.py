"""What master data say of stores and products at one cutoff: who is alive, format, shoppers.

Snapshots of later weeks are never read; a week without a snapshot takes the latest before it.
"""

from collections.abc import Callable
from dataclasses import dataclass

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

    store_known: Bools
    zip: Ints
    format: Ints
    opened: Ints
    closed: Ints
    shoppers: Floats
    product_known: Bools
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
        store = self.store_known & (self.opened < day + 7) & (self.closed > day)
        product = self.product_known & (self.launched < day + 7) & (self.delisted > day)
        return store[:, panel.store] & product[:, panel.product]


class Masters:
    """Store and product snapshots of a region, week by week."""

    def __init__(self, history: History, panel: Panel, zips: pd.Index) -> None:
        stores, products = history.stores, history.products
        self._n_stores, self._n_products = len(panel.stores), len(panel.products)
        self.categories = levels_of(products["category"])
        self.brands = levels_of(products["brand"])
        unknown = sorted(set(stores[FORMAT].dropna().unique()) - set(FORMATS))
        if unknown:
            raise ValueError(f"unknown store formats {unknown}: expected {FORMATS}")
        self._stores = WeekRows(
            week_numbers(stores[WEEK]),
            {
                "row": codes_of(stores[STORE_ID], panel.stores),
                "zip": codes_of(stores["zip"], zips),
                "format": codes_of(stores[FORMAT], pd.Index(FORMATS)),
                "opened": day_numbers(stores["opened_on"], missing=ALWAYS),
                "closed": day_numbers(stores["closed_on"], missing=NEVER),
                "shoppers": np.stack([_shoppers(stores, c) for c in SHOPPER_COLUMNS], axis=1),
            },
        )
        self._products = WeekRows(
            week_numbers(products[WEEK]),
            {
                "row": codes_of(products[PRODUCT_ID], panel.products),
                "category": codes_of(products["category"], self.categories),
                "brand": codes_of(products["brand"], self.brands),
                "launched": day_numbers(products["launched_on"], missing=ALWAYS),
                "delisted": day_numbers(products["delisted_on"], missing=NEVER),
                "package_size": floats_of(products["package_size"]),
            },
        )

    def as_of(self, week: int) -> Snapshot:
        """Return the snapshot of the week (its number), or the latest before it."""
        stores, products = self._stores.as_of(week), self._products.as_of(week)
        shoppers = _standardised(stores["shoppers"])
        place_store = _placer(stores["row"], self._n_stores)
        place_product = _placer(products["row"], self._n_products)
        return Snapshot(
            store_known=place_store(stores["format"] >= 0, 0).astype(bool),
            zip=place_store(stores["zip"], -1),
            format=place_store(stores["format"], -1),
            opened=place_store(stores["opened"], NEVER),
            closed=place_store(stores["closed"], ALWAYS),
            shoppers=np.stack([place_store(c, 0.0) for c in shoppers.T]),
            product_known=place_product(np.ones(len(products["row"])), 0).astype(bool),
            category=place_product(products["category"], -1),
            brand=place_product(products["brand"], -1),
            launched=place_product(products["launched"], NEVER),
            delisted=place_product(products["delisted"], ALWAYS),
            package_size=place_product(products["package_size"], np.nan),
        )


def _placer(row: Ints, n: int) -> Callable[[np.ndarray, float], np.ndarray]:
    known = row >= 0

    def place(values: np.ndarray, missing: float) -> np.ndarray:
        placed = np.full(n, missing, values.dtype)
        placed[row[known]] = values[known]
        return placed

    return place


def _shoppers(stores: pd.DataFrame, column: str) -> Floats:
    values = floats_of(stores[column])
    return np.log1p(np.maximum(values, 0)) if column in SKEWED else values


def _standardised(values: Floats) -> Floats:
    """Standardise over the stores that have the value; missing is 0."""
    known = ~np.isnan(values)
    n = np.maximum(known.sum(axis=0), 1)
    filled = np.where(known, values, 0)
    mean = filled.sum(axis=0) / n
    deviation = np.where(known, values - mean, 0)
    scale = np.sqrt((deviation**2).sum(axis=0) / n)
    return np.clip(deviation / np.where(scale > 1e-9, scale, 1), -5, 5)
