"""Coefficients of a LASSO member in units that a planner reads.

Standard deviations are undone, and what deviates by segment and category is averaged over the rows
of one segment. Importance of groups, for any member, is in `importance`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeGuard

import numpy as np
import pandas as pd

from forecast_platform.forecasting.explanation.groups import group_of
from forecast_platform.forecasting.models.lasso import LassoForecaster
from forecast_platform.forecasting.models.warm_start import WarmStarted, parts_of
from forecast_platform.vocabulary import NO_EVENT

ELASTICITY: Final = "elasticity"
UPLIFT: Final = "uplift"
EVENT_LIFT: Final = "event_lift"
EFFECT: Final = "effect"
KINDS: Final = (ELASTICITY, UPLIFT, EVENT_LIFT, EFFECT)

STEP_OF: Final = {
    "feature": (1.0, "being featured for a whole week"),
    "display": (1.0, "being on display for a whole week"),
    "discount": (0.1, "10 points more discount"),
    "is_holiday": (1.0, "a holiday in the week"),
}
"""Steps that a planner can take, of features in their own units."""

EVENT_COLUMNS: Final = {
    "event": "in the week of",
    "event_next": "in the week before",
    "event_previous": "in the week after",
}


WITH_DONORS: Final = " (models of other regions and what this one has learnt beyond them)"
"""Ends the sentences of a warm-started member."""

Explained = LassoForecaster | WarmStarted


@dataclass(frozen=True, slots=True)
class _Linear:
    """What a model adds to a level on the log1p scale.

    Attributes
    ----------
    slopes : pandas.Series
        Of each numeric feature, per unit of it.
    scales : pandas.Series
        Standard deviation of each numeric feature in training.
    constants : pandas.Series
        By column and level of a category.
    """

    slopes: pd.Series
    scales: pd.Series
    constants: pd.Series


def has_effects(member: Any) -> TypeGuard[Explained]:
    """Whether a member has coefficients: a LASSO, also one that started from those of others."""
    return isinstance(parts_of(member)[0], LassoForecaster)


def lasso_effects(lasso: Explained, rows: pd.DataFrame) -> pd.DataFrame:
    """Return every coefficient that is not zero as an effect on ``1 + demand``.

    Parameters
    ----------
    lasso : LassoForecaster or WarmStarted
        Fitted; of a warm start, a LASSO that started from others.
    rows : pandas.DataFrame
        Rows of one segment: the levels that deviate are averaged over them.

    Returns
    -------
    pandas.DataFrame
        ``kind``, ``feature``, ``feature_group``, ``value``, ``unit`` and ``meaning``, the largest
        first within a kind. An elasticity is percent per percent of price; the others are relative
        changes of ``1 + demand``, all else equal [fraction]: ``uplift`` for a step of `STEP_OF`,
        ``event_lift`` against a week without event, ``effect`` for one standard deviation.

    Notes
    -----
    Effects multiply. A promotion usually moves several features at once (a discount also moves
    ``expected_promo``, which holds what earlier promotions of the series did), so the effect of a
    planned promotion is larger than its single coefficient; `contributions` shows it whole.

    A warm-started LASSO forecasts the mean of its donors, which are linear too, and the believed
    share of its own correction. Its effects are those of that sum, and ``meaning`` says so; what
    the correction alone would say is about the donors' errors and not about demand.
    """
    linear = _linear(lasso, rows)
    found = [*_numeric(linear), *_events(linear)]
    columns = ["kind", "feature", "feature_group", "value", "unit", "meaning"]
    table = pd.DataFrame(found, columns=columns)
    if isinstance(lasso, WarmStarted):
        table["meaning"] += WITH_DONORS
    size = table["value"].abs()
    order = table.assign(_size=-size, _kind=table["kind"].map(KINDS.index))
    order = order.sort_values(["_kind", "_size", "feature"])
    return order[columns].reset_index(drop=True)


def _linear(model: Explained, rows: pd.DataFrame) -> _Linear:
    """Return what a model adds to a level on the log1p scale; of a warm start, all its parts."""
    if isinstance(model, LassoForecaster):
        return _of_lasso(model, rows)
    own = _linear(model.member, rows)
    donors = [_linear(donor, rows) for donor in model.donors]
    weights = [model.trust_, *[1 / len(donors)] * len(donors)]
    scales = own.scales
    for donor in donors:
        scales = scales.combine_first(donor.scales)
    return _Linear(
        slopes=_weighed([own.slopes, *(one.slopes for one in donors)], weights),
        scales=scales,
        constants=_weighed([own.constants, *(one.constants for one in donors)], weights),
    )


def _weighed(parts: Sequence[pd.Series], weights: Sequence[float]) -> pd.Series:
    """Add what is named alike; what a part does not know, it leaves at zero."""
    table = pd.concat(parts, axis=1).fillna(0.0)
    return pd.Series(table.to_numpy(np.float64) @ np.asarray(weights), index=table.index)


def _of_lasso(lasso: LassoForecaster, rows: pd.DataFrame) -> _Linear:
    groups = lasso.groups_.codes(rows)
    deviations = [
        block[groups[:, column]].mean(axis=0) for column, block in enumerate(lasso.deviations_)
    ]
    per_sd = np.stack([lasso.shared_, *deviations]).sum(axis=0, dtype=np.float64)
    scales = pd.Series(lasso.standardiser_.scale, list(lasso.standardiser_.columns), np.float64)
    named = [(one, name) for one, levels in lasso.levels_.levels.items() for name in levels]
    index = pd.MultiIndex.from_tuples(named, names=["column", "level"])
    slopes = per_sd[: len(scales)] / scales  # a constant comes after them
    return _Linear(slopes, scales, pd.Series(lasso.effects_, index, np.float64))


def _numeric(linear: _Linear) -> list[dict[str, Any]]:
    return [
        _effect(str(name), float(slope), float(scale))
        for name, slope, scale in zip(
            linear.slopes.index, linear.slopes, linear.scales[linear.slopes.index], strict=True
        )
        if slope
    ]


def _effect(name: str, slope: float, scale: float) -> dict[str, Any]:
    row = {"feature": name, "feature_group": group_of(name)}
    if name == "log_price":
        value = slope
        told = f"a price 1 % higher goes with {_change(value / 100)} demand"
        return {**row, "kind": ELASTICITY, "value": value, "unit": "% per %", "meaning": told}
    if name in STEP_OF:
        step, what = STEP_OF[name]
        value = float(np.expm1(np.clip(slope * step, -20, 20)))
        told = f"{what} goes with {_change(value)} demand"
        return {**row, "kind": UPLIFT, "value": value, "unit": "fraction", "meaning": told}
    value = float(np.expm1(np.clip(slope * scale, -20, 20)))
    told = f"{name} higher by {scale:.3g}, a standard deviation, goes with {_change(value)} demand"
    return {**row, "kind": EFFECT, "value": value, "unit": "fraction per sd", "meaning": told}


def _events(linear: _Linear) -> list[dict[str, Any]]:
    """Lifts of events, against the constant of a week without one."""
    lifts = []
    for column, when in EVENT_COLUMNS.items():
        index = linear.constants.index
        columns, levels = index.get_level_values(0), index.get_level_values(1)
        own = columns == column
        of = dict(zip(levels[own], linear.constants[own], strict=True))
        for level, effect in of.items():
            value = float(np.expm1(effect - of.get(NO_EVENT, 0.0)))
            if level != NO_EVENT and value:
                told = f"{when} {level}, {_change(value)} demand than without an event"
                row = {"feature": f"{column}={level}", "feature_group": group_of(column)}
                lifts.append(
                    {**row, "kind": EVENT_LIFT, "value": value, "unit": "fraction", "meaning": told}
                )
    return lifts


def _change(value: float) -> str:
    return f"{abs(value):.1%} {'more' if value > 0 else 'less'}"
