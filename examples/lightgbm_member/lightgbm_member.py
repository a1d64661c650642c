"""A member of the ensembles in one file: gradient-boosted trees by LightGBM.

What every member must do is in docs/extending.md. Needs ``pip install lightgbm``.
"""

from collections.abc import Mapping
from typing import Any, Self

import lightgbm
import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from forecast_platform.forecasting.models.base import (
    CorruptModelFiles,
    Estimator,
    State,
    checked_target,
    require_columns,
    require_fitted,
    with_tuples,
)
from forecast_platform.forecasting.models.encoding import Vocabulary
from forecast_platform.forecasting.models.objective import (
    LARGEST_LOG,
    Objective,
    check_objective,
    recency_weights,
    relative_scale,
)
from forecast_platform.vocabulary import CATEGORICAL_FEATURES, DS, NUMERIC_FEATURES


class LightGBMForecaster(Estimator):
    """Forecast by gradient-boosted trees on ``log1p(y) - base_level``.

    Parameters
    ----------
    numeric, categorical : tuple of str
        Feature columns.
    base : str, default="base_level"
        Column with the level on the log1p scale that forecasts start from.
    objective : {"mape", "mean"}, default="mape"
        ``mape`` fits absolute errors of the logarithm, weighted by their relative size; ``mean``
        squared ones.
    n_trees, n_leaves, learning_rate, min_rows_of_leaf
        As of LightGBM.
    recency_weeks : float, default=60
        A row counts ``exp(-age / recency_weeks)`` [weeks].
    zero_weight : float, default=0.03
        Weight of a row without demand.
    seed : int, default=0
    threads : int or None, default=1

    References
    ----------
    .. [1] G. Ke et al., "LightGBM: a highly efficient gradient boosting decision tree" (2017).
    """

    trees_: lightgbm.Booster
    vocabulary_: Vocabulary

    def __init__(
        self,
        numeric: tuple[str, ...] = NUMERIC_FEATURES,
        categorical: tuple[str, ...] = CATEGORICAL_FEATURES,
        *,
        base: str = "base_level",
        objective: Objective = "mape",
        n_trees: int = 200,
        n_leaves: int = 31,
        learning_rate: float = 0.05,
        min_rows_of_leaf: int = 20,
        recency_weeks: float = 60.0,
        zero_weight: float = 0.03,
        seed: int = 0,
        threads: int | None = 1,
    ) -> None:
        self.numeric = numeric
        self.categorical = categorical
        self.base = base
        self.objective: Objective = objective
        self.n_trees = n_trees
        self.n_leaves = n_leaves
        self.learning_rate = learning_rate
        self.min_rows_of_leaf = min_rows_of_leaf
        self.recency_weeks = recency_weeks
        self.zero_weight = zero_weight
        self.seed = seed
        self.threads = threads

    def fit(self, X: pd.DataFrame, y: ArrayLike) -> Self:
        """Grow trees on rows with known demand; needs the column ``ds`` too."""
        check_objective(self.objective)
        require_columns(X, (*self.numeric, *self.categorical, self.base, DS))
        demand = checked_target(X, y)
        self.vocabulary_ = Vocabulary.of(X, tuple(self.categorical))
        base = X[self.base].to_numpy(np.float64)
        weights = recency_weights(X[DS].to_numpy(), self.recency_weeks)
        if self.objective == "mape":
            weights *= relative_scale(demand, base, self.zero_weight)
        n_numeric = len(self.numeric)
        rows = lightgbm.Dataset(
            self._matrix(X),
            np.log1p(demand) - base,
            weight=weights,
            categorical_feature=list(range(n_numeric, n_numeric + len(self.categorical))),
            params={"verbosity": -1},
        )
        self.trees_ = lightgbm.train(self._lightgbm_params(), rows, num_boost_round=self.n_trees)
        return self

    def predict(self, X: pd.DataFrame) -> NDArray[np.float64]:
        """Forecast one value per row of ``X``, in its order [units]."""
        require_fitted(self, "trees_")
        output = np.asarray(self.trees_.predict(self._matrix(X), num_threads=self.threads or 0))
        base = X[self.base].to_numpy(np.float64)
        return np.expm1(np.clip(output + base, 0.0, LARGEST_LOG))

    def to_state(self) -> State:
        """Return the fitted member as JSON values; LightGBM's text format is data too."""
        require_fitted(self, "trees_")
        values = {
            "params": self.get_params(),
            "vocabulary": self.vocabulary_.to_json(),
            "trees": self.trees_.model_to_string(),
        }
        return values, {}

    @classmethod
    def from_state(cls, values: Any, arrays: Mapping[str, NDArray[Any]], prefix: str) -> Self:  # noqa: ARG003
        """Read back what `to_state` gave."""
        model = cls(**with_tuples(values["params"]))
        model.vocabulary_ = Vocabulary.from_json(values["vocabulary"])
        try:
            model.trees_ = lightgbm.Booster(model_str=str(values["trees"]))
        except lightgbm.basic.LightGBMError as error:
            raise CorruptModelFiles(f"LightGBM cannot read its trees: {error}") from error
        return model

    def _matrix(self, X: pd.DataFrame) -> NDArray[np.float32]:
        numbers = X[list(self.numeric)].to_numpy(np.float32)
        return np.hstack([numbers, self.vocabulary_.codes(X).astype(np.float32)])

    def _lightgbm_params(self) -> dict[str, Any]:
        return {
            "objective": "regression_l1" if self.objective == "mape" else "regression",
            "num_leaves": self.n_leaves,
            "learning_rate": self.learning_rate,
            "min_data_in_leaf": self.min_rows_of_leaf,
            "seed": self.seed,
            "deterministic": True,
            "force_row_wise": True,
            "num_threads": self.threads or 0,
            "verbosity": -1,
        }
