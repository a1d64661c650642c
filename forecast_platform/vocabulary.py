"""Column names, categories and units shared by every room.

Only names live here: no logic, no defaults of models, no schemas.
"""

from typing import Final

REGION: Final = "region"
WEEK: Final = "week"
"""Partition column: the Monday of the week at whose close the row was known."""

STORE_ID: Final = "store_id"
PRODUCT_ID: Final = "product_id"
UNIQUE_ID: Final = "unique_id"
"""``<store_id>/<product_id>``: one series, as in Nixtla's libraries."""

DS: Final = "ds"
"""Monday that opens the week the row is about."""

Y: Final = "y"
"""Net demand: shipped minus returned, clipped at 0 [units]."""

Y_HAT: Final = "y_hat"
Y_HAT_P10: Final = "y_hat_p10"
Y_HAT_P50: Final = "y_hat_p50"
Y_HAT_P90: Final = "y_hat_p90"
QUANTILES: Final = {Y_HAT_P10: 0.1, Y_HAT_P50: 0.5, Y_HAT_P90: 0.9}
"""Columns of the range around a forecast, and the share of demand that lies at or below each."""

CUTOFF: Final = "cutoff"
"""Last week whose demand a model or a feature row has seen."""

H: Final = "h"
"""Weeks ahead of the cutoff, from 1."""

FORMAT: Final = "format"
VELOCITY: Final = "velocity"
SEGMENT: Final = "segment"
"""``<format>_<velocity>``, for example ``large_fast``."""

FORMATS: Final = ("large", "small")
VELOCITIES: Final = ("slow", "fast")

ENSEMBLE: Final = "ensemble"
LASSO: Final = "lasso"
EMBEDDING_NET: Final = "embedding_net"
HISTORICAL_AVERAGE: Final = "historical_average"
MEMBERS: Final = (LASSO, EMBEDDING_NET)
"""Members that are always there unless a deployment leaves one out."""

OTHER_MEMBERS: Final = "other_members"
"""Column with the forecasts of further members, as JSON by name [units]."""

SHOPPER_COLUMNS: Final = (
    "share_age_60_plus",
    "share_college",
    "share_ethnic_minority",
    "median_income",
    "share_large_households",
    "share_working_women",
    "share_high_value_homes",
    "warehouse_distance",
    "warehouse_volume_ratio",
    "competitor_distance",
    "competitor_volume_ratio",
)
"""Demographics of a store's shoppers and its trade area; any of them may be missing."""

NO_EVENT: Final = "none"
"""Value of the event columns in a week without an event."""

HISTORY_FEATURES: Final = (
    "mean_4",
    "mean_8",
    "mean_13",
    "mean_26",
    "mean_52",
    "mean_all",
    "lag_0",
    "lag_1",
    "lag_2",
    "lag_3",
    "lag_4",
    "lag_5",
    "lag_6",
    "lag_7",
    "median_13",
    "min_13",
    "max_13",
    "sd_13",
    "zero_share_13",
    "zero_share_52",
    "weeks_since_positive",
    "age",
)
"""What the series itself sold up to the cutoff, relative to ``base_level`` [log1p units]."""

YEAR_AGO_FEATURES: Final = (
    "year_ago",
    "year_ago_product",
    "year_ago_region",
    "year_ago_missing",
)
"""The same time of last year."""

OTHER_SERIES_FEATURES: Final = (
    "product_level",
    "prior_gap",
    "product_trend_4",
    "product_trend_13",
    "store_trend_4",
    "store_trend_13",
    "region_trend_4",
    "region_trend_13",
)
"""Strength from the other series of the product, store and region."""

CLEAN_FEATURES: Final = (
    "clean_level",
    "clean_mean_4",
)
"""Levels without promotions."""

RESPONSE_FEATURES: Final = (
    "promo_level",
    "promo_share_26",
    "lift_own",
    "lift_product",
    "expected_promo",
    "kernel_narrow",
    "kernel_broad",
    "kernel_product",
    "kernel_weight",
    "kernel_chain_narrow",
    "kernel_chain_broad",
    "like_price_sharp",
    "like_price_narrow",
    "like_price_broad",
)
"""Response to promotions and prices, learnt up to the cutoff."""

PRICE_FEATURES: Final = (
    "log_price",
    "price_missing",
    "discount",
    "discount_squared",
    "feature",
    "display",
    "feature_discount",
    "discount_previous_1",
    "discount_previous_2",
    "discount_previous_3",
    "feature_previous_1",
    "display_previous_1",
    "weeks_since_promo",
    "competitor_discount_mean",
    "competitor_discount_max",
    "competitor_features",
    "competitor_displays",
    "relative_price",
    "relative_price_lowest",
    "price_rank",
    "chain_discount",
    "chain_feature",
    "chain_display",
)
"""Prices and promotions planned for ``ds``: own, rivals' and the chain's."""

WEATHER_FEATURES: Final = (
    "temperature",
    "temperature_anomaly",
    "temperature_change",
    "precipitation",
    "precipitation_anomaly",
    "snow",
    "weather_missing",
)
"""Weather forecast for ``ds``."""

EVENT_FEATURES: Final = (
    "n_event_days",
    "n_event_days_next",
    "n_event_days_previous",
    "is_holiday",
    "event_lift_product",
    "event_lift_region",
)
"""Events of ``ds`` and the weeks beside it."""

SEASON_FEATURES: Final = (
    "year_sin_1",
    "year_cos_1",
    "year_sin_2",
    "year_cos_2",
)
"""Time of the year of ``ds``."""

STORE_PRODUCT_FEATURES: Final = (
    *SHOPPER_COLUMNS,
    "is_large_format",
    "log_package_size",
    "package_size_missing",
)
"""What store and product are."""

NUMERIC_FEATURES: Final = (
    "base_level",
    *HISTORY_FEATURES,
    *YEAR_AGO_FEATURES,
    *OTHER_SERIES_FEATURES,
    *CLEAN_FEATURES,
    *RESPONSE_FEATURES,
    *PRICE_FEATURES,
    *WEATHER_FEATURES,
    *EVENT_FEATURES,
    *SEASON_FEATURES,
    *STORE_PRODUCT_FEATURES,
    "weeks_ahead",
)
"""Numeric columns of ``demand_features`` (float32, never missing); ``base_level`` is the level of
the series at the cutoff and the offset: models fit ``log1p(y) - base_level``."""

CATEGORICAL_FEATURES: Final = (
    STORE_ID,
    PRODUCT_ID,
    FORMAT,
    VELOCITY,
    "category",
    "brand",
    "event",
    "event_next",
    "event_previous",
    "week_of_year",
)
"""Text columns of ``demand_features`` (never missing); ``week_of_year`` is ``01`` .. ``53``."""
