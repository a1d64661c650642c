"""Contracts of the delivered sources, and of the tables that account for their rows.

A contract says which columns a source has, how their text is read, what may be empty, what
makes a row unique and which values make sense. Where files lie and what a customer calls a
column is in `resources.sources`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import pandas as pd
import pandera.pandas as pa
from pandera.typing import Series

from forecast_platform.schemas.codes import Code
from forecast_platform.schemas.parsing import Kind
from forecast_platform.vocabulary import FORMATS, SHOPPER_COLUMNS

DELIVERED_WEEK: Final = "delivered_week"
"""The week that a row itself names, beside ``week``, the one it was delivered for."""

LAST_DAY: Final = pd.Timedelta(days=6)
"""From the Monday of a week to the Sunday that closes it."""

MAX_UNITS: Final = 1e7
"""More units of one product in one store and week are a mistake of unit or column."""


class _Delivered(pa.DataFrameModel):
    """What every accepted row has: where it belongs and where it came from."""

    region: Series[str] = pa.Field(description="Sales region")
    week: Series[pd.Timestamp] = pa.Field(
        description="Monday of the week at whose close the row was known"
    )
    known_on: Series[pd.Timestamp] = pa.Field(
        description="Day on which the row was known: the Sunday of `week`, or that of the delivery"
    )
    source_file: Series[str] = pa.Field(description="Delivered file, below the landing folder")
    source_row: Series[int] = pa.Field(ge=1, description="Row of the file; the header is row 1")

    class Config(pa.DataFrameModel.Config):
        """No column beside those of the contract."""

        strict = True


class _StoreProduct(_Delivered):
    store_id: Series[str] = pa.Field(description="Store")
    product_id: Series[str] = pa.Field(description="Product")


class _WeeklyUnits(_StoreProduct):
    ds: Series[pd.Timestamp] = pa.Field(
        description="Monday of the week the row is about; before `week` when it is a correction"
    )

    @pa.dataframe_check(name="is_about_a_week_that_is_over")
    def _is_about_a_week_that_is_over(cls, table: pd.DataFrame) -> pd.Series:
        return table["ds"] <= table["week"]


class Shipments(_WeeklyUnits):
    """Units shipped to each store in a week; what was not shipped has no row."""

    units_shipped: Series[float] = pa.Field(
        ge=0, le=MAX_UNITS, description="Units shipped in the week [units]"
    )


class Returns(_WeeklyUnits):
    """Units that each store sent back in a week."""

    units_returned: Series[float] = pa.Field(
        ge=0, le=MAX_UNITS, description="Units returned in the week [units]"
    )


class Weather(_Delivered):
    """Daily weather by zip code: observed, or forecast with the day it was issued."""

    zip: Series[str] = pa.Field(description="Postal code")
    day: Series[pd.Timestamp] = pa.Field(description="Day the row is about")
    kind: Series[str] = pa.Field(isin=["observed", "forecast"], description="What the row is")
    issued_on: Series[pd.Timestamp] = pa.Field(
        description="Day the forecast was issued; the day itself when observed"
    )
    temperature_c: Series[float] = pa.Field(
        ge=-60, le=60, nullable=True, description="Mean temperature [°C]"
    )
    precipitation_mm: Series[float] = pa.Field(
        ge=0, le=2000, nullable=True, description="Precipitation [mm]"
    )
    snow_cm: Series[float] = pa.Field(ge=0, le=1000, nullable=True, description="New snow [cm]")

    @pa.dataframe_check(name="is_issued_by_its_day")
    def _is_issued_by_its_day(cls, table: pd.DataFrame) -> pd.Series:
        return table["issued_on"] <= table["day"]

    @pa.dataframe_check(name="is_issued_by_the_close_of_the_week")
    def _is_issued_by_the_close_of_the_week(cls, table: pd.DataFrame) -> pd.Series:
        return table["issued_on"] < table["week"] + pd.Timedelta(weeks=1)


class Shoppers(_Delivered):
    """Demographics of each store's shoppers, as of a day."""

    store_id: Series[str] = pa.Field(description="Store")
    as_of_on: Series[pd.Timestamp] = pa.Field(description="Day the figures are of")
    share_age_60_plus: Series[float] = pa.Field(
        ge=0, le=1, nullable=True, description="Shoppers aged 60 or more [fraction]"
    )
    share_college: Series[float] = pa.Field(
        ge=0, le=1, nullable=True, description="Shoppers with a college degree [fraction]"
    )
    share_ethnic_minority: Series[float] = pa.Field(
        ge=0, le=1, nullable=True, description="Shoppers of an ethnic minority [fraction]"
    )
    median_income: Series[float] = pa.Field(
        ge=0, nullable=True, description="Median income [currency/year]"
    )
    share_large_households: Series[float] = pa.Field(
        ge=0, le=1, nullable=True, description="Households of 5 or more [fraction]"
    )
    share_working_women: Series[float] = pa.Field(
        ge=0, le=1, nullable=True, description="Women who work full time [fraction]"
    )
    share_high_value_homes: Series[float] = pa.Field(
        ge=0, le=1, nullable=True, description="Homes of high value [fraction]"
    )
    warehouse_distance: Series[float] = pa.Field(
        ge=0, nullable=True, description="Distance to the nearest warehouse store, as delivered"
    )
    warehouse_volume_ratio: Series[float] = pa.Field(
        ge=0, nullable=True, description="Sales volume relative to that store [fraction]"
    )
    competitor_distance: Series[float] = pa.Field(
        ge=0, nullable=True, description="Mean distance to the nearest competitors, as delivered"
    )
    competitor_volume_ratio: Series[float] = pa.Field(
        ge=0, nullable=True, description="Sales volume relative to those competitors [fraction]"
    )


