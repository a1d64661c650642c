"""Stores, products and shoppers: what exists, since when and until when.

Only master data and its life cycle; nothing here changes with a week's demand. What ends has the
date of its first day without, a Monday; what begins that of its first day, a Monday too.
"""

from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd

from forecast_platform.simulation.calendar import CATEGORIES
from forecast_platform.simulation.config import RetailerConfig
from forecast_platform.simulation.streams import monday_of, stable_hash, stream
from forecast_platform.vocabulary import SHOPPER_COLUMNS

CHAINS = 4
STORES_PER_ZIP = 3
NEVER = 10**6
"""Week number of what does not happen."""

KNOWN_AHEAD = 4
"""Openings, closings, launches and delistings are known this long before [weeks]."""

_BRANDS = ("Sunrise", "Old Mill", "Blue Ridge", "Prairie", "Harbor", None)
_SIZES = ("8 oz", "12 oz", "16 oz", "32 oz", "64 oz", None)
_PERMANENT = 4  # the first of each kind stay: the smallest world has all four segments


@dataclass(frozen=True)
class LifeCycle:
    """First and last week number of each item; `NEVER` for no end."""

    first: np.ndarray
    last: np.ndarray

    def alive(self, week: int) -> np.ndarray:
        """Which items exist in a week."""
        return (self.first <= week) & (week <= self.last)

    def age(self, week: int) -> np.ndarray:
        """Weeks since the item began."""
        return week - self.first

    def known(self, week: int) -> np.ndarray:
        """Which items a master file of a week lists."""
        return self.first <= week + KNOWN_AHEAD

    def changes(self, week: int) -> bool:
        """Whether a master file of this week differs from the one before."""
        told = week + KNOWN_AHEAD
        return bool(np.any(self.first == told) or np.any(self.last == told))

    def dates(self, which: np.ndarray, week: int) -> tuple[list[date], list[date | None]]:
        """First and last days as a master file of ``week`` tells them."""
        begins = [monday_of(int(w)) for w in self.first[which]]
        ends = [_end(int(w), week) for w in self.last[which]]
        return begins, ends


def _end(last: int, week: int) -> date | None:
    return monday_of(last + 1) if last <= week + KNOWN_AHEAD else None


def _life_cycle(rng: np.random.Generator, count: int, start: int, share: float) -> LifeCycle:
    """Draw who comes and goes; the fifth always comes late, the sixth always leaves."""
    kind, comes, goes, past = rng.random((4, max(count, _PERMANENT + 2)))
    kind[:_PERMANENT] = 1.0
    kind[_PERMANENT], kind[_PERMANENT + 1] = 0.0, share * 0.99
    comes[_PERMANENT], goes[_PERMANENT + 1] = comes[_PERMANENT] * 0.1, goes[_PERMANENT + 1] * 0.2
    late, leaves = kind < share / 2, (kind >= share / 2) & (kind < share)
    first = np.where(late, start + 8 + (comes * 120).astype(int), start - 60 - (past * 400))
    last = np.where(leaves, start + 24 + (goes * 130).astype(int), NEVER)
    return LifeCycle(first[:count].astype(int), last[:count].astype(int))


@dataclass(frozen=True)
class Products:
    """The assortment of the retailer, the same in every region."""

    ids: np.ndarray
    category: np.ndarray
    is_fast: np.ndarray
    life: LifeCycle
    brand: list[str | None]
    package_size: list[str | None]

    def snapshot(self, week: int) -> pd.DataFrame:
        """Master file as known in a week."""
        known = self.life.known(week)
        begins, ends = self.life.dates(known, week)
        return pd.DataFrame(
            {
                "product_id": self.ids[known],
                "category": np.array(CATEGORIES)[self.category[known]],
                "brand": [self.brand[i] for i in np.flatnonzero(known)],
                "package_size": [self.package_size[i] for i in np.flatnonzero(known)],
                "launched_on": begins,
                "delisted_on": ends,
            }
        )


