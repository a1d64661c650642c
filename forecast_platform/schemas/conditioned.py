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
ORIGINS: Final = ("observed", "forecast", "climatology")
UNIQUE_ID_PATTERN = r"^[^/]+/[^/]+$"


class _RegionWeekly(pa.DataFrameModel):
    """What every mart has: a region, and the week at whose close its rows were known."""

    region: Series[str] = pa.Field(description="Sales region")
    week: Series[pd.Timestamp] = pa.Field(
        description="Monday of the week at whose close the row was known"
    )

    known_on: Series[pd.Timestamp] = pa.Field(
        description="Day on which the content of the row became known"
    )

    class Config(pa.DataFrameModel.Config):
        """No column beside those of the contract."""

        strict = True

    @pa.check("week", name="week_opens_on_monday")
    def _week_opens_on_monday(cls, week: pd.Series) -> pd.Series:
        return week.dt.dayofweek == MONDAY

    @pa.dataframe_check(name="is_known_by_the_close_of_the_week")
    def _is_known_by_the_close_of_the_week(cls, table: pd.DataFrame) -> pd.Series:
        return table["known_on"] < table["week"] + pd.Timedelta(weeks=1)


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
    """Series in the week in which a first shipment of them was known, and all earlier ones."""

    store_id: Series[str] = pa.Field(description="Store")
    product_id: Series[str] = pa.Field(description="Product")
    unique_id: Series[str] = pa.Field(
        str_matches=UNIQUE_ID_PATTERN, description="Series, `<store_id>/<product_id>`"
    )
    first_week: Series[pd.Timestamp] = pa.Field(
        description="Monday of the first week with units shipped"
    )

    class Config(_RegionWeekly.Config):
        """One row per region, week and series that is new, or older than was known."""

        unique = ["region", "week", "unique_id"]

    @pa.dataframe_check(name="first_week_has_come")
    def _first_week_has_come(cls, table: pd.DataFrame) -> pd.Series:
        return table["first_week"] <= table["week"]


class WeeklyDemand(_RegionWeekly):
    """Demand of every series of an open store and a listed product: zeros and late news too."""

    ds: Series[pd.Timestamp] = pa.Field(
        description="Monday that opens the week: `week`, or an earlier one that is corrected"
    )
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
    is_reported: Series[bool] = pa.Field(
        description="The store delivered anything about `ds` by then; where it did not, zeros are "
        "not known"
    )
    is_stock_out_likely: Series[bool] = pa.Field(
        description="A steady seller is gone while its store and its product sell elsewhere"
    )
    is_outlier: Series[bool] = pa.Field(
        description="Far outside of what the series sold in the trailing weeks"
    )

    class Config(_RegionWeekly.Config):
        """One row per region, week, week told about and series."""

        unique = ["region", "week", "ds", "unique_id"]

    @pa.dataframe_check(name="ds_has_come")
    def _ds_has_come(cls, table: pd.DataFrame) -> pd.Series:
        return table["ds"] <= table["week"]

    @pa.dataframe_check(name="correction_is_reported")
    def _correction_is_reported(cls, table: pd.DataFrame) -> pd.Series:
        return table["is_reported"] | (table["ds"] == table["week"])

    @pa.dataframe_check(name="y_is_net_demand")
    def _y_is_net_demand(cls, table: pd.DataFrame) -> pd.Series:
        return table["y"] == (table["units_shipped"] - table["units_returned"]).clip(lower=0)


class WeeklyWeather(_AboutWeeks):
    """Weather of the week as observed, and of the weeks after it as forecast, without gaps."""

    zip: Series[str] = pa.Field(description="Postal code")
    h: Series[int] = pa.Field(ge=0, le=4, description="Weeks ahead, from 0 to 4 [weeks]")
    origin: Series[str] = pa.Field(
        isin=ORIGINS, description="What it rests on; `climatology` where nothing else is known"
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
    n_days: Series[int] = pa.Field(
        ge=0, le=7, description="Days of the week that were delivered in full [days]"
    )
    n_days_filled: Series[int] = pa.Field(
        ge=0,
        le=7,
        description="Days of which something was filled in; 0 if nothing is known [days]",
    )

    class Config(_RegionWeekly.Config):
        """One row per region, week, zip and week ahead."""

        unique = ["region", "week", "zip", "ds"]

    @pa.dataframe_check(name="days_are_delivered_filled_or_unknown")
    def _days_are_delivered_filled_or_unknown(cls, table: pd.DataFrame) -> pd.Series:
        is_unknown = table[["temperature_c", "precipitation_mm", "snow_cm"]].isna().all(axis=1)
        return (table["n_days"] + table["n_days_filled"] == 7) | is_unknown


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
    is_plan_known: Series[bool] = pa.Field(
        description="A plan names the series in `ds`; where it does not, there is no price"
    )
    price: Series[float] = pa.Field(
        nullable=True, gt=0, description="Planned price [currency/unit]"
    )
    feature: Series[float] = pa.Field(ge=0, le=1, description="Intensity of advertising [0 to 1]")
    display: Series[float] = pa.Field(ge=0, le=1, description="Intensity of display [0 to 1]")
    competitor_price_min: Series[float] = pa.Field(
        nullable=True,
        gt=0,
        description="Lowest price planned for another product of the category in the store",
    )
    relative_price: Series[float] = pa.Field(
        nullable=True,
        gt=0,
        description="Price over the mean of the category's other products in the store [ratio]",
    )
    share_competitors_promoted: Series[float] = pa.Field(
        nullable=True,
        ge=0,
        le=1,
        description="Share of the category's other products in the store that are promoted",
    )

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
