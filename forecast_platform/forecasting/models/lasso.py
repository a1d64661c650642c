"""The LASSO member: linear on log demand, shared coefficients with deviations by group.

The design's sums are in `interactions`, compiled loops in `solver`, the loss in `objective`.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from threadpoolctl import threadpool_limits

from forecast_platform.forecasting.models.base import (
    Estimator,
    State,
    checked_target,
    require_columns,
    require_fitted,
    taken,
    with_tuples,
)
from forecast_platform.forecasting.models.encoding import Standardiser, Vocabulary
from forecast_platform.forecasting.models.interactions import Design, Layout
from forecast_platform.forecasting.models.objective import (
    LARGEST_LOG,
    Objective,
    best_shift,
    check_objective,
    recency_weights,
    relative_scale,
    reweight,
)
from forecast_platform.vocabulary import (
    CATEGORICAL_FEATURES,
    DS,
    NUMERIC_FEATURES,
    SEGMENT,
)

ALPHAS = (1e-2, 3e-3, 1e-3, 3e-4)
"""Penalties whose solutions are averaged, from the strongest. To choose one of them by the last
weeks is worse: a few unusual weeks then decide. The weak ones follow large promotions further and
so take from the bias (docs/accuracy.md)."""

LIMITS = (1e-4, 300)
"""Coordinate descent ends at this change of the prediction [log units], or after so many sweeps."""

MAX_EFFECT_LEVELS = 256
"""A column with more levels than this gets no effects: its level is in ``base_level`` already."""


class LassoForecaster(Estimator):
    """Forecast by a LASSO on ``log1p(y) - base_level`` under one penalty.

    One set of coefficients is shared by all rows of the region; levels of ``deviations`` (segment,
    category) may deviate from it, and levels of ``effects`` add constants, all under the same
    penalty. So a segment with little data leans on the others, and one with much data has its own
    model. (Fitting segments apart loses: 0.331 against 0.322 MAPE on the orange-juice data.)

    Parameters
    ----------
    numeric : tuple of str, default=NUMERIC_FEATURES
        Columns that are standardised.
    deviations : tuple of str, default=("segment", "category")
        Columns whose levels get deviations; one is left out where the coefficients would exceed
        ``max_coefficients``.
    effects : tuple of str, default=CATEGORICAL_FEATURES
        Columns whose levels get constants.
    base : str, default="base_level"
        Column with the level on the log1p scale that forecasts start from.
    objective : {"mape", "mean"}, default="mape"
        See `objective`.
    alpha : float or None, default=None
        Penalty. None averages the solutions of `ALPHAS`.
    recency_weeks : float, default=60
        A row counts ``exp(-age / recency_weeks)`` [weeks].
    zero_weight : float, default=0.03
        Weight of a row without demand; see `objective`.
    n_reweights : int, default=4
        Least-squares problems solved after the first.
    max_coefficients : int, default=2500
        Bound on the design's width.
    threads : int or None, default=1
        Threads of matrix products while fitting; put back afterwards. None leaves the number alone.
        Its products are small: where other work is on the processors, more threads wait for one
        another (six times the time on two busy cores).

    Attributes
    ----------
    alpha_ : float
        Penalty used; the middle one where several are averaged.
    shared_ : ndarray of shape (n_numeric + 1,), float32
        Shared coefficients per standard deviation, the intercept last.

    References
    ----------
    .. [1] R. Tibshirani, "Regression shrinkage and selection via the lasso", JRSS B 58 (1996).
    .. [2] J. Friedman, T. Hastie and R. Tibshirani, "Regularization paths for generalized linear
       models via coordinate descent", Journal of Statistical Software 33 (2010).
    .. [3] S. Gross and R. Tibshirani, "Data shared lasso", Computational Statistics & Data Analysis
       101 (2016): shared coefficients with deviations under one penalty.
    """

    alpha_: float
    shared_: NDArray[np.float32]
    deviations_: list[NDArray[np.float32]]
    effects_: NDArray[np.float32]
    standardiser_: Standardiser
    groups_: Vocabulary
    levels_: Vocabulary

    def __init__(
        self,
        numeric: tuple[str, ...] = NUMERIC_FEATURES,
        *,
        deviations: tuple[str, ...] = (SEGMENT, "category"),
        effects: tuple[str, ...] = CATEGORICAL_FEATURES,
        base: str = "base_level",
        objective: Objective = "mape",
        alpha: float | None = None,
        recency_weeks: float = 60.0,
        zero_weight: float = 0.03,
        n_reweights: int = 4,
        max_coefficients: int = 2500,
        threads: int | None = 1,
    ) -> None:
        self.numeric = numeric
        self.deviations = deviations
        self.effects = effects
        self.base = base
        self.objective: Objective = objective
        self.alpha = alpha
        self.recency_weeks = recency_weeks
        self.zero_weight = zero_weight
        self.n_reweights = n_reweights
        self.max_coefficients = max_coefficients
        self.threads = threads

    def fit(self, X: pd.DataFrame, y: ArrayLike) -> Self:
        """Learn coefficients from rows with known demand; needs the column ``ds`` too."""
        check_objective(self.objective)
        require_columns(X, (*self.numeric, *self.deviations, *self.effects, self.base, DS))
        demand = checked_target(X, y)
        with threadpool_limits(self.threads, user_api="blas"):
            self._learn(X, demand)
        return self

    def _learn(self, X: pd.DataFrame, demand: NDArray[np.float64]) -> None:
        self._encode(X)
        problem = _Problem(self, X, demand)
        alphas = ALPHAS if self.alpha is None else (float(self.alpha),)
        self.alpha_ = _middle(alphas)
        coef = problem.shifted(np.mean(problem.path(alphas, problem.recency), axis=0))
        shared, deviations, effects = problem.design.layout.split(coef)
        self.shared_ = shared.astype(np.float32)
        self.deviations_ = [block.astype(np.float32) for block in deviations]
        self.effects_ = effects.astype(np.float32)

    def predict(self, X: pd.DataFrame) -> NDArray[np.float64]:
        """Forecast one value per row of ``X``, in its order [units]."""
        return np.expm1(self.predict_log(X))

    def predict_log(self, X: pd.DataFrame) -> NDArray[np.float64]:
        """Forecast ``log1p`` of demand, between 0 and `LARGEST_LOG`."""
        require_fitted(self, "shared_")
        linear = X[self.base].to_numpy(np.float64, copy=True)
        for effects, codes in zip(self._effects_of(), self.levels_.each(X), strict=True):
            linear += effects[codes]
        groups = self.groups_.codes(X)
        for rows, numbers in self.standardiser_.blocks(X):
            linear[rows] += self.shared_[:-1] @ numbers + self.shared_[-1]
            for column, block in enumerate(self.deviations_):
                each = block[:, :-1] @ numbers
                each += block[:, -1:]
                linear[rows] += each[groups[rows, column], np.arange(each.shape[1])]
        return np.clip(linear, 0.0, LARGEST_LOG, out=linear)

    def _encode(self, X: pd.DataFrame) -> None:
        self.standardiser_ = Standardiser.of(X, tuple(self.numeric))
        self.levels_ = Vocabulary(
            {
                column: levels if len(levels) <= MAX_EFFECT_LEVELS else ()
                for column, levels in Vocabulary.of(X, tuple(self.effects)).levels.items()
            }
        )
        kept, width = {}, len(self.numeric) + 1
        room = self.max_coefficients - width - sum(self.levels_.sizes)
        for column, levels in Vocabulary.of(X, tuple(self.deviations)).levels.items():
            if len(levels) > 1 and len(levels) * width <= room:
                kept[column] = levels
                room -= len(levels) * width
        self.groups_ = Vocabulary(kept)

    def _effects_of(self) -> Iterator[NDArray[np.float64]]:
        """Yield the effect of every code of each column; an unknown level has none."""
        start = 0
        for size in self.levels_.sizes:
            own = self.effects_[start : start + size - 1]
            yield np.concatenate([[0.0], own.astype(np.float64)])
            start += size - 1

    def _effect_positions(self, X: pd.DataFrame, order: NDArray[np.intp]) -> NDArray[np.integer]:
        """Place the levels of the rows in ``order`` among the effects; -1 where one is unknown."""
        sizes = self.levels_.sizes
        narrow = sum(sizes) <= np.iinfo(np.int16).max
        places = np.empty((len(X), len(sizes)), dtype=np.int16 if narrow else np.int32)
        start = 0
        for column, codes in enumerate(self.levels_.each(X)):
            of_codes = np.arange(start - 1, start - 1 + sizes[column], dtype=places.dtype)
            of_codes[0] = -1
            places[:, column] = of_codes[codes[order]]
            start += sizes[column] - 1
        return places

    def to_state(self) -> State:
        """Return the fitted model as JSON values and arrays."""
        require_fitted(self, "shared_")
        columns, moments = self.standardiser_.to_state()
        values = {
            "params": self.get_params(),
            "alpha": self.alpha_,
            "standardiser": columns,
            "groups": self.groups_.to_json(),
            "levels": self.levels_.to_json(),
        }
        arrays = {"shared": self.shared_, "effects": self.effects_, **moments}
        blocks = {f"deviations_{i}": block for i, block in enumerate(self.deviations_)}
        return values, {**arrays, **blocks}

    @classmethod
    def from_state(cls, values: Any, arrays: Mapping[str, NDArray[Any]], prefix: str) -> Self:
        """Read back what `to_state` gave, the arrays under ``prefix``."""
        model = cls(**with_tuples(values["params"]))
        model.alpha_ = float(values["alpha"])
        model.standardiser_ = Standardiser.from_state(values["standardiser"], arrays, prefix)
        model.groups_ = Vocabulary.from_json(values["groups"])
        model.levels_ = Vocabulary.from_json(values["levels"])
        width = len(model.standardiser_.columns) + 1
        model.shared_ = taken(arrays, f"{prefix}shared", (width,))
        model.deviations_ = [
            taken(arrays, f"{prefix}deviations_{i}", (size, width))
            for i, size in enumerate(model.groups_.sizes)
        ]
        n_effects = sum(model.levels_.sizes) - len(model.levels_.sizes)
        model.effects_ = taken(arrays, f"{prefix}effects", (n_effects,))
        return model


def _middle(alphas: tuple[float, ...]) -> float:
    return alphas[(len(alphas) - 1) // 2]


class _Problem:
    """Rows of one fit in the design's order, and the reweighted least-squares problems on them."""

    def __init__(self, model: LassoForecaster, X: pd.DataFrame, demand: NDArray[np.float64]):
        self.objective: Objective = model.objective
        self.n_reweights = model.n_reweights
        groups = model.groups_.codes(X)
        order = Design.order_of(groups)
        effects = model._effect_positions(X, order)  # noqa: SLF001 (its own problem)
        matrix = model.standardiser_.matrix(X, intercept=True, order=order)
        counts = tuple(size - 1 for size in model.groups_.sizes)
        layout = Layout(matrix.shape[1], counts, sum(model.levels_.sizes) - effects.shape[1])
        self.design = Design.of(layout, matrix, groups[order], effects)
        base = X[model.base].to_numpy(np.float64)[order]
        demand = demand[order]
        self.target = np.log1p(demand) - base
        self.scale = relative_scale(demand, base, model.zero_weight)
        self.recency = recency_weights(X[DS].to_numpy()[order], model.recency_weeks)

    def path(
        self, alphas: tuple[float, ...], row_weights: NDArray[np.float64]
    ) -> list[NDArray[np.float64]]:
        """Fit with the middle penalty, then every penalty on the last problem's sums."""
        from forecast_platform.forecasting.models import solver

        layout = self.design.layout
        penalty, coef = layout.penalty(), np.zeros(layout.size)
        prediction = np.full(len(self.target), self._start(row_weights))
        middle = _middle(alphas)
        gram, moment = np.empty((layout.size, layout.size)), np.empty(0)
        for _ in range(1 + self.n_reweights):
            weights, working = reweight(self.objective, prediction, self.target, self.scale)
            _, moment = self.design.gram(weights * row_weights, working, gram)
            solver.descend(gram, moment, middle * penalty, coef, LIMITS)
            prediction = self.design.predict(coef)
        if len(alphas) == 1:
            return [coef]
        coefs = []
        for alpha in alphas:
            coef = coef.copy()
            solver.descend(gram, moment, alpha * penalty, coef, LIMITS)
            coefs.append(coef)
        return coefs

    def shifted(self, coef: NDArray[np.float64]) -> NDArray[np.float64]:
        """Move the intercept to where the relative error is least, under ``mape``."""
        if self.objective != "mape":
            return coef
        moved, left = coef.copy(), self.target - self.design.predict(coef)
        moved[self.design.layout.width - 1] += best_shift(left, self.scale, self.recency)
        return moved

    def _start(self, row_weights: NDArray[np.float64]) -> float:
        if self.objective == "mape":
            return best_shift(self.target, self.scale, row_weights)
        return 0.0