def make_products(config: RetailerConfig) -> Products:
    """Draw the assortment: every other product is a fast mover."""
    count, rng = config.products, stream(config.seed, "products")
    brands, sizes = rng.integers(0, 6, (2, count))
    return Products(
        ids=np.array([f"P{i + 1:04d}" for i in range(count)]),
        category=_categories(config),
        is_fast=np.arange(count) % 2 == 0,
        life=_life_cycle(
            stream(config.seed, "launches"), count, config.first_week_number, share=0.16
        ),
        brand=[_BRANDS[i] for i in brands],
        package_size=[_SIZES[i] for i in sizes],
    )


def _categories(config: RetailerConfig) -> np.ndarray:
    """Deal the categories out in turn, to fast and slow movers apart."""
    order = stream(config.seed, "categories").permutation(len(CATEGORIES))
    index = np.arange(config.products)
    return order[(index // 2 + 3 * (index % 2)) % len(CATEGORIES)]


@dataclass(frozen=True)
class Stores:
    """The stores of one region and the chain that plans each one's promotions."""

    ids: np.ndarray
    zips: np.ndarray
    zip_index: np.ndarray
    is_large: np.ndarray
    chain: np.ndarray
    life: LifeCycle
    demographics: np.ndarray

    def snapshot(self, week: int) -> pd.DataFrame:
        """Master file as known in a week."""
        known = self.life.known(week)
        begins, ends = self.life.dates(known, week)
        return pd.DataFrame(
            {
                "store_id": self.ids[known],
                "zip": self.zips[self.zip_index[known]],
                "format": np.where(self.is_large[known], "large", "small"),
                "opened_on": begins,
                "closed_on": ends,
            }
        )

    def shoppers(self, week: int, which: np.ndarray, as_of_on: date) -> pd.DataFrame:
        """Demographics of some stores, a little different every year."""
        drift = 1 + 0.005 * np.sin(week / 52 + np.arange(len(SHOPPER_COLUMNS)))
        values = np.round(self.demographics[which] * drift, 4)
        frame = pd.DataFrame(values, columns=list(SHOPPER_COLUMNS))
        frame.insert(0, "store_id", self.ids[which])
        frame.insert(1, "as_of_on", [as_of_on] * int(which.sum()))
        return frame


def make_stores(config: RetailerConfig, region: str) -> Stores:
    """Draw the stores of a region: two of five are large."""
    count, index = config.stores_per_region, np.arange(config.stores_per_region)
    zip_index = (index // STORES_PER_ZIP) % 1000
    prefix = 10 + stable_hash(region) % 90
    initials = "".join(word[0] for word in region.replace("-", "_").split("_") if word).upper()
    rng = stream(config.seed, region, "openings")
    return Stores(
        ids=np.array([f"{initials}{prefix}-{i + 1:04d}" for i in index]),
        zips=np.array([f"{prefix}{i:03d}" for i in range(int(zip_index.max()) + 1)]),
        zip_index=zip_index,
        is_large=np.isin(index % 5, (0, 2)),
        chain=stream(config.seed, region, "chains").integers(0, CHAINS, count),
        life=_life_cycle(rng, count, config.first_week_number, share=0.12),
        demographics=_demographics(config, region),
    )


def _demographics(config: RetailerConfig, region: str) -> np.ndarray:
    """Columns in the order of `SHOPPER_COLUMNS`; one value in fifty is not known."""
    count, rng = config.stores_per_region, stream(config.seed, region, "shoppers")
    shares = rng.beta(4, 12, (count, 7))
    income = 62_000 * np.exp(0.25 * rng.normal(size=count))
    distance, ratio = rng.gamma(3, 2, (2, count)), rng.gamma(4, 0.25, (2, count))
    values = np.column_stack(
        [shares[:, :3], income, shares[:, 3:6], distance[0], ratio[0], distance[1], ratio[1]]
    )
    values[rng.random(values.shape) < 0.02] = np.nan
    return values
