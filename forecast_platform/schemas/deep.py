"""Contracts of the tables on deep horizons: sums of regions and clusters of stores.

How they are forecast belongs to `forecast_platform.forecasting.deep`.
"""

import pandas as pd
import pandera.pandas as pa
from pandera.typing import Series

BANDS = ("1-12", "13-26", "27-52")
SCOPES = ("region", "cluster")
MONDAY = 0


class DeepForecasts(pa.DataFrameModel):
    """Weekly demand of a region and its clusters of stores, up to a year ahead."""

    region: Series[str] = pa.Field(description="Sales region")
    week: Series[pd.Timestamp] = pa.Field(description="Monday; what was known at its close")
    unique_id: Series[str] = pa.Field(description="`<scope>/<category>`")
    scope: Series[str] = pa.Field(
        str_matches=r"^(region|cluster_[0-9]+)$",
        description="The whole region, or a cluster of stores; cluster_1 has the largest",
    )
    category: Series[str] = pa.Field(description="Category of the products, or all")
    ds: Series[pd.Timestamp] = pa.Field(description="Monday of the week that is forecast")
    h: Series[int] = pa.Field(ge=1, le=52, description="Weeks ahead of `week` [weeks]")
    y_hat: Series[float] = pa.Field(ge=0, description="Forecast demand, net of returns [units]")
    y_hat_p10: Series[float] = pa.Field(
        ge=0, nullable=True, description="Lower end of the 80 % range [units]"
    )
    y_hat_p90: Series[float] = pa.Field(
        ge=0, nullable=True, description="Upper end of the 80 % range [units]"
    )
    seasonal_naive: Series[float] = pa.Field(ge=0, description="Same week a year before [units]")
    historical_average: Series[float] = pa.Field(ge=0, description="Mean of the history [units]")
    n_stores: Series[int] = pa.Field(ge=1, description="Stores in the scope, as known at `week`")

    class Config(pa.DataFrameModel.Config):
        """Column set and key."""

        strict = True
        unique = ["region", "week", "unique_id", "h"]

    @pa.check("ds", name="opens_on_monday")
    def _opens_on_monday(cls, ds: pd.Series) -> pd.Series:
        return ds.dt.dayofweek == MONDAY

    @pa.dataframe_check(name="the_range_holds_the_forecast")
    def _in_range(cls, df: pd.DataFrame) -> pd.Series:
        inside = (df["y_hat_p10"] <= df["y_hat"]) & (df["y_hat"] <= df["y_hat_p90"])
        return inside | df["y_hat_p10"].isna()


class DeepBacktest(pa.DataFrameModel):
    """Errors of deep forecasts of the last year, against simple methods on the same rows."""

    region: Series[str] = pa.Field(description="Sales region")
    week: Series[pd.Timestamp] = pa.Field(description="Last week whose demand was known")
    scope: Series[str] = pa.Field(isin=SCOPES, description="The region, or its clusters")
    band: Series[str] = pa.Field(isin=BANDS, description="Weeks ahead [weeks]")
    model: Series[str] = pa.Field(description="ensemble, member or simple method")
    mape: Series[float] = pa.Field(ge=0, nullable=True, description="MAPE [fraction]")
    wape: Series[float] = pa.Field(ge=0, nullable=True, description="WAPE [fraction]")
    bias: Series[float] = pa.Field(nullable=True, description="Above 0 is high [fraction]")
    coverage: Series[float] = pa.Field(
        ge=0, le=1, nullable=True, description="Share of actuals in the 80 % range [fraction]"
    )
    n_rows: Series[int] = pa.Field(ge=1, description="Rows scored")

    class Config(pa.DataFrameModel.Config):
        """Column set and key."""

        strict = True
        unique = ["region", "week", "scope", "band", "model"]
