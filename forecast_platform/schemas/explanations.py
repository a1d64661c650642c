"""Contracts of the tables that say why models and forecasts are what they are.

How an explanation is computed belongs to `forecast_platform.forecasting.explanation`.
"""

import numpy as np
import pandas as pd
import pandera.pandas as pa
from pandera.typing import Series

from forecast_platform.vocabulary import FORMATS, VELOCITIES

IMPORTANCE = "importance"
KINDS = ("elasticity", "uplift", "event_lift", "effect", IMPORTANCE)
ROUNDING = 1e-6
"""Parts add up to the forecast within this share of it, at least of one unit: what rounding of
sums can cost."""


class ModelExplanations(pa.DataFrameModel):
    """What the newest ensembles have learnt: coefficients in readable units, and importances."""

    region: Series[str] = pa.Field(description="Sales region")
    week: Series[pd.Timestamp] = pa.Field(description="Cutoff of the models")
    segment: Series[str] = pa.Field(description="`<format>_<velocity>`")
    format: Series[str] = pa.Field(isin=FORMATS, description="Format of the stores")
    velocity: Series[str] = pa.Field(isin=VELOCITIES, description="Velocity of the products")
    model: Series[str] = pa.Field(description="Member, or ensemble")
    model_version: Series[pd.Int64Dtype] = pa.Field(
        ge=1, coerce=True, description="Version of the ensemble in the registry"
    )
    kind: Series[str] = pa.Field(isin=KINDS, description="What `value` is")
    feature: Series[str] = pa.Field(
        description="Feature, `event=<name>`, or the group of an importance"
    )
    feature_group: Series[str] = pa.Field(description="Group of the feature")
    value: Series[float] = pa.Field(nullable=True, description="Size of the effect, in `unit`")
    unit: Series[str] = pa.Field(description="Unit of `value`")
    meaning: Series[str] = pa.Field(description="The same as a sentence")

    class Config(pa.DataFrameModel.Config):
        """Column set and key."""

        strict = True
        unique = ["region", "week", "segment", "model", "kind", "feature"]


class ForecastContributions(pa.DataFrameModel):
    """What made up each forecast; the parts add up to it [units]."""

    region: Series[str] = pa.Field(description="Sales region")
    week: Series[pd.Timestamp] = pa.Field(description="Monday; what was known at its close")
    forecast_id: Series[str] = pa.Field(unique=True, description="Id of the forecast")
    unique_id: Series[str] = pa.Field(description="Series, `<store_id>/<product_id>`")
    ds: Series[pd.Timestamp] = pa.Field(description="Monday of the week that is forecast")
    h: Series[int] = pa.Field(ge=1, description="Weeks ahead of `week` [weeks]")
    segment: Series[str] = pa.Field(description="`<format>_<velocity>`")
    served_by: Series[str] = pa.Field(description="champion, or the historical average")
    y_hat: Series[float] = pa.Field(ge=0, description="The forecast [units]")
    base: Series[float] = pa.Field(
        description="The model's forecast at the series' level, in a calm week of a usual store "
        "and product; all of a historical average [units]"
    )
    trend: Series[float] = pa.Field(description="Of recent demand against that level [units]")
    season: Series[float] = pa.Field(description="Of the time of the year [units]")
    price_promotion: Series[float] = pa.Field(
        description="Of price, discount, feature and display, own and competing [units]"
    )
    events: Series[float] = pa.Field(description="Of holidays and events around `ds` [units]")
    weather: Series[float] = pa.Field(description="Of the weather forecast for `ds` [units]")
    store_product: Series[float] = pa.Field(
        description="Of this store and product against usual ones [units]"
    )
    limits: Series[float] = pa.Field(
        description="Of caps, and whatever is done after the members [units]"
    )

    class Config(pa.DataFrameModel.Config):
        """Column set and key."""

        strict = True
        unique = ["region", "week", "unique_id", "h"]

    @pa.dataframe_check(name="parts_add_up_to_the_forecast")
    def _add_up(cls, df: pd.DataFrame) -> pd.Series:
        parts = ["base", "trend", "season", "price_promotion", "events", "weather"]
        parts += ["store_product", "limits"]
        error = (df[parts].sum(axis=1) - df["y_hat"]).abs()
        return error <= ROUNDING * np.maximum(1.0, df["y_hat"])
