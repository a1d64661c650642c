"""What each family of features and each trick of training is worth: leave it out, measure again.

Variants are fitted once per fold and weigh their two members equally, so that nothing but what is
left out differs. They belong on development rounds: what is kept is chosen by them.
"""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.accuracy.folds import Fold
from benchmarks.accuracy.ours import config_of
from benchmarks.accuracy.timing import Family, Forecasts
from forecast_platform.forecasting.models.ensemble import Ensemble
from forecast_platform.forecasting.models.lasso import LassoForecaster
from forecast_platform.forecasting.training import TrainingConfig
from forecast_platform.vocabulary import (
    CATEGORICAL_FEATURES,
    EMBEDDING_NET,
    ENSEMBLE,
    LASSO,
    NUMERIC_FEATURES,
    SHOPPER_COLUMNS,
    Y,
)

FAMILIES: dict[str, tuple[str, ...]] = {
    "means": ("mean_",),
    "lags": ("lag_",),
    "shape": ("median_13", "min_13", "max_13", "sd_13"),
    "rhythm": ("zero_share_", "weeks_since_positive", "age"),
    "year_ago": ("year_ago", "year_ago_"),
    "related_series": ("product_level", "prior_gap", "_trend_"),
    "clean_levels": ("clean_",),
    "lifts": ("lift_", "expected_promo", "promo_level", "promo_share_"),
    "like_discounts": ("kernel_narrow", "kernel_broad", "kernel_product", "kernel_weight"),
    "like_prices": ("like_price_",),
    "chain": ("chain_", "kernel_chain_"),
    "own_plan": (
        *("log_price", "price_missing", "discount", "discount_squared"),
        *("feature", "display", "feature_discount"),
    ),
    "previous_plans": ("_previous_1", "_previous_2", "_previous_3", "weeks_since_promo"),
    "competition": ("competitor_discount_", "competitor_features", "competitor_displays"),
    "relative_price": ("relative_price", "relative_price_lowest", "price_rank"),
    "weather": (
        *("temperature", "temperature_", "precipitation", "precipitation_"),
        *("snow", "weather_missing"),
    ),
    "events": ("n_event_days", "n_event_days_", "is_holiday", "event_lift_"),
    "season": ("year_sin_", "year_cos_"),
    "shoppers": SHOPPER_COLUMNS,
    "package": ("log_package_size", "package_size_missing"),
}
"""Numeric columns by family: their names, or how they begin (``lag_``) or go on (``_trend_``)."""


def columns_of(family: str) -> tuple[str, ...]:
    """Return the columns of a family."""

    def belongs(column: str, part: str) -> bool:
        if part.startswith("_"):
            return part in column
        return column.startswith(part) if part.endswith("_") else column == part

    parts = FAMILIES[family]
    return tuple(name for name in NUMERIC_FEATURES if any(belongs(name, part) for part in parts))


def _fitted(fold: Fold, config: TrainingConfig, name: str, **lasso: Any) -> Forecasts:
    started = time.process_time()
    members = config.members()
    if lasso:
        kept = {k: v for k, v in members[LASSO].get_params().items() if k not in lasso}  # type: ignore[attr-defined]
        members[LASSO] = LassoForecaster(**kept, **lasso)
    fitted = {key: member.fit(fold.train, fold.train[Y]) for key, member in members.items()}
    one = Ensemble(fitted, cap_multiple=config.cap_multiple).fit_caps(fold.demand, fold.demand[Y])
    trained = time.process_time()
    each = one.predict_members(fold.test)
    table = {name: one.combine(each)}
    if name == ENSEMBLE:
        table |= {"lasso": each[LASSO], "net": each[EMBEDDING_NET]}
        table["geometric_blend"] = np.expm1(np.log1p(each[[LASSO, EMBEDDING_NET]]).mean(axis=1))
    return Forecasts(pd.DataFrame(table), trained - started, time.process_time() - trained)


def _without(family: str) -> Family:
    gone = columns_of(family)

    def forecast(fold: Fold) -> Forecasts:
        numeric = tuple(name for name in config_of(fold).numeric if name not in gone)
        return _fitted(fold, config_of(fold, numeric=numeric), f"without_{family}")

    return forecast


def _changed(name: str, **changes: Any) -> Family:
    return lambda fold: _fitted(fold, config_of(fold, **changes), name)


def _no_week_of_year(fold: Fold) -> Forecasts:
    kept = tuple(name for name in CATEGORICAL_FEATURES if name != "week_of_year")
    return _fitted(fold, config_of(fold, categorical=kept), "no_week_of_year")


def _one_penalty(fold: Fold) -> Forecasts:
    return _fitted(fold, config_of(fold), "one_penalty", alpha=3e-3)


def _half_the_rows(fold: Fold) -> Forecasts:
    rows = np.random.default_rng(0).random(len(fold.train)) < 0.5
    half = Fold(fold.cutoff, fold.train[rows], fold.test, fold.demand, fold.plans, fold.extra)
    return _fitted(half, config_of(fold), "half_the_rows")


TRICKS: dict[str, Callable[[Fold], Forecasts]] = {
    "no_recency": _changed("no_recency", recency_weeks=1e9),
    "no_deviations": _changed("no_deviations", deviations=()),
    "no_week_of_year": _no_week_of_year,
    "one_penalty": _one_penalty,
    "half_the_rows": _half_the_rows,
    "six_epochs": _changed("six_epochs", epochs=6),
}


def worth_trying(features: pd.DataFrame) -> list[str]:
    """Return the variants that can differ on these rows: a family of constants says nothing."""
    varied = {name for name in NUMERIC_FEATURES if features[name].min() < features[name].max()}
    silent = [f"without_{family}" for family in FAMILIES if not varied & {*columns_of(family)}]
    return [name for name in VARIANTS if name not in silent]


VARIANTS: dict[str, Family] = {
    ENSEMBLE: lambda fold: _fitted(fold, config_of(fold), ENSEMBLE),
    **{f"without_{family}": _without(family) for family in FAMILIES},
    **TRICKS,
}
