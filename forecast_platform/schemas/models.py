"""Contracts of the tables about models: which were trained, and which serves from when.

Scores are in `forecast_platform.schemas.metrics`; the model files are in the registry.
"""

from datetime import timedelta
from enum import StrEnum

import pandas as pd
import pandera.pandas as pa
from pandera.typing import Series

from forecast_platform.vocabulary import (
    ENSEMBLE,
    FORMATS,
    HISTORICAL_AVERAGE,
    VELOCITIES,
)

KINDS = (ENSEMBLE, HISTORICAL_AVERAGE)
TRAINED = "trained"
HISTORY_TOO_SHORT = "history_too_short"
NO_ROWS = "no_rows"
NOT_REGISTERED = "not_registered"
STATUSES = (TRAINED, HISTORY_TOO_SHORT, NO_ROWS, NOT_REGISTERED)
"""``no_rows`` is a segment without any series, such as a region that has no small stores;
``not_registered`` was trained while the registry could not be reached, and is lost."""

PROMOTED = "promoted"
KEPT_CHAMPION = "kept_champion"
NO_CHAMPION = "no_champion"
BASELINE = "baseline"
PENDING = "pending"
APPROVED = "approved"
REJECTED = "rejected"
ROLLED_BACK = "rolled_back"
VERDICTS = (
    *(PROMOTED, KEPT_CHAMPION, NO_CHAMPION, BASELINE),
    *(PENDING, APPROVED, REJECTED, ROLLED_BACK),
)
"""``pending`` passed the rule and waits for a person, whose word the last three are."""


class Trigger(StrEnum):
    """What may start a training, in the order in which it is told."""

    TIMER = "timer"
    DATA = "data"
    CODE = "code"
    STALE = "stale"
    DEGRADED = "degraded"
    DRIFT = "drift"
    MANUAL = "manual"


_ANY_TRIGGER = "|".join(one.value for one in Trigger)

STALE_AFTER = timedelta(days=60)
"""A model is stale when more than this lies between its cutoff and the week that it scores."""

AGEING_AFTER = timedelta(days=45)
"""From this age on a model is about to become stale: the check warns."""

MODELS_PER_REGION = len(FORMATS) * len(VELOCITIES) + len(FORMATS)
"""Four ensembles and two baselines."""


class TrainedEnsembles(pa.DataFrameModel):
    """Models of one region and week: four ensembles and two baselines, also those not trained."""

    region: Series[str] = pa.Field(description="Sales region")
    week: Series[pd.Timestamp] = pa.Field(description="Monday; the models know demand up to it")
    segment: Series[str] = pa.Field(
        description="`<format>_<velocity>` of an ensemble, the format of a baseline"
    )
    format: Series[str] = pa.Field(isin=FORMATS, description="Format of the stores")
    velocity: Series[str] = pa.Field(
        isin=VELOCITIES, nullable=True, description="Velocity of the products; none for baselines"
    )
    kind: Series[str] = pa.Field(isin=KINDS, description="ensemble or historical_average")
    model_name: Series[str] = pa.Field(
        str_startswith="demand-", description="Name in the model registry"
    )
    model_version: Series[pd.Int64Dtype] = pa.Field(
        ge=1, nullable=True, coerce=True, description="Version in the registry; none if not trained"
    )
    mlflow_run_id: Series[str] = pa.Field(nullable=True, description="MLflow run of the training")
    sha256: Series[str] = pa.Field(
        nullable=True, str_matches=r"^[0-9a-f]{64}$", description="Digest of the model's files"
    )
    artifact_uri: Series[str] = pa.Field(nullable=True, description="Where the files are kept")
    cutoff: Series[pd.Timestamp] = pa.Field(description="Last week whose demand was learnt from")
    n_rows: Series[int] = pa.Field(ge=0, description="Training rows")
    n_series: Series[int] = pa.Field(ge=0, description="Series among the training rows")
    weight_lasso: Series[float] = pa.Field(
        ge=0, le=1, nullable=True, description="Weight of the LASSO regression in the ensemble"
    )
    weight_embedding_net: Series[float] = pa.Field(
        ge=0, le=1, nullable=True, description="Weight of the embedding net in the ensemble"
    )
    other_weights: Series[str] = pa.Field(
        nullable=True, description="Weights of further members, as JSON by name"
    )
    train_seconds: Series[float] = pa.Field(
        ge=0, description="Duration of the training of the whole region [seconds]"
    )
    status: Series[str] = pa.Field(isin=STATUSES, description="Whether there is a model")
    reason: Series[str] = pa.Field(nullable=True, description="Why there is none")
    code_digest: Series[str] = pa.Field(
        nullable=True,
        str_matches=r"^[0-9a-f]{64}$",
        description="Version of the code of features, models and training; none in old rows",
    )
    triggered_by: Series[str] = pa.Field(
        nullable=True,
        str_matches=rf"^({_ANY_TRIGGER})(,({_ANY_TRIGGER}))*$",
        description="What started the training, joined by commas: timer, data, code, stale, "
        "degraded, drift, manual; none in old rows",
    )
    n_weeks_of_other_code: Series[pd.Int64Dtype] = pa.Field(
        ge=0,
        nullable=True,
        coerce=True,
        description="Weeks learnt from whose features are known to be made by other code than "
        "those of the newest week; none in old rows [weeks]",
    )

    class Config(pa.DataFrameModel.Config):
        """Column set and key."""

        strict = True
        unique = ["region", "week", "model_name"]

    @pa.dataframe_check(name="a_trained_model_is_registered")
    def _registered(cls, df: pd.DataFrame) -> pd.Series:
        return (df["status"] != TRAINED) | (df["model_version"].notna() & df["sha256"].notna())

    @pa.dataframe_check(name="a_missing_model_has_a_reason")
    def _reasoned(cls, df: pd.DataFrame) -> pd.Series:
        return (df["status"] == TRAINED) | df["reason"].notna()


