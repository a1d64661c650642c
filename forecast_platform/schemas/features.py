"""Contract of the feature table that training and scoring read.

How a feature is computed belongs to `forecast_platform.forecasting.features`; the names are in
`forecast_platform.vocabulary`.
"""

import numpy as np
import pandas as pd
import pandera.pandas as pa
from pandera.typing import Series

from forecast_platform.vocabulary import FORMATS, NUMERIC_FEATURES, VELOCITIES


class _Described(pa.DataFrameModel):
    region: Series[str] = pa.Field(description="Sales region")
    week: Series[pd.Timestamp] = pa.Field(description="Cutoff: Monday of the last known week")
    unique_id: Series[str] = pa.Field(
        str_matches=r"^[^/]+/[^/]+$", description="Series, `<store_id>/<product_id>`"
    )
    store_id: Series[str] = pa.Field(description="Store")
    product_id: Series[str] = pa.Field(description="Product")
    ds: Series[pd.Timestamp] = pa.Field(description="Monday of the week the row is about")
    h: Series[int] = pa.Field(ge=1, description="Weeks ahead of the cutoff [weeks]")
    format: Series[str] = pa.Field(isin=FORMATS, description="Format of the store")
    velocity: Series[str] = pa.Field(
        isin=VELOCITIES, description="Velocity of the product as known at the cutoff"
    )
    segment: Series[str] = pa.Field(description="`<format>_<velocity>`")
    category: Series[str] = pa.Field(description="Category of the product")
    brand: Series[str] = pa.Field(description="Brand of the product")
    event: Series[str] = pa.Field(description="Event of the week `ds`, or none")
    event_next: Series[str] = pa.Field(description="Event of the week after `ds`, or none")
    event_previous: Series[str] = pa.Field(description="Event of the week before `ds`, or none")
    week_of_year: Series[str] = pa.Field(
        str_matches=r"^[0-5][0-9]$", description="ISO week of `ds`, 01 to 53"
    )

    class Config(pa.DataFrameModel.Config):
        """Column set and key."""

        strict = True
        unique = ["region", "week", "unique_id", "h"]

    @pa.dataframe_check(name="is_about_the_week_h_weeks_ahead")
    def _ahead(cls, df: pd.DataFrame) -> pd.Series:
        return df["ds"] == df["week"] + pd.to_timedelta(7 * df["h"], unit="D")

    @pa.dataframe_check(name="numbers_are_finite")
    def _finite(cls, df: pd.DataFrame) -> pd.Series:
        finite = np.isfinite(df[list(NUMERIC_FEATURES)].to_numpy(np.float32))
        return pd.Series(np.logical_and.reduce(finite, axis=1), index=df.index)


DemandFeatures: type[pa.DataFrameModel] = type(
    "DemandFeatures",
    (_Described,),
    {
        "__doc__": "What is known at one cutoff about each series and week ahead; no label.",
        "__module__": __name__,
        "__annotations__": dict.fromkeys(NUMERIC_FEATURES, Series[np.float32]),
        **{name: pa.Field(description="Numeric feature") for name in NUMERIC_FEATURES},
    },
)
"""The described columns and then every numeric feature of the vocabulary, as float32."""
