"""How models are trained and forecasts made; the defaults come from the deployment's settings.

A resource, so that every value can be changed for one run in the Launchpad.
"""

import dagster as dg
from pydantic import Field

from forecast_platform.vocabulary import MEMBERS


class ModelSettings(dg.ConfigurableResource):
    """Training and forecasting parameters of one run."""

    horizon: int = Field(default=4, ge=1, le=13, description="Weeks ahead to forecast [weeks].")
    training_weeks: int = Field(
        default=156, ge=8, description="History that a model is trained on [weeks]."
    )
    min_history_weeks: int = Field(
        default=26,
        ge=1,
        description="Below this history a region learns nothing by itself: see warm_start [weeks].",
    )
    warm_start: bool = Field(
        default=True,
        description="Whether a region with a history below min_history_weeks starts from models of "
        "other regions.",
    )
    warm_start_weeks: int = Field(
        default=8, ge=8, description="History that a warm start needs at least [weeks]."
    )
    epochs: int = Field(default=4, ge=1, description="Passes of the net over its training rows.")
    seed: int = Field(default=0, ge=0, description="Seed of every random choice in training.")
    threads: int = Field(default=1, ge=1, description="Threads of one training.")
    device: str = Field(default="auto", description="Where nets are trained: auto, cpu or cuda.")
    members: list[str] = Field(
        default=list(MEMBERS),
        min_length=1,
        description="Members of the ensembles, by the names that the deployment has configured.",
    )
