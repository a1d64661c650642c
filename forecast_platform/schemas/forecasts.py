"""Contract of the forecasts, the table that planners use.

Which model made a row is said in the row; how good it was is in `schemas.metrics`.
"""

import numpy as np
import pandas as pd
import pandera.pandas as pa
from pandera.typing import Series

from forecast_platform.vocabulary import FORMATS, HISTORICAL_AVERAGE, VELOCITIES

CHAMPION = "champion"
PREVIOUS_CHAMPION = "previous_champion"
CARRIED_FORWARD = "carried_forward"
EXPERIMENT = "experiment"
"""An arm of an experiment that is not the champion: wanted, and no failover."""

SERVERS = (EXPERIMENT, CHAMPION, PREVIOUS_CHAMPION, CARRIED_FORWARD, HISTORICAL_AVERAGE)
"""Who may make a row, in the order in which they are asked."""

AS_WANTED = (EXPERIMENT, CHAMPION)
ARMS = ("A", "B")
MONDAY = 0


class Forecasts(pa.DataFrameModel):
    """Weekly demand forecast for every series of a region, as known at the close of one week."""

    region: Series[str] = pa.Field(description="Sales region")
    week: Series[pd.Timestamp] = pa.Field(description="Monday; what was known at its close")
    forecast_id: Series[str] = pa.Field(
        unique=True, description="`<region>|<week>|<unique_id>|<h>`: names this row for ever"
    )
    unique_id: Series[str] = pa.Field(
        str_matches=r"^[^/]+/[^/]+$", description="Series, `<store_id>/<product_id>`"
    )
    store_id: Series[str] = pa.Field(description="Store")
    product_id: Series[str] = pa.Field(description="Product")
    format: Series[str] = pa.Field(isin=FORMATS, description="Format of the store")
    velocity: Series[str] = pa.Field(isin=VELOCITIES, description="Velocity of the product")
    segment: Series[str] = pa.Field(description="`<format>_<velocity>`")
    ds: Series[pd.Timestamp] = pa.Field(description="Monday of the week that is forecast")
    h: Series[int] = pa.Field(ge=1, description="Weeks ahead of `week` [weeks]")
    y_hat: Series[float] = pa.Field(ge=0, description="Forecast demand, net of returns [units]")
    y_hat_p10: Series[float] = pa.Field(
        ge=0, nullable=True, description="Demand is below it in 10 of 100 cases [units]"
    )
    y_hat_p50: Series[float] = pa.Field(
        ge=0,
        nullable=True,
        description="Median of demand; `y_hat`, which aims at MAPE, lies below it [units]",
    )
    y_hat_p90: Series[float] = pa.Field(
        ge=0, nullable=True, description="Demand is above it in 10 of 100 cases [units]"
    )
    lasso: Series[float] = pa.Field(
        ge=0, nullable=True, description="Forecast of the LASSO member [units]"
    )
    embedding_net: Series[float] = pa.Field(
        ge=0, nullable=True, description="Forecast of the net member [units]"
    )
    other_members: Series[str] = pa.Field(
        nullable=True, description="Forecasts of further members, as JSON by name [units]"
    )
    historical_average: Series[float] = pa.Field(
        ge=0, description="Forecast of the baseline [units]"
    )
    model_name: Series[str] = pa.Field(description="Registered name of the model that served")
    model_version: Series[pd.Int64Dtype] = pa.Field(
        nullable=True, coerce=True, description="Its version; none if it was made on the spot"
    )
    cutoff: Series[pd.Timestamp] = pa.Field(description="Its training cutoff")
    served_by: Series[str] = pa.Field(
        isin=SERVERS,
        description="champion, or after a failover: the champion before it, its last good forecast "
        "carried forward, or the historical average",
    )
    failover_reason: Series[str] = pa.Field(
        nullable=True, description="Why the champion did not serve, nor what was asked before"
    )
    experiment: Series[str] = pa.Field(
        nullable=True, description="Experiment that the row is part of; none outside of any"
    )
    arm: Series[str] = pa.Field(
        isin=ARMS, nullable=True, description="Arm that the row belongs to, A or B"
    )
    forecast_a: Series[float] = pa.Field(
        ge=0, nullable=True, description="Forecast of arm A, also where B serves [units]"
    )
    forecast_b: Series[float] = pa.Field(
        ge=0, nullable=True, description="Forecast of arm B, also where A serves [units]"
    )
    version_a: Series[pd.Int64Dtype] = pa.Field(
        nullable=True, coerce=True, description="Version of arm A's model"
    )
    version_b: Series[pd.Int64Dtype] = pa.Field(
        nullable=True, coerce=True, description="Version of arm B's model"
    )
    experiment_note: Series[str] = pa.Field(
        nullable=True, description="Why an arm could not forecast"
    )
    run_id: Series[str] = pa.Field(description="Dagster run that made the row")
    git_commit: Series[str] = pa.Field(description="Commit of the code that made the row")

    class Config(pa.DataFrameModel.Config):
        """Column set and key."""

        strict = True
        unique = ["region", "week", "unique_id", "h"]

    @pa.check("ds", name="opens_on_monday")
    def _opens_on_monday(cls, ds: pd.Series) -> pd.Series:
        return ds.dt.dayofweek == MONDAY

    @pa.dataframe_check(name="is_about_the_week_h_weeks_ahead")
    def _ahead(cls, df: pd.DataFrame) -> pd.Series:
        return df["ds"] == df["week"] + pd.to_timedelta(7 * df["h"], unit="D")

    @pa.check("y_hat", "y_hat_p10", "y_hat_p50", "y_hat_p90", name="is_finite")
    def _finite(cls, y_hat: pd.Series) -> pd.Series:
        return pd.Series(np.isfinite(y_hat), index=y_hat.index)

    @pa.dataframe_check(name="quantiles_do_not_cross")
    def _rising(cls, df: pd.DataFrame) -> pd.Series:
        crossed = (df["y_hat_p10"] > df["y_hat_p50"]) | (df["y_hat_p50"] > df["y_hat_p90"])
        return ~crossed

    @pa.dataframe_check(name="the_range_holds_the_forecast")
    def _within(cls, df: pd.DataFrame) -> pd.Series:
        return ~((df["y_hat"] < df["y_hat_p10"]) | (df["y_hat"] > df["y_hat_p90"]))

    @pa.dataframe_check(name="a_failover_has_a_reason")
    def _reasoned(cls, df: pd.DataFrame) -> pd.Series:
        return df["served_by"].isin(AS_WANTED) == df["failover_reason"].isna()

    @pa.dataframe_check(name="a_row_of_an_experiment_has_an_arm")
    def _armed(cls, df: pd.DataFrame) -> pd.Series:
        return df["experiment"].isna() == df["arm"].isna()

    @pa.dataframe_check(name="no_model_serves_from_the_future")
    def _known(cls, df: pd.DataFrame) -> pd.Series:
        return df["cutoff"] <= df["week"]