class StoreMaster(_Delivered):
    """Master data of the stores."""

    store_id: Series[str] = pa.Field(description="Store")
    zip: Series[str] = pa.Field(description="Postal code")
    format: Series[str] = pa.Field(isin=FORMATS, description="`large` or `small`")
    opened_on: Series[pd.Timestamp] = pa.Field(description="First day open")
    closed_on: Series[pd.Timestamp] = pa.Field(nullable=True, description="First day closed")

    @pa.dataframe_check(name="closes_after_it_opens")
    def _closes_after_it_opens(cls, table: pd.DataFrame) -> pd.Series:
        return table["closed_on"].isna() | (table["closed_on"] > table["opened_on"])


class ProductMaster(_Delivered):
    """Master data of the products."""

    product_id: Series[str] = pa.Field(description="Product")
    category: Series[str] = pa.Field(description="Category")
    brand: Series[str] = pa.Field(nullable=True, description="Brand")
    package_size: Series[str] = pa.Field(nullable=True, description="Package size, as delivered")
    launched_on: Series[pd.Timestamp] = pa.Field(description="First day listed")
    delisted_on: Series[pd.Timestamp] = pa.Field(nullable=True, description="First day not listed")

    @pa.dataframe_check(name="is_delisted_after_its_launch")
    def _is_delisted_after_its_launch(cls, table: pd.DataFrame) -> pd.Series:
        return table["delisted_on"].isna() | (table["delisted_on"] > table["launched_on"])


class Events(_Delivered):
    """Holidays and special events, known from the week they are delivered in."""

    event: Series[str] = pa.Field(description="Name of the event")
    starts_on: Series[pd.Timestamp] = pa.Field(description="First day")
    ends_on: Series[pd.Timestamp] = pa.Field(description="Last day")
    scope: Series[str] = pa.Field(isin=["region", "zip", "store"], description="Where it counts")
    scope_id: Series[str] = pa.Field(description="The region, zip or store")
    is_holiday: Series[bool] = pa.Field(description="Whether it is a public holiday")

    @pa.dataframe_check(name="ends_after_it_starts")
    def _ends_after_it_starts(cls, table: pd.DataFrame) -> pd.Series:
        return table["ends_on"] >= table["starts_on"]


class Promotions(_StoreProduct):
    """Planned price and promotion of a coming week, as known when delivered."""

    ds: Series[pd.Timestamp] = pa.Field(description="Monday of the week that is planned")
    price: Series[float] = pa.Field(gt=0, nullable=True, description="Shelf price [currency/unit]")
    feature: Series[float] = pa.Field(ge=0, le=1, description="Share of the week advertised")
    display: Series[float] = pa.Field(ge=0, le=1, description="Share of the week on display")


