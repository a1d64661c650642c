"""Contracts of the conditioned marts: the standard shape of every customer's data.

What dbt builds is held to these before it is published. How it is built is in
`dbt_conditioning`; what was delivered, before any of it, is in `schemas.raw`.
"""

from collections.abc import Mapping
from typing import Final

import pandas as pd
import pandera.pandas as pa
from pandera.typing import Series

from forecast_platform.vocabulary import FORMATS

MONDAY = 0
UNIQUE_ID_PATTERN = r"^[^/]+/[^/]+$"


class _RegionWeekly(pa.DataFrameModel):
    """What every mart has: a region, and the week at whose close its rows were known."""

    region: Series[str] = pa.Field(description="Sales region")
    week: Series[pd.Timestamp] = pa.Field(
        description="Monday of the week at whose close the row was known"
    )

    class Config(pa.DataFrameModel.Config):
        """No column beside those of the contract."""

        strict = True

    @pa.check("week", name="week_opens_on_monday")
    def _week_opens_on_monday(cls, week: pd.Series) -> pd.Series:
        return week.dt.dayofweek == MONDAY


class _AboutWeeks(_RegionWeekly):
    """Rows about a week, the same as ``week`` or ``h`` weeks from it."""

    ds: Series[pd.Timestamp] = pa.Field(description="Monday that opens the week the row is about")
    h: Series[int] = pa.Field(description="Weeks from `week` to `ds` [weeks]")

    @pa.dataframe_check(name="ds_is_h_weeks_from_week")
    def _ds_is_h_weeks_from_week(cls, table: pd.DataFrame) -> pd.Series:
        return table["ds"] == table["week"] + pd.to_timedelta(table["h"] * 7, unit="D")


class Stores(_RegionWeekly):
    """Stores of a region and their shoppers, as known at the close of each week."""

    store_id: Series[str] = pa.Field(description="Store")
    zip: Series[str] = pa.Field(description="Postal code")
    format: Series[str] = pa.Field(isin=FORMATS, description="`large` or `small`")
    opened_on: Series[pd.Timestamp] = pa.Field(description="First day open")
    closed_on: Series[pd.Timestamp] = pa.Field(
        nullable=True, description="First day closed; none while open"
    )
    share_age_60_plus: Series[float] = pa.Field(
        nullable=True, description="Shoppers aged 60 or more [fraction]"
    )
    share_college: Series[float] = pa.Field(
        nullable=True, description="Shoppers with a college degree [fraction]"
    )
    share_ethnic_minority: Series[float] = pa.Field(
        nullable=True, description="Shoppers of an ethnic minority [fraction]"
    )
    median_income: Series[float] = pa.Field(
        nullable=True, description="Median income, as delivered"
    )
    share_large_households: Series[float] = pa.Field(
        nullable=True, description="Households of 5 or more [fraction]"
    )
    share_working_women: Series[float] = pa.Field(
        nullable=True, description="Women who work full time [fraction]"
    )
    share_high_value_homes: Series[float] = pa.Field(
        nullable=True, description="Homes of high value [fraction]"
    )
    warehouse_distance: Series[float] = pa.Field(
        nullable=True, description="Distance to the nearest warehouse store, as delivered"
    )
    warehouse_volume_ratio: Series[float] = pa.Field(
        nullable=True, description="Sales volume relative to that warehouse store"
    )
    competitor_distance: Series[float] = pa.Field(
        nullable=True, description="Mean distance to the nearest competitors, as delivered"
    )
    competitor_volume_ratio: Series[float] = pa.Field(
        nullable=True, description="Sales volume relative to those competitors"
    )

    class Config(_RegionWeekly.Config):
        """One row per region, week and store."""

        unique = ["region", "week", "store_id"]


class Products(_RegionWeekly):
    """Products of a region, as known at the close of each week."""

    product_id: Series[str] = pa.Field(description="Product")
    category: Series[str] = pa.Field(description="Category")
    brand: Series[str] = pa.Field(nullable=True, description="Brand")
    package_size: Series[str] = pa.Field(
        nullable=True, description="Size of a package, as delivered"
    )
    launched_on: Series[pd.Timestamp] = pa.Field(description="First day listed")
    delisted_on: Series[pd.Timestamp] = pa.Field(
        nullable=True, description="First day no longer listed; none while listed"
    )

    class Config(_RegionWeekly.Config):
        """One row per region, week and product."""

        unique = ["region", "week", "product_id"]


class NewSeries(_RegionWeekly):
    """Series in the week in which they were first shipped; all weeks together are all series."""

    store_id: Series[str] = pa.Field(description="Store")
    product_id: Series[str] = pa.Field(description="Product")
    unique_id: Series[str] = pa.Field(
        str_matches=UNIQUE_ID_PATTERN, description="Series, `<store_id>/<product_id>`"
    )
    first_week: Series[pd.Timestamp] = pa.Field(
        description="Monday of the first week with units shipped"
    )

    class Config(_RegionWeekly.Config):
        """One row per region and series."""

        unique = ["region", "unique_id"]

    @pa.dataframe_check(name="first_week_is_the_week")
    def _first_week_is_the_week(cls, table: pd.DataFrame) -> pd.Series:
        return table["first_week"] == table["week"]


