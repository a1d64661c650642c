"""Deep forecasts of one region and week from the lake.

What is read for which week; sums, features and models are in `forecast_platform.forecasting.deep`.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from forecast_platform.errors import TableMissing
from forecast_platform.partitions import RegionWeek
from forecast_platform.resources.demand import read_demand
from forecast_platform.resources.members import member_families
from forecast_platform.resources.model_settings import ModelSettings
from forecast_platform.resources.snapshot import Snapshot
from forecast_platform.vocabulary import DS, Y_HAT

if TYPE_CHECKING:
    pass


@dataclass(frozen=True)
class DeepResult:
    """Forecasts and scores of one region-week; both empty where the history is too short."""

    forecasts: pd.DataFrame
    scores: pd.DataFrame
    reason: str | None = None


def deep_at(key: RegionWeek, tables: Snapshot, settings: ModelSettings) -> DeepResult:
    """Backtest and forecast a region and its clusters of stores as known at the close of a week.

    Raises
    ------
    TableMissing
        If there is no demand, or no store, as of the week.
    """
    from forecast_platform.forecasting.deep.aggregates import aggregate, cluster_stores
    from forecast_platform.forecasting.deep.models import (
        DeepConfig,
        backtest_deep,
        forecast_deep,
        score_deep,
    )

    demand = read_demand(tables, key.region, key.week)
    stores = tables.read("dim_stores", region=key.region, weeks=[key.week])
    products = tables.read("dim_products", region=key.region, until=key.week)
    if demand.empty or stores.empty or demand[DS].max() != key.week:
        raise TableMissing(
            f"{key.key} has no demand or no stores yet: materialize dim_stores and "
            "fct_weekly_demand first"
        )
    config: DeepConfig = DeepConfig(
        seed=settings.seed,
        threads=settings.threads,
        epochs=settings.epochs,
        families=member_families(settings.members),
    )
    clusters = cluster_stores(stores, demand, n_clusters=config.n_clusters, seed=config.seed)
    open_now = demand[demand["store_id"].isin(clusters.index)]
    sums = aggregate(open_now, products.sort_values("week"), clusters)
    held_out = backtest_deep(sums, config)
    if held_out.empty:
        weeks = sums[DS].nunique()
        reason = f"history too short: {weeks} weeks, 78 needed"
        return DeepResult(pd.DataFrame(), pd.DataFrame(), reason)
    made = forecast_deep(sums, held_out, config)
    sizes = clusters.value_counts().to_dict() | {"region": len(clusters)}
    names = {"ensemble": Y_HAT, "low": "y_hat_p10", "high": "y_hat_p90"}
    forecasts = made.rename(columns=names).assign(
        region=key.region, week=key.week, n_stores=made["scope"].map(sizes)
    )
    scores = score_deep(held_out, tuple(config.families))
    return DeepResult(forecasts, scores.assign(region=key.region, week=key.week))
