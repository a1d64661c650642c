"""Training of one region's models from the lake, as known at the close of a week.

What is read for which cutoff; how a model is trained belongs to
`forecast_platform.forecasting.training`, where it is kept to `registry`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from forecast_platform.errors import TableMissing
from forecast_platform.partitions import RegionWeek
from forecast_platform.resources.demand import DemandHistory, read_demand_history
from forecast_platform.resources.members import member_families
from forecast_platform.resources.model_settings import ModelSettings
from forecast_platform.resources.snapshot import Snapshot
from forecast_platform.vocabulary import FORMAT, STORE_ID

if TYPE_CHECKING:
    from forecast_platform.forecasting.training import RegionModels

FEATURES = "demand_features"


@dataclass(frozen=True)
class TrainingInputs:
    """What one region's models of some weeks are made from.

    Parameters
    ----------
    features : pandas.DataFrame
        Rows of `FEATURES`, of all cutoffs that the models learn from.
    demand : DemandHistory
        Their labels, with corrections.
    """

    features: pd.DataFrame
    demand: DemandHistory


def read_inputs(
    tables: Snapshot, region: str, weeks: Sequence[pd.Timestamp], settings: ModelSettings
) -> TrainingInputs:
    """Read what the models of a region learn from.

    Raises
    ------
    TableMissing
        If there are no features or no demand at all.
    """
    first = min(weeks) - pd.Timedelta(weeks=settings.training_weeks)
    features = tables.read(FEATURES, region=region, since=first, until=max(weeks))
    return TrainingInputs(features, read_demand_history(tables, region, max(weeks)))


def train_at(key: RegionWeek, inputs: TrainingInputs, settings: ModelSettings) -> "RegionModels":
    """Train the models of a region on what was known at the close of a week.

    Raises
    ------
    TableMissing
        If the week has no features, or there is no demand up to it.
    """
    from forecast_platform.forecasting.training import TrainingConfig, train_region

    frame, demand = _known_at(key, inputs, settings)
    config = TrainingConfig(
        horizon=settings.horizon,
        epochs=settings.epochs,
        seed=settings.seed,
        threads=settings.threads,
        device=settings.device,
        min_history_weeks=settings.min_history_weeks,
        families=member_families(settings.members),
    )
    return train_region(frame, demand, cutoff=key.week, config=config)


def _known_at(
    key: RegionWeek, inputs: TrainingInputs, settings: ModelSettings
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Cut the region's inputs down to what was known at the close of one week."""
    from forecast_platform.forecasting.features.training import training_frame

    demand = inputs.demand.known_at(key.week)
    features = inputs.features[inputs.features["week"] <= key.week]
    if demand.empty or not (features["week"] == key.week).any():
        raise TableMissing(
            f"{key.key} has no demand or no features yet: materialize fct_weekly_demand and "
            "demand_features first"
        )
    frame = training_frame(features, demand, key.week, weeks=settings.training_weeks)
    formats = features.sort_values("week").drop_duplicates(STORE_ID, keep="last")
    return frame, demand.merge(formats[[STORE_ID, FORMAT]], on=STORE_ID, how="left")
