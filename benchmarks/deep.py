"""Deep horizons on the simulated retailer: members and ensemble against the simple methods.

Run ``python -m benchmarks.deep``; it simulates three years of a few regions in a temporary folder.
"""

import argparse
import tempfile
from pathlib import Path
from time import process_time

import pandas as pd

from benchmarks.accuracy.datasets import simulated
from forecast_platform.forecasting.deep.aggregates import aggregate, cluster_stores
from forecast_platform.forecasting.deep.models import (
    DeepConfig,
    backtest_deep,
    forecast_deep,
    score_deep,
)


def measure(home: Path, *, n_regions: int, n_weeks: int) -> tuple[pd.DataFrame, list[float]]:
    """Backtest every region; return the rows of all and the CPU seconds of each."""
    parts, seconds, config = [], [], DeepConfig()
    for one in simulated(home, n_regions=n_regions, n_weeks=n_weeks):
        started, history = process_time(), one.history
        stores = history.stores.sort_values("week")
        clusters = cluster_stores(
            stores, history.demand, n_clusters=config.n_clusters, seed=config.seed
        )
        sums = aggregate(history.demand, history.products.sort_values("week"), clusters)
        held_out = backtest_deep(sums, config)
        forecast_deep(sums, held_out, config)
        seconds.append(process_time() - started)
        parts.append(held_out.assign(region=one.name))
    return pd.concat(parts, ignore_index=True), seconds


def _main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.deep", description=__doc__)
    parser.add_argument("--regions", type=int, default=3)
    parser.add_argument("--weeks", type=int, default=156)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        rows, seconds = measure(Path(home), n_regions=asked.regions, n_weeks=asked.weeks)
    scores = score_deep(rows, tuple(DeepConfig().families))
    shown = scores.drop(columns="n_rows").round(3)
    print(shown.to_markdown(index=False))
    per_region = ", ".join(f"{one:.1f}" for one in seconds)
    print(f"\n{len(rows):,} held-out rows; backtest and forecast per region: {per_region} CPU s")


if __name__ == "__main__":
    _main()
