"""Warm start: a member that begins as what members of other regions forecast, and learns the rest.

For a region whose history is too short to learn from alone. Which regions lend their models is
decided outside; how long a history must be, in `forecast_platform.forecasting.training`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from forecast_platform.forecasting.models.base import (
    CorruptModelFiles,
    Estimator,
    State,
    require_fitted,
)
from forecast_platform.forecasting.models.objective import LARGEST_LOG
from forecast_platform.vocabulary import DS

DONOR_LEVEL = "donor_level"
"""Column with the donors' forecast on the log1p scale, which the member starts from."""

PRIOR_WEEKS = 8.0
"""Weeks of history at which half of what a member learns beyond its donors is believed."""


class WarmStarted(Estimator):
    """Fit a member on top of donors: members of the same kind, fitted on other regions.

    The members of the platform forecast a correction to a ``base`` on the log1p scale and start at
    zero. Here the base is the mean of the donors' forecasts, so the member starts as the donors'
    function: a net fine-tunes it in few steps, and a LASSO, whose penalty draws corrections to
    zero, is drawn towards the donors' coefficients. Of what it learns, the share
    ``n / (n + PRIOR_WEEKS)`` is believed after ``n`` weeks. Stores and products that donors do not
    know are, to their embeddings, an average level; events, weather, prices and seasons they know.

    Parameters
    ----------
    member : Estimator
        With a parameter ``base``, which becomes `DONOR_LEVEL`.
    donors : sequence of forecasters
        Fitted, of one class.

    References
    ----------
    .. [1] S. Gross and R. Tibshirani, "Data shared lasso", Computational Statistics & Data Analysis
       101 (2016).
    .. [2] J. Yosinski et al., "How transferable are features in deep neural networks?", NeurIPS
       (2014).
    """

    trust_: float

    def __init__(self, member: Any, donors: Sequence[Any]) -> None:
        self.member = member
        self.donors = donors

    def fit(self, X: pd.DataFrame, y: ArrayLike) -> Self:
        """Learn from rows with known demand what the donors do not know."""
        if not self.donors:
            raise ValueError("a warm start needs at least one donor")
        self.member = self.member.set_params(base=DONOR_LEVEL).fit(self._with_level(X), y)
        n_weeks = X[DS].nunique()
        self.trust_ = n_weeks / (n_weeks + PRIOR_WEEKS)
        return self

    def predict(self, X: pd.DataFrame) -> NDArray[np.float64]:
        """Forecast one value per row of ``X``, in its order [units]."""
        return np.expm1(self.predict_log(X))

    def predict_log(self, X: pd.DataFrame) -> NDArray[np.float64]:
        """Forecast ``log1p`` of demand."""
        require_fitted(self, "trust_")
        rows = self._with_level(X)
        level = rows[DONOR_LEVEL].to_numpy(np.float64)
        own = np.log1p(np.asarray(self.member.predict(rows), dtype=np.float64))
        return level + self.trust_ * (own - level)

    def _with_level(self, X: pd.DataFrame) -> pd.DataFrame:
        logs = [np.log1p(np.asarray(donor.predict(X), np.float64)) for donor in self.donors]
        level = np.minimum(np.mean(logs, axis=0), LARGEST_LOG)
        return pd.concat([X, pd.Series(level, index=X.index, name=DONOR_LEVEL)], axis=1)

    def to_state(self) -> State:
        """Return member and donors as JSON values and arrays: the model needs no other file."""
        require_fitted(self, "trust_")
        states = {"member": self.member.to_state()}
        states |= {f"donor_{n}": donor.to_state() for n, donor in enumerate(self.donors)}
        values = {
            "warm_started": {name: own for name, (own, _) in states.items()},
            "trust": self.trust_,
        }
        arrays = {
            f"{name}/{key}": array
            for name, (_, own) in states.items()
            for key, array in own.items()
        }
        return values, arrays

    @classmethod
    def read(
        cls, family: Any, values: Any, arrays: Mapping[str, NDArray[Any]], prefix: str
    ) -> Self:
        """Read back what `to_state` gave; member and donors are of the class ``family``."""
        parts = values["warm_started"]
        if not isinstance(parts, dict) or "member" not in parts or len(parts) < 2:
            raise CorruptModelFiles("a warm start needs a member and at least one donor")
        read = {
            name: family.from_state(own, arrays, f"{prefix}{name}/") for name, own in parts.items()
        }
        model = cls(read.pop("member"), list(read.values()))
        model.trust_ = float(values["trust"])
        return model


def parts_of(member: Any) -> list[Any]:
    """Return what reads columns in a member: itself, or of a warm start its own part and donors."""
    return [member.member, *member.donors] if isinstance(member, WarmStarted) else [member]


def is_warm_started(values: Any) -> bool:
    """Whether JSON values of a member are those of a `WarmStarted` one."""
    return isinstance(values, dict) and "warm_started" in values


def warm_start(member: Any, donors: Sequence[Any]) -> Any:
    """Return the member started from donors; itself where it has no base to start from.

    Donors that were warm-started themselves lend nothing, so that chains do not grow.
    """
    donors = [donor for donor in donors if not isinstance(donor, WarmStarted)]
    if not donors or "base" not in member.get_params():
        return member
    return WarmStarted(member, donors)
