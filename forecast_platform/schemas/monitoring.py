"""Contracts of the tables that watch production: realised accuracy, drift, health of models.

How a number is computed belongs to `forecast_platform.forecasting.monitoring`.
"""

from enum import StrEnum

import pandas as pd
import pandera.pandas as pa
from pandera.typing import Series

from forecast_platform.vocabulary import FORMATS, VELOCITIES

SEGMENTS = tuple(f"{form}_{velocity}" for form in FORMATS for velocity in VELOCITIES)
SUBJECTS = ("features", "residuals")


class Health(StrEnum):
    """How old the model that serves a segment is."""

    OK = "ok"
    AGEING = "ageing"
    STALE = "stale"
    NO_FORECAST = "no_forecast"


class ForecastAccuracy(pa.DataFrameModel):
    """Realised errors of past forecasts, scored when the demand of their week became known."""

    region: Series[str] = pa.Field(description="Sales region")
    week: Series[pd.Timestamp] = pa.Field(
        description="Monday; the demand that the scores use is as known at its close"
    )
    ds: Series[pd.Timestamp] = pa.Field(
        description="Week that was forecast: `week`, or an earlier one that was corrected in it"
    )
    segment: Series[str] = pa.Field(description="`<format>_<velocity>`, or all")
    h: Series[int] = pa.Field(ge=0, description="Weeks ahead; 0 is all of them [weeks]")
    n_rows: Series[int] = pa.Field(ge=1, description="Forecasts scored")
    n_positive: Series[int] = pa.Field(ge=0, description="Forecasts with demand above 0")
    n_zero: Series[int] = pa.Field(ge=0, description="Forecasts with demand 0")
    mape: Series[float] = pa.Field(
        ge=0, nullable=True, description="Mean |y - y_hat| / y over rows with y > 0 [fraction]"
    )
    wape: Series[float] = pa.Field(
        ge=0, nullable=True, description="Sum of |y - y_hat| over sum of y [fraction]"
    )
    rmse_0: Series[float] = pa.Field(
        ge=0, nullable=True, description="Root mean squared error over rows with y = 0 [units]"
    )
    rmse_all: Series[float] = pa.Field(
        ge=0, nullable=True, description="Root mean squared error over all rows [units]"
    )
    bias: Series[float] = pa.Field(
        nullable=True, description="Sum of (y_hat - y) over sum of y; above 0 is high [fraction]"
    )
    coverage_80: Series[float] = pa.Field(
        ge=0, le=1, nullable=True, description="Share of rows within p10 .. p90 [fraction]"
    )
    mape_baseline: Series[float] = pa.Field(
        ge=0,
        nullable=True,
        description="MAPE of the historical average made at the same time [fraction]",
    )
    wape_baseline: Series[float] = pa.Field(
        ge=0, nullable=True, description="WAPE of that historical average [fraction]"
    )
    bias_baseline: Series[float] = pa.Field(
        nullable=True, description="Bias of that historical average [fraction]"
    )
    value_added: Series[float] = pa.Field(
        nullable=True, description="`mape_baseline` less `mape`: forecast value added [fraction]"
    )
    share_champion: Series[float] = pa.Field(
        ge=0, le=1, description="Share of the forecasts that a champion served [fraction]"
    )
    share_experiment: Series[float] = pa.Field(
        ge=0,
        le=1,
        nullable=True,
        description="Share of the forecasts that an arm of an experiment served in its place, as "
        "was wanted; none in old rows [fraction]",
    )
    mape_promised: Series[float] = pa.Field(
        ge=0, nullable=True, description="MAPE that validation found of the models [fraction]"
    )
    mape_baseline_promised: Series[float] = pa.Field(
        ge=0,
        nullable=True,
        description="MAPE of the historical average in that validation [fraction]",
    )

    class Config(pa.DataFrameModel.Config):
        """Column set and key."""

        strict = True
        unique = ["region", "week", "ds", "segment", "h"]

    @pa.dataframe_check(name="counts_add_up")
    def _counts(cls, df: pd.DataFrame) -> pd.Series:
        return df["n_positive"] + df["n_zero"] == df["n_rows"]

    @pa.dataframe_check(name="only_the_past_is_scored")
    def _past(cls, df: pd.DataFrame) -> pd.Series:
        return df["ds"] <= df["week"]


class ModelDrift(pa.DataFrameModel):
    """Whether what models are fed, and what they get wrong, is as it used to be in the region."""

    region: Series[str] = pa.Field(description="Sales region")
    week: Series[pd.Timestamp] = pa.Field(description="Monday of the week that is judged")
    subject: Series[str] = pa.Field(isin=SUBJECTS, description="Features or residuals")
    is_drifted: Series[bool] = pa.Field(description="Whether the value is above its limit")
    value: Series[float] = pa.Field(
        nullable=True, description="Shift that was found; none if nothing could be judged"
    )
    limit: Series[float] = pa.Field(
        nullable=True, description="Largest usual shift, from the region's own past"
    )
    description: Series[str] = pa.Field(description="What was judged, in words")

    class Config(pa.DataFrameModel.Config):
        """Column set and key."""

        strict = True
        unique = ["region", "week", "subject"]


class ModelHealth(pa.DataFrameModel):
    """What serves each segment, how old it is, and what it turned out to be worth."""

    region: Series[str] = pa.Field(description="Sales region")
    week: Series[pd.Timestamp] = pa.Field(description="Monday; as known at its close")
    segment: Series[str] = pa.Field(isin=SEGMENTS, description="`<format>_<velocity>`")
    status: Series[str] = pa.Field(
        isin=[one.value for one in Health],
        description="ok; ageing from 45 days; stale above 60 days; or no_forecast",
    )
    age_days: Series[pd.Int64Dtype] = pa.Field(
        nullable=True, coerce=True, description="From the training cutoff to `week` [days]"
    )
    cutoff: Series[pd.Timestamp] = pa.Field(
        nullable=True, description="Training cutoff of the oldest model that serves"
    )
    model_name: Series[str] = pa.Field(nullable=True, description="Registered name of that model")
    model_version: Series[pd.Int64Dtype] = pa.Field(
        nullable=True, coerce=True, description="Its version; none if it was made on the spot"
    )
    served_by: Series[str] = pa.Field(nullable=True, description="champion, or what stood in")
    failover_reason: Series[str] = pa.Field(nullable=True, description="Why it stood in")
    n_weeks: Series[int] = pa.Field(ge=0, description="Weeks of realised scores behind the verdict")
    mape_realised: Series[float] = pa.Field(
        ge=0, nullable=True, description="Mean MAPE of the last 8 scored weeks [fraction]"
    )
    mape_baseline: Series[float] = pa.Field(
        ge=0,
        nullable=True,
        description="The same of the historical average made at the same time [fraction]",
    )
    mape_promised: Series[float] = pa.Field(
        ge=0, nullable=True, description="MAPE that validation had promised for them [fraction]"
    )
    is_degraded: Series[bool] = pa.Field(
        description="Whether skill against the historical average was lost beyond doubt"
    )
    skill_lost: Series[float] = pa.Field(
        nullable=True, description="Mean log skill lost against the promise; above 0 is worse"
    )
    skill_lost_at_least: Series[float] = pa.Field(
        nullable=True, description="Lower end of its always-valid interval; none while unknown"
    )
    is_drifted: Series[bool] = pa.Field(description="Whether features or residuals drifted")

    class Config(pa.DataFrameModel.Config):
        """Column set and key."""

        strict = True
        unique = ["region", "week", "segment"]
