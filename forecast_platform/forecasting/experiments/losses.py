"""Errors of two arms on the same rows, one number for each week.

Both arms forecast every row, so that each row is a pair. Whether the numbers say that one arm is
better is for `sequential`.
"""

from typing import Final, Literal

import numpy as np
import pandas as pd

from forecast_platform.vocabulary import DS, UNIQUE_ID, Y

Metric = Literal["mape", "wape"]

FORECAST_A: Final = "forecast_a"
FORECAST_B: Final = "forecast_b"
DIFFERENCE: Final = "difference"


def weekly_losses(rows: pd.DataFrame, metric: Metric = "mape") -> pd.DataFrame:
    """Score both arms on each week that was forecast, over all series and weeks ahead.

    Parameters
    ----------
    rows : pandas.DataFrame
        ``unique_id``, ``ds``, ``y``, ``forecast_a`` and ``forecast_b`` [units]. Rows that an arm
        did not forecast, or whose actual is not known, are left out of both arms.
    metric : {"mape", "wape"}, default="mape"
        What is summed: ``|y - y_hat| / y`` over rows with demand, or ``|y - y_hat|`` over all.

    Returns
    -------
    pandas.DataFrame
        One row per ``ds``, in order: ``loss_a`` and ``loss_b`` (MAPE or WAPE), ``difference``, and
        the counts ``n_rows`` and ``n_series``.

    Notes
    -----
    The week is the unit: what makes the demand of a week hard to forecast makes it so for all
    stores and all weeks ahead, so rows of one week are no independent evidence. ``difference`` is
    ``2 (b - a) / (a + b)``, the relative difference to the mean of both: swapping the arms turns
    its sign, so that it is symmetric around 0 when the arms are alike, whatever the demand. It is
    above 0 when A is better.
    """
    is_pair = rows[[Y, FORECAST_A, FORECAST_B]].notna().all(axis=1)
    if metric == "mape":
        is_pair &= rows[Y] > 0
    pairs = rows.loc[is_pair, [UNIQUE_ID, DS, Y, FORECAST_A, FORECAST_B]]
    weight = 1 / pairs[Y] if metric == "mape" else pd.Series(1.0, index=pairs.index)
    scored = pairs.assign(
        a=(pairs[Y] - pairs[FORECAST_A]).abs() * weight,
        b=(pairs[Y] - pairs[FORECAST_B]).abs() * weight,
        of=pairs[Y] * weight,
    )
    weeks = scored.groupby(DS, sort=True).agg(
        a=("a", "sum"),
        b=("b", "sum"),
        of=("of", "sum"),
        n_rows=(Y, "size"),
        n_series=(UNIQUE_ID, "nunique"),
    )
    total = (weeks["a"] + weeks["b"]).to_numpy()
    apart = 2 * (weeks["b"] - weeks["a"]).to_numpy()
    difference = np.divide(apart, total, out=np.zeros_like(total), where=total > 0)
    of = weeks["of"].where(weeks["of"] > 0)
    return pd.DataFrame(
        {
            "loss_a": weeks["a"] / of,
            "loss_b": weeks["b"] / of,
            DIFFERENCE: difference,
            "n_rows": weeks["n_rows"],
            "n_series": weeks["n_series"],
        }
    ).reset_index()