class Quarantine(pa.DataFrameModel):
    """Rows that were refused, with the reason; nothing that is delivered vanishes."""

    region: Series[str] = pa.Field(description="Sales region")
    week: Series[pd.Timestamp] = pa.Field(description="Monday of the delivery's week")
    source: Series[str] = pa.Field(description="Source the row was delivered for")
    file: Series[str] = pa.Field(description="Delivered file, below the landing folder")
    file_sha256: Series[str] = pa.Field(description="Digest of the file's content")
    row_number: Series[int] = pa.Field(description="Row of the file; the header is row 1")
    code: Series[str] = pa.Field(isin=list(Code), description="The reason, in one word")
    column: Series[str] = pa.Field(nullable=True, description="Column that is wrong")
    reason: Series[str] = pa.Field(description="What is wrong with it")
    value: Series[str] = pa.Field(nullable=True, description="The value that was refused")
    row_json: Series[str] = pa.Field(description="The row as delivered, as JSON")


class AccountsForRows(pa.DataFrameModel):
    """Counts of delivered rows that add up: read = accepted + quarantined + duplicate."""

    @pa.dataframe_check(name="accounts_for_every_row")
    def _accounts_for_every_row(cls, table: pd.DataFrame) -> pd.Series:
        kept = table["rows_accepted"] + table["rows_quarantined"] + table["rows_duplicate"]
        return table["rows_read"] == kept

    @pa.dataframe_check(name="has_a_reason_for_every_row_in_quarantine")
    def _has_a_reason_for_every_row(cls, table: pd.DataFrame) -> pd.Series:
        with_reason = table["reasons"].map(lambda text: sum(json.loads(str(text)).values()))
        return table["rows_quarantined"] == with_reason.astype("int64")


class RowLedger(AccountsForRows):
    """Every delivered file and what became of its rows: read = accepted + quarantined + duplicate.

    A file of many regions or weeks has one row for each of them.
    """

    region: Series[str] = pa.Field(description="Sales region")
    week: Series[pd.Timestamp] = pa.Field(description="Monday of the delivery's week")
    source: Series[str] = pa.Field(description="Source the file was delivered for")
    file: Series[str] = pa.Field(description="Delivered file, below the landing folder")
    size_bytes: Series[int] = pa.Field(description="Size [bytes]")
    sha256: Series[str] = pa.Field(description="Digest of the content")
    rows_sha256: Series[str] = pa.Field(
        nullable=True,
        description="Digest of what the file says of this region-week: of its rows, where it is of "
        "many region-weeks; empty where an earlier release read it",
    )
    format: Series[str] = pa.Field(description="How the file was read")
    compression: Series[str] = pa.Field(description="How the file was packed, or `none`")
    known_on: Series[pd.Timestamp] = pa.Field(description="Day on which its rows were known")
    rows_read: Series[int] = pa.Field(description="Rows of this region and week")
    rows_accepted: Series[int] = pa.Field(description="Rows written to the raw table")
    rows_quarantined: Series[int] = pa.Field(description="Rows in quarantine")
    rows_duplicate: Series[int] = pa.Field(description="Exact duplicates that were dropped")
    rows_replayed: Series[int] = pa.Field(
        description="Rows taken as a person mended them; counted above by what became of them"
    )
    reasons: Series[str] = pa.Field(description="JSON object: rows in quarantine by code")
    query: Series[str] = pa.Field(
        nullable=True, description="SQL that was asked, of a database; empty for files"
    )


