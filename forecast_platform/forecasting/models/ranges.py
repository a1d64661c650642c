"""The range of one segment: the quantile heads of its region, with corrections of its own.

What the heads learn is in `quantiles`, what held-out weeks correct in `conformal`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast_platform.forecasting.models.base import CorruptModelFiles, State
from forecast_platform.forecasting.models.conformal import Corrections, at_levels
from forecast_platform.forecasting.models.objective import LARGEST_LOG
from forecast_platform.forecasting.models.quantiles import QuantileHeads
from forecast_platform.vocabulary import H


@dataclass(frozen=True, slots=True)
class Range:
    """Forecasts any quantile of demand from the members' forecasts.

    Parameters
    ----------
    heads : QuantileHeads
        Fitted.
    corrections : Corrections
        Of the segment, for the heads' levels.
    """

    heads: QuantileHeads
    corrections: Corrections

    def predict(
        self, X: pd.DataFrame, members: pd.DataFrame, levels: Sequence[float]
    ) -> NDArray[np.float64]:
        """Forecast quantiles, shape (n_rows, n_levels) [units]; rising with the level."""
        raw = self.heads.predict_log(X, members)
        corrected = self.corrections.apply(raw, X[H].to_numpy())
        return in_units(at_levels(corrected, self.heads.levels, levels))

    def to_state(self) -> State:
        """Return JSON values and arrays."""
        heads, of_heads = self.heads.to_state()
        corrections, of_corrections = self.corrections.to_state()
        arrays = {f"heads/{name}": array for name, array in of_heads.items()}
        arrays |= {f"corrections/{name}": array for name, array in of_corrections.items()}
        return {"heads": heads, "corrections": corrections}, arrays

    @classmethod
    def from_state(cls, values: Any, arrays: Mapping[str, NDArray[Any]], prefix: str) -> Self:
        """Read back what `to_state` gave, the arrays under ``prefix``."""
        heads = QuantileHeads.from_state(values["heads"], arrays, f"{prefix}heads/")
        corrections = Corrections.from_state(values["corrections"], arrays, f"{prefix}corrections/")
        if corrections.levels != tuple(heads.levels):
            raise CorruptModelFiles("corrections are for other levels than the heads'")
        return cls(heads, corrections)


def in_units(logs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Turn quantiles of ``log1p(y)`` into those of ``y``: not negative, and finite [units]."""
    return np.expm1(np.clip(logs, 0.0, LARGEST_LOG))
