"""Which assets run together, and for how long they may.

One run is one region's week (or a range of them), in process: the executor is set once in
``definitions.py``. What starts a run lives in ``schedules.py`` and ``sensors.py``. See
https://docs.dagster.io/guides/build/jobs/asset-jobs.
"""

from typing import Final

import dagster as dg

from forecast_platform.partitions import region_weeks

WEEK_RUN_SECONDS: Final = 2 * 60 * 60
"""A region-week takes seconds to minutes; a run that is still there after two hours is lost.

The default launcher does not notice that a whole container died, so this is the net.
"""

RANGE_RUN_SECONDS: Final = 6 * 60 * 60
"""Years of history of many regions in one run take longer."""

DATA_GROUPS: Final = ("raw", "conditioned", "features", "quality")
FORECAST_GROUPS: Final = (
    *DATA_GROUPS,
    "training",
    "validation",
    "promotion",
    "forecasting",
    "monitoring",
)

DEEP_GROUP: Final = "deep_horizon"
"""By the month, in a job of its own."""

weekly_forecast = dg.define_asset_job(
    "weekly_forecast",
    selection=dg.AssetSelection.groups(*FORECAST_GROUPS),
    partitions_def=region_weeks,
    description=(
        "Take one region's week the whole way: delivered files, marts, features, models, gate, "
        "forecasts of the next weeks, and what became of those before."
    ),
    tags={"dagster/max_runtime": str(WEEK_RUN_SECONDS)},
)

retrain_ensemble = dg.define_asset_job(
    "retrain_ensemble",
    selection=dg.AssetSelection.groups(
        *(group for group in FORECAST_GROUPS if group not in DATA_GROUPS)
    ),
    partitions_def=region_weeks,
    description=(
        "Train the models of one region's week again on the data that is there, judge them, and "
        "forecast with what the gate lets through."
    ),
    tags={"dagster/max_runtime": str(WEEK_RUN_SECONDS)},
)

remake_features = dg.define_asset_job(
    "remake_features",
    selection=dg.AssetSelection.groups("features"),
    partitions_def=region_weeks,
    description=(
        "Make the features of weeks again that are conditioned, by the code of now: what "
        "retraining_sensor asks for when that code has changed, before it trains."
    ),
    tags={"dagster/max_runtime": str(RANGE_RUN_SECONDS)},
)

condition_data = dg.define_asset_job(
    "condition_data",
    selection=dg.AssetSelection.groups(*DATA_GROUPS),
    partitions_def=region_weeks,
    description=(
        "Read, condition and featurize history without training: the job to run first for the "
        "weeks before the first forecast."
    ),
    tags={"dagster/max_runtime": str(RANGE_RUN_SECONDS)},
)

deep_forecast = dg.define_asset_job(
    "deep_forecast",
    selection=dg.AssetSelection.groups(DEEP_GROUP),
    partitions_def=region_weeks,
    description=(
        "Forecast a region and its clusters of stores up to a year ahead, and backtest it, from "
        "the marts of a week that is conditioned."
    ),
    tags={"dagster/max_runtime": str(WEEK_RUN_SECONDS)},
)

jobs: Final = (
    weekly_forecast,
    retrain_ensemble,
    remake_features,
    condition_data,
    deep_forecast,
)
