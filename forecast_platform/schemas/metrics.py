"""Contracts of forecasts of held-out weeks and of their scores.

How a score is computed belongs to `forecast_platform.forecasting.evaluation.metrics`.
"""

import pandas as pd
import pandera.pandas as pa
from pandera.typing import Series

from forecast_platform.vocabulary import FORMATS, VELOCITIES

ALL = "all"
"""Segment of the scores over all rows of a region."""


class HoldoutForecasts(pa.DataFrameModel):
    """Forecasts of weeks that the models had not seen when they made them."""

    region: Series[str] = pa.Field(description="Sales region")
    week: Series[pd.Timestamp] = pa.Field(description="Cutoff of the models that are validated")
    origin: Series[pd.Timestamp] = pa.Field(description="Week at whose close the row was forecast")
    unique_id: Series[str] = pa.Field(description="Series, `<store_id>/<product_id>`")
    ds: Series[pd.Timestamp] = pa.Field(description="Monday of the week that was forecast")
    h: Series[int] = pa.Field(ge=1, description="Weeks ahead of `origin` [weeks]")
    format: Series[str] = pa.Field(isin=FORMATS, description="Format of the store")
    velocity: Series[str] = pa.Field(isin=VELOCITIES, description="Velocity of the product")
    segment: Series[str] = pa.Field(description="`<format>_<velocity>`")
    y: Series[float] = pa.Field(ge=0, description="Actual demand, net of returns [units]")
    lasso: Series[float] = pa.Field(
        ge=0, nullable=True, description="Forecast of the LASSO member [units]"
    )
    embedding_net: Series[float] = pa.Field(
        ge=0, nullable=True, description="Forecast of the net [units]"
    )
    other_members: Series[str] = pa.Field(
        nullable=True, description="Forecasts of further members, as JSON by name [units]"
    )
    ensemble: Series[float] = pa.Field(ge=0, description="Forecast of the ensemble [units]")
    historical_average: Series[float] = pa.Field(
        ge=0, description="Forecast of the historical average [units]"
    )
    y_hat_p10: Series[float] = pa.Field(
        ge=0, nullable=True, description="10 % quantile of demand [units]"
    )
    y_hat_p50: Series[float] = pa.Field(ge=0, nullable=True, description="Median of demand [units]")
    y_hat_p90: Series[float] = pa.Field(
        ge=0, nullable=True, description="90 % quantile of demand [units]"
    )

    class Config(pa.DataFrameModel.Config):
        """Column set and key."""

        strict = True
        unique = ["region", "week", "origin", "unique_id", "ds"]


class ValidationMetrics(pa.DataFrameModel):
    """Scores of one region and week: every model on the same held-out rows, as fractions."""

    region: Series[str] = pa.Field(description="Sales region")
    week: Series[pd.Timestamp] = pa.Field(description="Cutoff of the models that were validated")
    segment: Series[str] = pa.Field(
        description="`<format>_<velocity>`; a format; or all: which rows were scored"
    )
    format: Series[str] = pa.Field(isin=FORMATS, nullable=True, description="Format of the stores")
    velocity: Series[str] = pa.Field(
        isin=VELOCITIES, nullable=True, description="Velocity of the products"
    )
    model: Series[str] = pa.Field(
        str_matches=r"^[a-z][a-z0-9_]*$", description="Member, ensemble or baseline"
    )
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
        ge=0,
        le=1,
        nullable=True,
        description="Share of rows within y_hat_p10 and y_hat_p90; of the ensemble only [fraction]",
    )
    pinball: Series[float] = pa.Field(
        ge=0,
        nullable=True,
        description="Mean pinball loss of the three quantiles over mean y; of the ensemble only "
        "[fraction]",
    )
    n_rows: Series[int] = pa.Field(ge=1, description="Rows scored")
    n_positive: Series[int] = pa.Field(ge=0, description="Rows with y > 0")
    n_zero: Series[int] = pa.Field(ge=0, description="Rows with y = 0")

    class Config(pa.DataFrameModel.Config):
        """Column set and key."""

        strict = True
        unique = ["region", "week", "segment", "model"]

    @pa.dataframe_check(name="counts_add_up")
    def _counts(cls, df: pd.DataFrame) -> pd.Series:
        return df["n_positive"] + df["n_zero"] == df["n_rows"]
