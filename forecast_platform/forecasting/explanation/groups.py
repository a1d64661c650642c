"""Features in the groups in which a planner thinks, and what a calm, usual week looks like.

Each feature is in one group; what a model makes of a group belongs to `contributions` and
`importance`.
"""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import pandas as pd

from forecast_platform.forecasting.models.ensemble import Ensemble
from forecast_platform.forecasting.models.warm_start import parts_of
from forecast_platform.vocabulary import (
    CATEGORICAL_FEATURES,
    FORMAT,
    NO_EVENT,
    NUMERIC_FEATURES,
    PRODUCT_ID,
    SEGMENT,
    SHOPPER_COLUMNS,
    STORE_ID,
    VELOCITY,
    H,
)

LEVEL: Final = "level"
TREND: Final = "trend"
SEASON: Final = "season"
PRICE_PROMOTION: Final = "price_promotion"
EVENTS: Final = "events"
WEATHER: Final = "weather"
STORE_PRODUCT: Final = "store_product"
HORIZON: Final = "horizon"
OTHER: Final = "other"

GROUPS: Final = (TREND, SEASON, PRICE_PROMOTION, EVENTS, WEATHER, STORE_PRODUCT)
"""Groups of a forecast's contributions; the level of the series is the base they start from."""

REASONS: Final = (LEVEL, *GROUPS, HORIZON)
"""Groups that may have changed since an earlier forecast of the same week."""

_MEMBERS_OF: Final[Mapping[str, tuple[str, ...]]] = {
    LEVEL: ("base_level",),
    SEASON: (
        "year_ago",
        "year_ago_product",
        "year_ago_region",
        "year_ago_missing",
        "year_sin_1",
        "year_cos_1",
        "year_sin_2",
        "year_cos_2",
        "week_of_year",
    ),
    PRICE_PROMOTION: (
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
        "relative_price",
        "relative_price_lowest",
        "price_rank",
        "chain_discount",
        "chain_feature",
        "chain_display",
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
    ),
    EVENTS: (
        "n_event_days",
        "n_event_days_next",
        "n_event_days_previous",
        "is_holiday",
        "event_lift_product",
        "event_lift_region",
        "event",
        "event_next",
        "event_previous",
    ),
    WEATHER: (
        "temperature",
        "temperature_anomaly",
        "temperature_change",
        "precipitation",
        "precipitation_anomaly",
        "snow",
        "weather_missing",
    ),
    STORE_PRODUCT: (
        *SHOPPER_COLUMNS,
        "is_large_format",
        "log_package_size",
        "package_size_missing",
        STORE_ID,
        PRODUCT_ID,
        FORMAT,
        VELOCITY,
        SEGMENT,
        "category",
        "brand",
    ),
    HORIZON: ("weeks_ahead", H),
    TREND: (
        *(f"mean_{weeks}" for weeks in (4, 8, 13, 26, 52)),
        *(f"lag_{lag}" for lag in range(8)),
        "mean_all",
        "median_13",
        "min_13",
        "max_13",
        "sd_13",
        "zero_share_13",
        "zero_share_52",
        "weeks_since_positive",
        "age",
        "product_level",
        "prior_gap",
        "clean_level",
        "clean_mean_4",
        *(f"{of}_trend_{weeks}" for of in ("product", "store", "region") for weeks in (4, 13)),
    ),
}
GROUP_OF: Final = {name: group for group, names in _MEMBERS_OF.items() for name in names}
"""Group of each feature; `group_of` also answers for features that are not of the vocabulary."""

_ZERO: Final = frozenset(
    (
        *(name for name in _MEMBERS_OF[EVENTS] if name in NUMERIC_FEATURES),
        *(name for name in _MEMBERS_OF[SEASON] if name in NUMERIC_FEATURES),
        "lift_own",
        "lift_product",
        "kernel_narrow",
        "kernel_broad",
        "kernel_product",
        "kernel_chain_narrow",
        "kernel_chain_broad",
        "like_price_sharp",
        "like_price_narrow",
        "like_price_broad",
        "chain_discount",
        "chain_feature",
        "chain_display",
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
        "competitor_discount_mean",
        "competitor_discount_max",
        "competitor_features",
        "competitor_displays",
        "temperature_anomaly",
        "temperature_change",
        "precipitation_anomaly",
    )
)
"""Zero means "nothing special": no promotion, no event, usual weather, no season."""

_OWN: Final = frozenset(
    (
        "base_level",
        "weeks_ahead",
        H,
        FORMAT,
        VELOCITY,
        SEGMENT,
        "category",
        "year_ago_missing",
        "weather_missing",
        "price_missing",
        "promo_level",
        "promo_share_26",
        "kernel_weight",
    )
)
"""Kept as they are: they say what the row is about, or what is unknown of it."""

UNKNOWN_LEVEL: Final = ""
"""Level of a category that no model has seen: read as "an average one"."""


def group_of(feature: str) -> str:
    """Name the group of a feature; `OTHER` for one that is not of the vocabulary."""
    return GROUP_OF.get(feature, OTHER)


def usual_values(model: Ensemble, X: pd.DataFrame) -> dict[str, float]:
    """Return the mean of each numeric feature in training, or in ``X`` where no member has it."""
    usual = {
        name: float(X[name].mean()) for name in X.columns if pd.api.types.is_numeric_dtype(X[name])
    }
    for member in model.members.values():
        own = parts_of(member)[0]
        if (scaler := getattr(own, "standardiser_", None)) is not None:
            usual |= dict(zip(scaler.columns, map(float, scaler.mean), strict=True))
    return usual


def neutral_rows(X: pd.DataFrame, usual: Mapping[str, float]) -> pd.DataFrame:
    """Return the same rows in a calm week of a usual store and product, at the same level.

    Without promotion and event, with the weather usual there and the regular price; numbers that
    have no such neutral value are ``usual``, and store, product and brand unknown. Level, segment,
    category and weeks ahead stay.

    Parameters
    ----------
    X : pandas.DataFrame
        Rows of ``demand_features``.
    usual : mapping of str to float
        As of `usual_values`.

    Returns
    -------
    pandas.DataFrame
        Rows, columns and index of ``X``.
    """
    columns = {str(name): _neutral(str(name), X, usual) for name in X.columns}
    return pd.DataFrame(columns, index=X.index)


def _neutral(name: str, X: pd.DataFrame, usual: Mapping[str, float]) -> Any:
    if name in _OWN or name not in (*NUMERIC_FEATURES, *CATEGORICAL_FEATURES):
        return X[name]
    if name in CATEGORICAL_FEATURES:
        return np.full(len(X), NO_EVENT if group_of(name) == EVENTS else UNKNOWN_LEVEL, object)
    if name in _ZERO:
        return np.zeros(len(X), np.float32)
    found = _without_the_unusual(name, X)
    return np.full(len(X), usual[name], np.float32) if found is None else found


def _without_the_unusual(name: str, X: pd.DataFrame) -> Any:
    """Take the discount out of a price, the lift out of an expectation, the anomaly out of weather.

    None where the columns for it are not there.
    """
    if name in {"log_price", "relative_price", "relative_price_lowest"} and "discount" in X:
        return X[name] - np.log1p(-X["discount"].clip(upper=0.95))
    pairs = {
        "expected_promo": "lift_own",
        "temperature": "temperature_anomaly",
        "precipitation": "precipitation_anomaly",
    }
    unusual = pairs.get(name)
    return X[name] - X[unusual] if unusual in X else None
