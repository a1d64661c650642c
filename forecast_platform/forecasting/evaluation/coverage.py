"""Held-out quantile forecasts: what corrects them, and how well they cover what came true.

Frames of a backtest belong here; the numbers behind are in `forecast_platform.forecasting.models`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from forecast_platform.forecasting.evaluation.metrics import coverage
from forecast_platform.forecasting.models.base import Forecaster
from forecast_platform.forecasting.models.conformal import Corrections, at_levels, fit_corrections
from forecast_platform.forecasting.models.quantiles import QuantileHeads
from forecast_platform.forecasting.models.ranges import in_units
from forecast_platform.vocabulary import DS, QUANTILES, SEGMENT, Y_HAT_P10, Y_HAT_P90, H, Y

NAN = float("nan")
COVERAGE_80 = "coverage_80"
PINBALL = "pinball"


@dataclass(frozen=True, slots=True)
class RawQuantiles:
    """Quantile heads as a model that a backtest can ask: a column per level, on the log1p scale.

    Parameters
    ----------
    heads : QuantileHeads
        Fitted.
    members : mapping of str to Forecaster
        The models whose forecasts the heads stand on.
    """

    heads: QuantileHeads
    members: Mapping[str, Forecaster]

    def fit(self, X: pd.DataFrame, y: ArrayLike) -> Self:  # noqa: ARG002
        """Do nothing: the heads are fitted."""
        return self

    def predict(self, X: pd.DataFrame) -> Any:
        """Forecast a frame of quantiles, not corrected and not cut at zero [log units]."""
        made = {name: member.predict(X) for name, member in self.members.items()}
        raw = self.heads.predict_log(X, pd.DataFrame(made, index=X.index))
        return pd.DataFrame(raw, columns=raw_columns(self.heads.levels), index=X.index)


def raw_columns(levels: Sequence[float]) -> list[str]:
    """Name the columns of `RawQuantiles`."""
    return [f"log_quantile_{level:g}" for level in levels]


def corrections_of(table: pd.DataFrame, levels: Sequence[float]) -> dict[str, Corrections]:
    """Learn corrections from a backtest's table; see `fit_corrections`."""
    if table.empty:
        return {"": Corrections.none(levels)}
    raw = table[raw_columns(levels)].to_numpy(np.float64)
    weeks = (table[DS] - table[DS].min()).dt.days / 7
    return fit_corrections(table[Y], raw, levels, segments=table[SEGMENT], hs=table[H], weeks=weeks)


def with_quantiles(
    rows: pd.DataFrame, corrections: Mapping[str, Corrections], levels: Sequence[float]
) -> pd.DataFrame:
    """Add the range's columns to rows of a backtest's table [units]."""
    raw = rows[raw_columns(levels)].to_numpy(np.float64)
    wanted = np.empty((len(rows), len(QUANTILES)))
    segments = rows[SEGMENT].astype("str").to_numpy()
    for segment in np.unique(segments):
        own = segments == segment
        found = corrections.get(str(segment), corrections[""])
        corrected = found.apply(raw[own], rows.loc[own, H])
        wanted[own] = in_units(at_levels(corrected, levels, tuple(QUANTILES.values())))
    return rows.assign(**dict(zip(QUANTILES, wanted.T, strict=True)))


def pinball(y: ArrayLike, y_hat: ArrayLike, level: float) -> float:
    """Return the mean pinball loss of one level [units]; nan without rows.

    Examples
    --------
    >>> pinball([10.0], [6.0], 0.9), pinball([10.0], [14.0], 0.5)
    (3.6, 2.0)
    """
    error = np.asarray(y, dtype=np.float64) - np.asarray(y_hat, dtype=np.float64)
    return float(np.maximum(level * error, (level - 1.0) * error).mean()) if len(error) else NAN


def range_scores(rows: pd.DataFrame) -> dict[str, float]:
    """Measure the range of some rows.

    Returns
    -------
    dict of str to float
        ``coverage_80``: share of rows within the 10 and 90 % quantiles, ends included;
        ``pinball``: mean pinball loss of `QUANTILES` over mean demand. nan where undefined.
    """
    if rows.empty or not set(QUANTILES) <= set(rows.columns) or _incomplete(rows):
        return {COVERAGE_80: NAN, PINBALL: NAN}
    losses = [pinball(rows[Y], rows[name], level) for name, level in QUANTILES.items()]
    mean = float(rows[Y].mean())
    return {
        COVERAGE_80: coverage(rows[Y], rows[Y_HAT_P10], rows[Y_HAT_P90]),
        PINBALL: float(np.mean(losses)) / mean if mean > 0 else NAN,
    }


def _incomplete(rows: pd.DataFrame) -> bool:
    values: NDArray[np.float64] = rows[list(QUANTILES)].to_numpy(np.float64)
    return bool(np.isnan(values).any())
