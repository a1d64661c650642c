"""Quantiles of demand around the members' forecasts: one small net with an output per level.

Training is in `quantile_training`, what held-out weeks correct in `conformal`; forecasting is here
and needs numpy alone.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from forecast_platform.forecasting.models.base import (
    CorruptModelFiles,
    Estimator,
    Floats,
    State,
    checked_target,
    require_columns,
    require_fitted,
    taken,
    with_tuples,
)
from forecast_platform.forecasting.models.encoding import CLIP, Standardiser
from forecast_platform.forecasting.models.layers import silu
from forecast_platform.forecasting.models.objective import recency_weights
from forecast_platform.vocabulary import DS, NUMERIC_FEATURES

LEVELS = (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)
"""Levels that are learnt; any between the first and the last is interpolated."""

LOW, HIGH = 0.1, 0.9
"""Levels whose distance is the width by which held-out errors are measured."""

SMALLEST_GAP = 1e-3
"""Least distance of two neighbouring levels before the net bends them [log units]."""

LARGEST_BEND = 3.0
"""A distance may be stretched or shrunk by at most ``exp`` of this."""


class QuantileHeads(Estimator):
    """Forecast quantiles of ``log1p(y)`` by pinball loss, around the centre of the members.

    The net sees the numeric features, how far the members' centre lies from ``base_level`` and how
    far the members are apart. It starts as the quantiles of all residuals together and learns how
    rows differ: where the middle lies, and how wide each gap between two neighbouring levels is.
    Gaps are positive, so levels never cross.

    Parameters
    ----------
    numeric : tuple of str
        Columns that are standardised.
    base : str, default="base_level"
        Column with the level on the log1p scale.
    levels : tuple of float, default=LEVELS
        Increasing, between 0 and 1, with `LOW`, 0.5 and `HIGH` among them.
    hidden : int, default=24
        Units of the hidden layer.
    dropout : float, default=0.2
    epochs : int, default=2
        Passes over the rows.
    batch_size : int, default=512
    learning_rate, weight_decay : float
        Of AdamW, under a one-cycle schedule.
    recency_weeks : float, default=60
        A row counts ``exp(-age / recency_weeks)`` [weeks].
    max_rows : int, default=60_000
        Rows that are learnt from; more are thinned at random.
    seed : int, default=0
    threads : int or None, default=1

    References
    ----------
    .. [1] R. Koenker and G. Bassett, "Regression quantiles", Econometrica 46 (1978).
    .. [2] A. Gasthaus et al., "Probabilistic forecasting with spline quantile function RNNs",
       AISTATS (2019): positive gaps, so that quantiles do not cross.
    """

    weights_: dict[str, NDArray[np.float32]]
    standardiser_: Standardiser
    gaps_: NDArray[np.float64]
    middle_: float

    def __init__(
        self,
        numeric: tuple[str, ...] = NUMERIC_FEATURES,
        *,
        base: str = "base_level",
        levels: tuple[float, ...] = LEVELS,
        hidden: int = 8,
        dropout: float = 0.2,
        epochs: int = 2,
        batch_size: int = 512,
        learning_rate: float = 3e-3,
        weight_decay: float = 0.05,
        recency_weeks: float = 60.0,
        max_rows: int = 60_000,
        seed: int = 0,
        threads: int | None = 1,
    ) -> None:
        self.numeric = numeric
        self.base = base
        self.levels = levels
        self.hidden = hidden
        self.dropout = dropout
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.recency_weeks = recency_weeks
        self.max_rows = max_rows
        self.seed = seed
        self.threads = threads

    def chosen(self, n_rows: int) -> NDArray[np.intp]:
        """Return the positions of the rows that `fit` should be given, so none is made in vain."""
        if n_rows <= self.max_rows:
            return np.arange(n_rows)
        rng = np.random.default_rng(self.seed)
        return np.sort(rng.choice(n_rows, self.max_rows, replace=False))

    def fit(self, X: pd.DataFrame, y: ArrayLike, members: pd.DataFrame) -> Self:
        """Learn from rows with known demand and the members' forecasts of them.

        Parameters
        ----------
        X : pandas.DataFrame
            Features, with ``ds``.
        y : array-like of shape (n_rows,)
            Demand [units].
        members : pandas.DataFrame
            A column of forecasts per member [units].
        """
        from forecast_platform.forecasting.models import quantile_training

        check_levels(self.levels)
        require_columns(X, (*self.numeric, self.base, DS))
        demand = checked_target(X, y)
        self.standardiser_ = Standardiser.of(X, tuple(self.numeric))
        residual = np.log1p(demand) - centre_of(members)
        recency = recency_weights(X[DS].to_numpy(), self.recency_weeks)
        start = np.quantile(residual, self.levels)
        self.middle_ = float(start[self._middle])
        self.gaps_ = np.maximum(np.diff(start), SMALLEST_GAP)
        self.weights_ = quantile_training.train(
            quantile_training.Rows(
                inputs=np.hstack([self.standardiser_.matrix(X), self._of_members(X, members)]),
                residual=residual.astype(np.float32),
                weights=(recency / recency.mean()).astype(np.float32),
            ),
            quantile_training.Start(self.levels, self._middle, self.middle_, self.gaps_),
            self._schedule(),
            threads=self.threads,
        )
        return self

    def predict_log(self, X: pd.DataFrame, members: pd.DataFrame) -> NDArray[np.float64]:
        """Forecast ``log1p`` of demand; shape (n_rows, n_levels), rising along each row.

        Not cut at zero: how far below zero a low level lies is what `conformal` measures.
        """
        require_fitted(self, "weights_")
        own, quantiles = self._of_members(X, members), np.empty((len(X), len(self.levels)))
        for rows, numbers in self.standardiser_.blocks(X):
            quantiles[rows] = self._around(numbers, own[rows])
        quantiles += centre_of(members)[:, None]
        return quantiles

    @property
    def _middle(self) -> int:
        return self.levels.index(0.5)

    def _of_members(self, X: pd.DataFrame, members: pd.DataFrame) -> NDArray[np.float32]:
        """Tell how far the members' centre lies from the base, and how far they are apart."""
        logs = np.log1p(members.to_numpy(np.float64))
        base = X[self.base].to_numpy(np.float64)
        apart = np.stack([logs.mean(axis=1) - base, np.ptp(logs, axis=1)], axis=1)
        return np.clip(apart, -CLIP, CLIP).astype(np.float32)

    def _around(self, numbers: NDArray[np.float32], own: NDArray[np.float32]) -> Floats:
        w = self.weights_
        output = w["output.weight"] @ silu(
            _product(w["first.weight"], numbers, own), w["first.bias"]
        )
        output = (output + _product(w["skip.weight"], numbers, own)).T + w["output.bias"]
        bend = np.exp(np.clip(output[:, 1:].astype(np.float64), -LARGEST_BEND, LARGEST_BEND))
        gaps = self.gaps_ * bend
        below = np.cumsum(gaps[:, : self._middle][:, ::-1], axis=1)[:, ::-1]
        above = np.cumsum(gaps[:, self._middle :], axis=1)
        middle = self.middle_ + output[:, :1].astype(np.float64)
        return np.concatenate([middle - below, middle, middle + above], axis=1)

    def _schedule(self) -> Any:
        from forecast_platform.forecasting.models.quantile_training import Schedule

        names = Schedule.__dataclass_fields__
        return Schedule(**{name: getattr(self, name) for name in names})

    def to_state(self) -> State:
        """Return the fitted heads as JSON values and arrays."""
        require_fitted(self, "weights_")
        columns, moments = self.standardiser_.to_state()
        values = {"params": self.get_params(), "standardiser": columns}
        start = np.array([self.middle_, *self.gaps_])
        return values, {**self.weights_, **moments, "start": start}

    @classmethod
    def from_state(cls, values: Any, arrays: Mapping[str, NDArray[Any]], prefix: str) -> Self:
        """Read back what `to_state` gave, the arrays under ``prefix``."""
        heads = cls(**with_tuples(values["params"]))
        check_levels(heads.levels)
        heads.standardiser_ = Standardiser.from_state(values["standardiser"], arrays, prefix)
        n_inputs, n_levels = len(heads.standardiser_.columns) + 2, len(heads.levels)
        shapes = {
            "first.weight": (heads.hidden, n_inputs),
            "first.bias": (heads.hidden,),
            "output.weight": (n_levels, heads.hidden),
            "output.bias": (n_levels,),
            "skip.weight": (n_levels, n_inputs),
        }
        heads.weights_ = {
            name: taken(arrays, f"{prefix}{name}", shape) for name, shape in shapes.items()
        }
        start = taken(arrays, f"{prefix}start", (n_levels,))
        heads.middle_, heads.gaps_ = float(start[0]), start[1:]
        if (heads.gaps_ <= 0).any():
            raise CorruptModelFiles("gaps between levels must be positive")
        return heads


def _product(
    weight: NDArray[np.float32], numbers: NDArray[np.float32], own: NDArray[np.float32]
) -> Floats:
    """Return ``weight`` times numbers (columns, rows) over what the members say (rows, 2)."""
    n_numbers = len(numbers)
    return weight[:, :n_numbers] @ numbers + weight[:, n_numbers:] @ own.T


def centre_of(members: pd.DataFrame) -> NDArray[np.float64]:
    """Return the mean of the members' forecasts on the log1p scale, shape (n_rows,).

    Equal weights, whatever a segment's own are: the heads are common to all segments.
    """
    return np.log1p(members.to_numpy(np.float64)).mean(axis=1)


def check_levels(levels: Sequence[float]) -> None:
    """Raise ``ValueError`` unless levels rise between 0 and 1 and hold `LOW`, 0.5 and `HIGH`."""
    values = np.asarray(levels, dtype=np.float64)
    rising = len(values) and (np.diff(values) > 0).all() and values[0] > 0 and values[-1] < 1
    if not rising or not {LOW, 0.5, HIGH} <= set(levels):
        raise ValueError(
            f"levels must rise between 0 and 1 with {LOW}, 0.5 and {HIGH} among them, got {levels}"
        )
