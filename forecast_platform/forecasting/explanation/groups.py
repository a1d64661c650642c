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
    CLEAN_FEATURES,
    EVENT_FEATURES,
    FORMAT,
    HISTORY_FEATURES,
    NO_EVENT,
    NUMERIC_FEATURES,
    OTHER_SERIES_FEATURES,
    PRICE_FEATURES,
    PRODUCT_ID,
    RESPONSE_FEATURES,
    SEASON_FEATURES,
    SEGMENT,
    STORE_ID,
    STORE_PRODUCT_FEATURES,
    VELOCITY,
    WEATHER_FEATURES,
    YEAR_AGO_FEATURES,
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
    TREND: (*HISTORY_FEATURES, *OTHER_SERIES_FEATURES, *CLEAN_FEATURES),
    SEASON: (*YEAR_AGO_FEATURES, *SEASON_FEATURES, "week_of_year"),
    PRICE_PROMOTION: (*RESPONSE_FEATURES, *PRICE_FEATURES),
    EVENTS: (*EVENT_FEATURES, "event", "event_next", "event_previous"),
    WEATHER: WEATHER_FEATURES,
    STORE_PRODUCT: (
        *STORE_PRODUCT_FEATURES,
        STORE_ID,
        PRODUCT_ID,
        FORMAT,
        VELOCITY,
        SEGMENT,
        "category",
        "brand",
    ),
    HORIZON: ("weeks_ahead", H),
}
GROUP_OF: Final = {name: group for group, names in _MEMBERS_OF.items() for name in names}
"""Group of each feature; `group_of` also answers for features that are not of the vocabulary."""

_USUAL: Final = (
    "promo_level",
    "promo_share_26",
    "expected_promo",
    "kernel_weight",
    "log_price",
    "price_missing",
    "weeks_since_promo",
    "relative_price",
    "relative_price_lowest",
    "price_rank",
)
"""Of prices and promotions, what is not zero in a week without any."""

_ZERO: Final = frozenset(
    (
        *EVENT_FEATURES,
        *YEAR_AGO_FEATURES,
        *SEASON_FEATURES,
        *(name for name in (*RESPONSE_FEATURES, *PRICE_FEATURES) if name not in _USUAL),
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
