"""The neural member: categorical embeddings and two small hidden layers on top of the base level.

Training is in `net_training`; forecasting is here and needs numpy alone.
"""

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from forecast_platform.forecasting.models.base import (
    Estimator,
    Floats,
    State,
    checked_target,
    require_columns,
    require_fitted,
    taken,
    with_tuples,
)
from forecast_platform.forecasting.models.encoding import Standardiser, Vocabulary
from forecast_platform.forecasting.models.layers import silu
from forecast_platform.forecasting.models.objective import (
    LARGEST_LOG,
    Objective,
    check_objective,
    recency_weights,
    relative_scale,
)
from forecast_platform.vocabulary import CATEGORICAL_FEATURES, DS, NUMERIC_FEATURES


class EmbeddingNetForecaster(Estimator):
    """Forecast by a small neural network with categorical embeddings.

    The net learns a correction to ``base_level`` on the log1p scale. Its output starts at zero, so
    an untrained net forecasts the level; a linear path beside the hidden layers keeps it sane with
    little data. Few epochs on purpose: three beat six and twelve on the orange-juice data.

    Parameters
    ----------
    numeric, categorical : tuple of str
        Columns that are standardised, and columns that are embedded.
    base : str, default="base_level"
        Column with the level on the log1p scale that forecasts start from.
    objective : {"mape", "mean"}, default="mape"
        See `objective`.
    hidden : tuple of (int, int), default=(64, 32)
        Units of the two hidden layers.
    embedding_size : int, default=6
        Numbers per level of a category.
    dropout : float, default=0.3
        Share of hidden units dropped while training.
    epochs : int, default=3
        Passes over the rows.
    batch_size : int, default=512
        Rows per step; fewer where an epoch would have less than ``min_steps`` steps.
    min_steps : int, default=100
        Steps per epoch below which batches shrink, down to 32 rows.
    learning_rate, weight_decay : float
        Of AdamW, under a one-cycle schedule.
    mask_share : float, default=0.02
        Share of categorical values shown as unknown while training, so that the unknown slot means
        "an average level" when a new store or product comes.
    recency_weeks : float, default=60
        A row counts ``exp(-age / recency_weeks)`` [weeks].
    zero_weight : float, default=0.03
        Weight of a row without demand; see `objective`.
    max_rows : int, default=500_000
        More rows than this are thinned at random: rows of one week seen from two cutoffs are near
        duplicates.
    seed : int, default=0
    threads : int or None, default=1
        Threads of torch while training; put back afterwards. Results depend on it in the last bits.
    device : {"auto", "cpu", "cuda"}, default="auto"
        Where the net is trained; auto is a GPU where there is one. It forecasts on the CPU.

    References
    ----------
    .. [1] C. Guo and F. Berkhahn, "Entity embeddings of categorical variables" (2016).
    .. [2] I. Loshchilov and F. Hutter, "Decoupled weight decay regularization" (2019).
    .. [3] L. N. Smith and N. Topin, "Super-convergence" (2018).
    """

    weights_: dict[str, NDArray[np.float32]]
    standardiser_: Standardiser
    vocabulary_: Vocabulary

    def __init__(
        self,
        numeric: tuple[str, ...] = NUMERIC_FEATURES,
        categorical: tuple[str, ...] = CATEGORICAL_FEATURES,
        *,
        base: str = "base_level",
        objective: Objective = "mape",
        hidden: tuple[int, int] = (64, 32),
        embedding_size: int = 6,
        dropout: float = 0.3,
        epochs: int = 3,
        batch_size: int = 512,
        min_steps: int = 100,
        learning_rate: float = 3e-3,
        weight_decay: float = 0.05,
        mask_share: float = 0.02,
        recency_weeks: float = 60.0,
        zero_weight: float = 0.03,
        max_rows: int = 500_000,
        seed: int = 0,
        threads: int | None = 1,
        device: str = "auto",
    ) -> None:
        self.numeric = numeric
        self.categorical = categorical
        self.base = base
        self.objective: Objective = objective
        self.hidden = hidden
        self.embedding_size = embedding_size
        self.dropout = dropout
        self.epochs = epochs
        self.batch_size = batch_size
        self.min_steps = min_steps
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.mask_share = mask_share
        self.recency_weeks = recency_weeks
        self.zero_weight = zero_weight
        self.max_rows = max_rows
        self.seed = seed
        self.threads = threads
        self.device = device

    def fit(self, X: pd.DataFrame, y: ArrayLike) -> Self:
        """Train on rows with known demand; needs the column ``ds`` too."""
        from forecast_platform.forecasting.models import net_training

        check_objective(self.objective)
        require_columns(X, (*self.numeric, *self.categorical, self.base, DS))
        X, demand = self._thinned(X, checked_target(X, y))
        self.standardiser_ = Standardiser.of(X, tuple(self.numeric))
        self.vocabulary_ = Vocabulary.of(X, tuple(self.categorical))
        base = X[self.base].to_numpy(np.float64)
        recency = recency_weights(X[DS].to_numpy(), self.recency_weeks)
        rows = net_training.Rows(
            matrix=self.standardiser_.matrix(X),
            codes=self._codes(X),
            unknown=self.vocabulary_.offsets,
            target=(np.log1p(demand) - base).astype(np.float32),
            scale=relative_scale(demand, base, self.zero_weight).astype(np.float32),
            weights=(recency / recency.mean()).astype(np.float32),
        )
        self.weights_ = net_training.train(
            rows,
            self._schedule(),
            n_levels=sum(self.vocabulary_.sizes),
            threads=self.threads,
            device=self.device,
        )
        return self

    def predict(self, X: pd.DataFrame) -> NDArray[np.float64]:
        """Forecast one value per row of ``X``, in its order [units]."""
        return np.expm1(self.predict_log(X))

    def predict_log(self, X: pd.DataFrame) -> NDArray[np.float64]:
        """Forecast ``log1p`` of demand, between 0 and `LARGEST_LOG`."""
        require_fitted(self, "weights_")
        codes, output = self._codes(X), np.empty(len(X))
        for rows, numbers in self.standardiser_.blocks(X):
            output[rows] = self._forward(numbers, codes[rows])
        return np.clip(output + X[self.base].to_numpy(np.float64), 0.0, LARGEST_LOG)

    def _forward(self, numbers: NDArray[np.float32], codes: NDArray[np.int32]) -> Floats:
        """Go through the layers with a row of the frame in each column."""
        w = self.weights_
        of_numbers, of_levels = np.split(w["first.weight"], [len(numbers)], axis=1)
        embedded = w["embedding.weight"].take(codes, axis=0).reshape(len(codes), -1)
        hidden = of_numbers @ numbers
        hidden += of_levels @ embedded.T
        hidden = w["second.weight"] @ silu(hidden, w["first.bias"])
        hidden = silu(hidden, w["second.bias"])
        output = w["output.weight"] @ hidden + w["skip.weight"] @ numbers
        return output[0] + w["output.bias"]

    def _codes(self, X: pd.DataFrame) -> NDArray[np.int32]:
        offsets = self.vocabulary_.offsets
        codes = np.empty((len(X), len(offsets)), dtype=np.int32)
        for position, own in enumerate(self.vocabulary_.each(X)):
            np.add(own, offsets[position], out=codes[:, position])
        return codes

    def _thinned(
        self, X: pd.DataFrame, demand: NDArray[np.float64]
    ) -> tuple[pd.DataFrame, NDArray[np.float64]]:
        if len(X) <= self.max_rows:
            return X, demand
        chosen = np.random.default_rng(self.seed).choice(len(X), self.max_rows, replace=False)
        chosen.sort()
        return X.iloc[chosen], demand[chosen]

    def _schedule(self) -> Any:
        from forecast_platform.forecasting.models.net_training import Schedule

        names = Schedule.__dataclass_fields__
        return Schedule(**{name: getattr(self, name) for name in names})

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        n_numeric = len(self.standardiser_.columns)
        n_inputs = n_numeric + len(self.vocabulary_.sizes) * self.embedding_size
        first, second = self.hidden
        return {
            "embedding.weight": (sum(self.vocabulary_.sizes), self.embedding_size),
            "first.weight": (first, n_inputs),
            "first.bias": (first,),
            "second.weight": (second, first),
            "second.bias": (second,),
            "output.weight": (1, second),
            "output.bias": (1,),
            "skip.weight": (1, n_numeric),
        }

    def to_state(self) -> State:
        """Return the fitted model as JSON values and arrays."""
        require_fitted(self, "weights_")
        columns, moments = self.standardiser_.to_state()
        values = {
            "params": self.get_params(),
            "standardiser": columns,
            "vocabulary": self.vocabulary_.to_json(),
        }
        return values, {**self.weights_, **moments}

    @classmethod
    def from_state(cls, values: Any, arrays: Mapping[str, NDArray[Any]], prefix: str) -> Self:
        """Read back what `to_state` gave, the arrays under ``prefix``."""
        model = cls(**with_tuples(values["params"]))
        model.standardiser_ = Standardiser.from_state(values["standardiser"], arrays, prefix)
        model.vocabulary_ = Vocabulary.from_json(values["vocabulary"])
        shapes = model._shapes()
        model.weights_ = {
            name: taken(arrays, f"{prefix}{name}", shape) for name, shape in shapes.items()
        }
        return model