@dataclass(frozen=True, slots=True)
class Contract:
    """What is expected of one source.

    Attributes
    ----------
    source : str
        Name of the source; its table is ``raw_<source>``.
    schema : type of pandera.DataFrameModel
        The raw table.
    kinds : mapping of str to Kind
        The delivered columns and how their text is read.
    key : tuple of str
        Columns that make a row of one delivery unique.
    names_its_week : bool
        Whether rows name their week, which must be the week they are delivered for. They do
        so in the column ``week``, which is kept as `DELIVERED_WEEK` while rows are judged.
    known_by : str or None
        Delivered date column that tells when a row was known, in a file of many weeks.
    grain : str
        What a row is, in words.
    """

    source: str
    schema: type[pa.DataFrameModel]
    kinds: Mapping[str, Kind]
    key: tuple[str, ...]
    grain: str
    names_its_week: bool = False
    known_by: str | None = None

    @property
    def table(self) -> str:
        """Name of the raw table and its asset."""
        return f"raw_{self.source}"

    @property
    def nullable(self) -> frozenset[str]:
        """Columns that may be empty."""
        columns = self.schema.to_schema().columns
        return frozenset(name for name in self.kinds if name in columns and columns[name].nullable)


CONTRACTS: Final[Mapping[str, Contract]] = {
    contract.source: contract
    for contract in (
        Contract(
            "shipments",
            Shipments,
            {
                "store_id": Kind.ID,
                "product_id": Kind.ID,
                "week": Kind.MONDAY,
                "units_shipped": Kind.NUMBER,
            },
            key=("store_id", "product_id", "ds"),
            grain="one row per region, week, store and product with shipments.",
            names_its_week=True,
            known_by=DELIVERED_WEEK,
        ),
        Contract(
            "returns",
            Returns,
            {
                "store_id": Kind.ID,
                "product_id": Kind.ID,
                "week": Kind.MONDAY,
                "units_returned": Kind.NUMBER,
            },
            key=("store_id", "product_id", "ds"),
            grain="one row per region, week, store and product with returns.",
            names_its_week=True,
            known_by=DELIVERED_WEEK,
        ),
        Contract(
            "weather",
            Weather,
            {
                "zip": Kind.ID,
                "day": Kind.DATE,
                "kind": Kind.TEXT,
                "issued_on": Kind.DATE,
                "temperature_c": Kind.NUMBER,
                "precipitation_mm": Kind.NUMBER,
                "snow_cm": Kind.NUMBER,
            },
            key=("zip", "day", "kind", "issued_on"),
            grain="one row per region, week, zip, day, kind and day of issue.",
            known_by="issued_on",
        ),
        Contract(
            "shoppers",
            Shoppers,
            {"store_id": Kind.ID, "as_of_on": Kind.DATE}
            | dict.fromkeys(SHOPPER_COLUMNS, Kind.NUMBER),
            key=("store_id", "as_of_on"),
            grain="one row per region, week of delivery, store and day of the figures.",
        ),
        Contract(
            "stores",
            StoreMaster,
            {
                "store_id": Kind.ID,
                "zip": Kind.ID,
                "format": Kind.TEXT,
                "opened_on": Kind.DATE,
                "closed_on": Kind.DATE,
            },
            key=("store_id",),
            grain="one row per region, week of delivery and store.",
        ),
        Contract(
            "products",
            ProductMaster,
            {
                "product_id": Kind.ID,
                "category": Kind.TEXT,
                "brand": Kind.TEXT,
                "package_size": Kind.TEXT,
                "launched_on": Kind.DATE,
                "delisted_on": Kind.DATE,
            },
            key=("product_id",),
            grain="one row per region, week of delivery and product.",
        ),
        Contract(
            "events",
            Events,
            {
                "event": Kind.TEXT,
                "starts_on": Kind.DATE,
                "ends_on": Kind.DATE,
                "scope": Kind.TEXT,
                "scope_id": Kind.ID,
                "is_holiday": Kind.FLAG,
            },
            key=("event", "starts_on", "scope", "scope_id"),
            grain="one row per region, week of delivery, event, first day and scope.",
        ),
        Contract(
            "promotions",
            Promotions,
            {
                "store_id": Kind.ID,
                "product_id": Kind.ID,
                "ds": Kind.MONDAY,
                "price": Kind.NUMBER,
                "feature": Kind.NUMBER,
                "display": Kind.NUMBER,
            },
            key=("store_id", "product_id", "ds"),
            grain="one row per region, week of delivery, store, product and planned week.",
            known_by="ds",
        ),
    )
}
"""The sources, by name."""
