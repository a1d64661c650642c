"""Training of one region's models from the lake, as known at the close of a week.

What is read for which cutoff; how a model is trained belongs to
`forecast_platform.forecasting.training`, where it is kept to `registry`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pandas as pd

from forecast_platform.errors import TableMissing
from forecast_platform.partitions import RegionWeek
from forecast_platform.resources.demand import DemandHistory, read_demand_history
from forecast_platform.resources.donors import Lenders
from forecast_platform.resources.feature_codes import FEATURES
from forecast_platform.resources.members import member_families
from forecast_platform.resources.model_settings import ModelSettings
from forecast_platform.resources.registry import Registry
from forecast_platform.resources.snapshot import Snapshot
from forecast_platform.vocabulary import FORMAT, STORE_ID

if TYPE_CHECKING:
    from forecast_platform.forecasting.training import RegionModels, TrainingConfig


@dataclass(frozen=True)
class TrainingInputs:
    """What one region's models of some weeks are made from.

    Parameters
    ----------
    features : pandas.DataFrame
        Rows of `FEATURES`, of all cutoffs that the models learn from.
    demand : DemandHistory
        Their labels, with corrections.
    lenders : Lenders or None, default=None
        Where models come from that a region with a short history starts from.
    """

    features: pd.DataFrame
    demand: DemandHistory
    lenders: Lenders | None = None


def read_inputs(
    tables: Snapshot,
    region: str,
    weeks: Sequence[pd.Timestamp],
    settings: ModelSettings,
    registry: Registry | None = None,
) -> TrainingInputs:
    """Read what the models of a region learn from.

    Raises
    ------
    TableMissing
        If there are no features or no demand at all.
    """
    first = min(weeks) - pd.Timedelta(weeks=settings.training_weeks)
    features = tables.read(FEATURES, region=region, since=first, until=max(weeks))
    lenders = Lenders(region, tables, registry) if registry is not None else None
    return TrainingInputs(features, read_demand_history(tables, region, max(weeks)), lenders)


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
    config, names = _started(key, frame, config, inputs, settings)
    return replace(train_region(frame, demand, cutoff=key.week, config=config), donors=names)


def _started(
    key: RegionWeek,
    frame: pd.DataFrame,
    config: "TrainingConfig",
    inputs: TrainingInputs,
    settings: ModelSettings,
) -> tuple["TrainingConfig", tuple[str, ...]]:
    """Let a region with a short history start from models of other regions, if there are any."""
    from forecast_platform.forecasting.training import with_short_history

    n_weeks = frame["ds"].nunique()
    is_short = settings.warm_start_weeks <= n_weeks < settings.min_history_weeks
    if not (settings.warm_start and is_short and inputs.lenders):
        return config, ()
    lent = inputs.lenders.at(key.week)
    if not lent.names:
        return config, ()
    return with_short_history(config, n_weeks, lent.members), lent.names


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
