"""Coefficients of a LASSO member in units that a planner reads.

Standard deviations are undone, and what deviates by segment and category is averaged over the rows
of one segment. Importance of groups, for any member, is in `importance`.
"""

from typing import Any, Final

import numpy as np
import pandas as pd

from forecast_platform.forecasting.explanation.groups import group_of
from forecast_platform.forecasting.models.lasso import LassoForecaster
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


def lasso_effects(lasso: LassoForecaster, rows: pd.DataFrame) -> pd.DataFrame:
    """Return every coefficient that is not zero as an effect on ``1 + demand``.

    Parameters
    ----------
    lasso : LassoForecaster
        Fitted.
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
    """
    found = [*_numeric(lasso, rows), *_events(lasso)]
    columns = ["kind", "feature", "feature_group", "value", "unit", "meaning"]
    table = pd.DataFrame(found, columns=columns)
    size = table["value"].abs()
    order = table.assign(_size=-size, _kind=table["kind"].map(KINDS.index))
    order = order.sort_values(["_kind", "_size", "feature"])
    return order[columns].reset_index(drop=True)


def _numeric(lasso: LassoForecaster, rows: pd.DataFrame) -> list[dict[str, Any]]:
    groups = lasso.groups_.codes(rows)
    deviations = [
        block[groups[:, column]].mean(axis=0) for column, block in enumerate(lasso.deviations_)
    ]
    per_sd = np.stack([lasso.shared_, *deviations]).sum(axis=0, dtype=np.float64)
    scaler = lasso.standardiser_
    return [
        _effect(name, float(per_sd[position]), float(scaler.scale[position]))
        for position, name in enumerate(scaler.columns)
        if per_sd[position]
    ]


def _effect(name: str, per_sd: float, scale: float) -> dict[str, Any]:
    row = {"feature": name, "feature_group": group_of(name)}
    if name == "log_price":
        value = per_sd / scale
        told = f"a price 1 % higher goes with {_change(value / 100)} demand"
        return {**row, "kind": ELASTICITY, "value": value, "unit": "% per %", "meaning": told}
    if name in STEP_OF:
        step, what = STEP_OF[name]
        value = float(np.expm1(np.clip(per_sd / scale * step, -20, 20)))
        told = f"{what} goes with {_change(value)} demand"
        return {**row, "kind": UPLIFT, "value": value, "unit": "fraction", "meaning": told}
    value = float(np.expm1(np.clip(per_sd, -20, 20)))
    told = f"{name} higher by {scale:.3g}, a standard deviation, goes with {_change(value)} demand"
    return {**row, "kind": EFFECT, "value": value, "unit": "fraction per sd", "meaning": told}


def _events(lasso: LassoForecaster) -> list[dict[str, Any]]:
    """Lifts of events, against the constant of a week without one."""
    effects, start = {}, 0
    for column, levels in lasso.levels_.levels.items():
        effects[column] = dict(
            zip(levels, lasso.effects_[start : start + len(levels)], strict=True)
        )
        start += len(levels)
    lifts = []
    for column, when in EVENT_COLUMNS.items():
        of = effects.get(column, {})
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
