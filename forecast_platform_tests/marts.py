"""A tiny retailer's marts, written straight into a lake: what features are made from."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from forecast_platform.partitions import RegionWeek
from forecast_platform.resources.lake import Lake
from forecast_platform.vocabulary import SHOPPER_COLUMNS

FIRST_WEEK = pd.Timestamp("2023-01-02").as_unit("us")
HORIZON = 4


def weeks_from(n_weeks: int, first: pd.Timestamp = FIRST_WEEK) -> list[pd.Timestamp]:
    return [first + pd.Timedelta(weeks=n) for n in range(n_weeks)]


def write_marts(
    lake: Lake, region: str, weeks: Sequence[pd.Timestamp], *, n_products: int = 6, seed: int = 0
) -> None:
    """Write all marts of a region: two large and two small stores, half of the products fast."""
    rng = np.random.default_rng(seed)
    stores = _stores(region)
    products = _products(n_products)
    series = stores[["store_id", "format"]].merge(products[["product_id", "level"]], how="cross")
    series["unique_id"] = series["store_id"] + "/" + series["product_id"]
    tables = {
        "dim_stores": _each_week(stores, weeks),
        "dim_products": _each_week(products.drop(columns="level"), weeks),
        "fct_weekly_demand": _demand(series, weeks, rng),
        "fct_weekly_weather": _weather(stores["zip"].unique(), weeks, rng),
        "fct_weekly_events": _events(stores["store_id"], weeks),
        "fct_weekly_prices": _prices(series, weeks, rng),
    }
    keys = [RegionWeek(region, week) for week in weeks]
    for name, table in tables.items():
        lake.write(name, table.assign(region=region), keys, run_id="test")


def _stores(region: str) -> pd.DataFrame:
    stores = pd.DataFrame(
        {
            "store_id": [f"{region[:2]}{n}" for n in range(4)],
            "zip": ["75001", "75002"] * 2,
            "format": ["large", "large", "small", "small"],
            "opened_on": pd.Timestamp("2015-01-05"),
            "closed_on": pd.Series([pd.NaT] * 4, dtype="datetime64[us]"),
        }
    )
    return stores.assign(**dict.fromkeys(SHOPPER_COLUMNS, 0.5))


def _products(n_products: int) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "product_id": [f"p{n}" for n in range(n_products)],
            "category": ["bread", "cake"] * (n_products // 2),
            "brand": "ours",
            "package_size": 1.0,
            "launched_on": pd.Timestamp("2015-01-05"),
            "delisted_on": pd.Series([pd.NaT] * n_products, dtype="datetime64[us]"),
            "level": [40.0] * (n_products // 2) + [4.0] * (n_products - n_products // 2),
        }
    )


def _each_week(table: pd.DataFrame, weeks: Sequence[pd.Timestamp]) -> pd.DataFrame:
    return table.merge(pd.DataFrame({"week": list(weeks)}), how="cross")


def _demand(
    series: pd.DataFrame, weeks: Sequence[pd.Timestamp], rng: np.random.Generator
) -> pd.DataFrame:
    table = _each_week(series, weeks)
    season = 1 + 0.5 * np.sin(2 * np.pi * table["week"].dt.dayofyear / 365)
    large = np.where(table["format"] == "large", 2.0, 1.0)
    shipped = rng.poisson(table["level"] * season * large)
    return pd.DataFrame(
        {
            **{name: table[name] for name in ("week", "unique_id", "store_id", "product_id")},
            "ds": table["week"],
            "units_shipped": shipped,
            "units_returned": 0,
            "y": shipped.astype(float),
            "is_filled": False,
        }
    )


def _ahead(
    table: pd.DataFrame, weeks: Sequence[pd.Timestamp], steps: Sequence[int]
) -> pd.DataFrame:
    ahead = _each_week(table, weeks).merge(pd.DataFrame({"h": list(steps)}), how="cross")
    return ahead.assign(ds=ahead["week"] + pd.to_timedelta(7 * ahead["h"], unit="D"))


def _weather(
    zips: Sequence[str], weeks: Sequence[pd.Timestamp], rng: np.random.Generator
) -> pd.DataFrame:
    table = _ahead(pd.DataFrame({"zip": zips}), weeks, range(HORIZON + 1))
    mean = 15 + rng.normal(0, 5, len(table))
    return table.assign(
        temperature_c=mean,
        temperature_min_c=mean - 5,
        temperature_max_c=mean + 5,
        precipitation_mm=rng.exponential(5, len(table)),
        snow_cm=0.0,
        n_days=7,
    )


def _events(store_ids: pd.Series, weeks: Sequence[pd.Timestamp]) -> pd.DataFrame:
    table = _ahead(store_ids.to_frame(), weeks, range(-1, HORIZON + 2))
    is_event = table["ds"].dt.isocalendar().week.isin([1, 27, 52]).to_numpy()
    return table.assign(
        event=np.where(is_event, "holiday", "none"),
        n_event_days=is_event.astype(int),
        is_holiday=is_event,
    )


def _prices(
    series: pd.DataFrame, weeks: Sequence[pd.Timestamp], rng: np.random.Generator
) -> pd.DataFrame:
    columns = ["store_id", "product_id", "unique_id"]
    table = _ahead(series[columns], weeks, range(HORIZON + 1))
    promoted = rng.random(len(table)) < 0.1
    return table.assign(
        price=np.where(promoted, 1.5, 2.0),
        feature=promoted.astype(float),
        display=promoted.astype(float),
    )
