"""Rows of features per second on one core: one cutoff, many, and from the lake."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, fields
from statistics import median
from typing import Any

import pandas as pd

from benchmarks.speed.models import peak_mib, timed
from benchmarks.speed.panels import HORIZON, a_region, weeks_from
from forecast_platform.forecasting.features.assemble import build_features
from forecast_platform.partitions import RegionWeek
from forecast_platform.resources.featuring import MARTS, make_features
from forecast_platform.resources.lake import Lake
from forecast_platform.resources.snapshot import Snapshot


@dataclass(frozen=True)
class Size:
    """Stores, products, weeks of history, and the cutoffs at its end."""

    stores: int
    products: int
    weeks: int
    cutoffs: int
    calls: int = 5
    """Calls whose median is told; the first call of a process is left out, but of one."""


ORDER = ("week", "zip", "store_id", "unique_id", "product_id", "h")
"""Order in which the marts are written."""

SIZES = {
    "features, one cutoff": Size(200, 100, 104, 1),
    "features, 156 cutoffs": Size(100, 50, 208, 156, calls=1),
    "features, a small region": Size(8, 12, 120, 28),
    "features from the lake": Size(60, 40, 104, 26),
}


def measure(name: str, scale: int) -> dict[str, Any]:
    """Build the features of a region; ``scale`` divides its stores."""
    size = SIZES[name]
    n_stores = max(4, size.stores // scale)
    history = a_region(n_stores, size.products, size.weeks)
    cutoffs = list(weeks_from(size.weeks)[-size.cutoffs :])
    build_features(a_region(4, 4, 60), list(weeks_from(60)[-2:]), HORIZON)
    before = peak_mib()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        make: Callable[[], pd.DataFrame] = lambda: build_features(history, cutoffs, HORIZON)  # noqa: E731
        if name == "features from the lake":
            make = _from_lake(history, cutoffs, f"{folder}/lake")
        table, seconds = _median(make, size.calls)
    return {
        "name": name,
        "series": n_stores * size.products,
        "history_weeks": size.weeks,
        "cutoffs": size.cutoffs,
        "rows": len(table),
        "seconds": seconds,
        "rows_per_second": len(table) / seconds,
        "history_rows_per_second": n_stores * size.products * size.weeks / seconds,
        "peak_mib": peak_mib() - before,
    }


def _median(make: Callable[[], pd.DataFrame], calls: int) -> tuple[pd.DataFrame, float]:
    table, first = timed(make)
    seconds = [first] if calls == 1 else [timed(make)[1] for _ in range(calls)]
    return table, median(seconds)


def _from_lake(history: Any, cutoffs: list[pd.Timestamp], uri: str) -> Callable[[], pd.DataFrame]:
    """Write the marts, in the order in which dbt's are written, one file a region-week."""
    lake = Lake(uri=uri)
    for part in fields(history):
        rows = getattr(history, part.name)
        rows = rows.sort_values([one for one in ORDER if one in rows.columns], ignore_index=True)
        keys = [RegionWeek("north", week) for week in sorted(set(rows["week"]))]
        lake.write(MARTS[part.name], rows, keys, run_id="benchmark")
    return lambda: make_features(Snapshot(lake), "north", cutoffs, HORIZON)