class WeeklyDemand(_RegionWeekly):
    """Demand of every series of an open store and a listed product, zeros included."""

    ds: Series[pd.Timestamp] = pa.Field(description="Monday that opens the week; equal to `week`")
    unique_id: Series[str] = pa.Field(
        str_matches=UNIQUE_ID_PATTERN, description="Series, `<store_id>/<product_id>`"
    )
    store_id: Series[str] = pa.Field(description="Store")
    product_id: Series[str] = pa.Field(description="Product")
    units_shipped: Series[float] = pa.Field(ge=0, description="Units shipped [units]")
    units_returned: Series[float] = pa.Field(ge=0, description="Units returned [units]")
    y: Series[float] = pa.Field(
        ge=0, description="Net demand: shipped minus returned, clipped at 0 [units]"
    )
    is_filled: Series[bool] = pa.Field(
        description="No shipment was delivered for the row: its zero is ours"
    )

    class Config(_RegionWeekly.Config):
        """One row per region, week and series."""

        unique = ["region", "week", "unique_id"]

    @pa.dataframe_check(name="ds_is_the_week")
    def _ds_is_the_week(cls, table: pd.DataFrame) -> pd.Series:
        return table["ds"] == table["week"]

    @pa.dataframe_check(name="y_is_net_demand")
    def _y_is_net_demand(cls, table: pd.DataFrame) -> pd.Series:
        return table["y"] == (table["units_shipped"] - table["units_returned"]).clip(lower=0)


class WeeklyWeather(_AboutWeeks):
    """Weather of the week as observed, and of the weeks after it as forecast at its close."""

    zip: Series[str] = pa.Field(description="Postal code")
    h: Series[int] = pa.Field(
        ge=0, le=4, description="Weeks ahead: 0 observed, 1 to 4 forecast [weeks]"
    )
    temperature_c: Series[float] = pa.Field(
        nullable=True, description="Mean of the daily temperatures [degrees Celsius]"
    )
    temperature_min_c: Series[float] = pa.Field(
        nullable=True, description="Lowest daily temperature [degrees Celsius]"
    )
    temperature_max_c: Series[float] = pa.Field(
        nullable=True, description="Highest daily temperature [degrees Celsius]"
    )
    precipitation_mm: Series[float] = pa.Field(
        nullable=True, ge=0, description="Precipitation of the week [mm]"
    )
    snow_cm: Series[float] = pa.Field(nullable=True, ge=0, description="Snow of the week [cm]")
    n_days: Series[int] = pa.Field(ge=1, le=7, description="Days of the week with weather [days]")

    class Config(_RegionWeekly.Config):
        """One row per region, week, zip and week ahead."""

        unique = ["region", "week", "zip", "ds"]


class WeeklyEvents(_AboutWeeks):
    """Events of each store around a week, as known at its close."""

    store_id: Series[str] = pa.Field(description="Store")
    h: Series[int] = pa.Field(ge=-1, le=5, description="Weeks ahead, from -1 to 5 [weeks]")
    event: Series[str] = pa.Field(
        description="Event with most days in `ds`, the alphabetically first of equals; "
        "`none` without one"
    )
    n_event_days: Series[int] = pa.Field(
        ge=0, le=7, description="Days of `ds` with any event [days]"
    )
    is_holiday: Series[bool] = pa.Field(description="An event of `ds` is a holiday")

    class Config(_RegionWeekly.Config):
        """One row per region, week, store and week ahead."""

        unique = ["region", "week", "store_id", "ds"]


class WeeklyPrices(_AboutWeeks):
    """Planned price and promotion of a week and the weeks after it, as known at its close."""

    store_id: Series[str] = pa.Field(description="Store")
    product_id: Series[str] = pa.Field(description="Product")
    unique_id: Series[str] = pa.Field(
        str_matches=UNIQUE_ID_PATTERN, description="Series, `<store_id>/<product_id>`"
    )
    h: Series[int] = pa.Field(ge=0, le=4, description="Weeks ahead, from 0 to 4 [weeks]")
    price: Series[float] = pa.Field(
        nullable=True, gt=0, description="Planned price [currency/unit]"
    )
    feature: Series[float] = pa.Field(ge=0, le=1, description="Intensity of advertising [0 to 1]")
    display: Series[float] = pa.Field(ge=0, le=1, description="Intensity of display [0 to 1]")

    class Config(_RegionWeekly.Config):
        """One row per region, week, series and week ahead."""

        unique = ["region", "week", "unique_id", "ds"]


MARTS: Final[Mapping[str, type[pa.DataFrameModel]]] = {
    "dim_stores": Stores,
    "dim_products": Products,
    "dim_series": NewSeries,
    "fct_weekly_demand": WeeklyDemand,
    "fct_weekly_weather": WeeklyWeather,
    "fct_weekly_events": WeeklyEvents,
    "fct_weekly_prices": WeeklyPrices,
}
"""Contract of each mart, by the name of its table."""

MAY_BE_EMPTY: Final = frozenset({"dim_series", "fct_weekly_prices", "fct_weekly_weather"})
"""Marts that rightly have no row in some region-weeks."""