class Promotion(pa.DataFrameModel):
    """Which model serves each segment from one week on: what scoring reads."""

    region: Series[str] = pa.Field(description="Sales region")
    week: Series[pd.Timestamp] = pa.Field(description="Monday from which the verdict holds")
    segment: Series[str] = pa.Field(
        description="`<format>_<velocity>` of an ensemble, the format of a baseline"
    )
    format: Series[str] = pa.Field(isin=FORMATS, description="Format of the stores")
    velocity: Series[str] = pa.Field(
        isin=VELOCITIES, nullable=True, description="Velocity of the products; none for baselines"
    )
    kind: Series[str] = pa.Field(isin=KINDS, description="ensemble or historical_average")
    model_name: Series[str] = pa.Field(
        str_startswith="demand-", description="Name in the model registry"
    )
    challenger_version: Series[pd.Int64Dtype] = pa.Field(
        nullable=True, coerce=True, description="Version that was judged; none if none was trained"
    )
    champion_version: Series[pd.Int64Dtype] = pa.Field(
        nullable=True, coerce=True, description="Version that serves; none without a champion"
    )
    verdict: Series[str] = pa.Field(isin=VERDICTS, description="What the gate decided")
    reason: Series[str] = pa.Field(description="Why, in words")
    sha256: Series[str] = pa.Field(
        nullable=True,
        str_matches=r"^[0-9a-f]{64}$",
        description="Digest of the serving model's files",
    )
    artifact_uri: Series[str] = pa.Field(nullable=True, description="Where its files are kept")
    cutoff: Series[pd.Timestamp] = pa.Field(nullable=True, description="Its training cutoff")
    mape_challenger: Series[float] = pa.Field(
        ge=0, nullable=True, description="MAPE of the challenger on held-out rows [fraction]"
    )
    mape_champion: Series[float] = pa.Field(
        ge=0,
        nullable=True,
        description="MAPE of the champion of last week on rows both could be judged on [fraction]",
    )
    mape_baseline: Series[float] = pa.Field(
        ge=0, nullable=True, description="MAPE of the historical average, same rows [fraction]"
    )

    class Config(pa.DataFrameModel.Config):
        """Column set and key."""

        strict = True
        unique = ["region", "week", "model_name"]

    @pa.dataframe_check(name="a_serving_model_can_be_fetched")
    def _fetchable(cls, df: pd.DataFrame) -> pd.Series:
        serving = df["champion_version"].notna()
        return ~serving | (df["sha256"].notna() & df["artifact_uri"].notna())

    @pa.dataframe_check(name="no_model_serves_from_the_future")
    def _known(cls, df: pd.DataFrame) -> pd.Series:
        return df["cutoff"].isna() | (df["cutoff"] <= df["week"])
