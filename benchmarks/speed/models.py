"""Training and scoring of one segment, one model per process, with the bare products beside it.

CPU seconds are measured: other work on the machine then counts little. Memory is the peak of the
process above what it held when its libraries were loaded and warm, so it holds the rows themselves.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.memory import peak_mib
from benchmarks.speed import segments
from forecast_platform.forecasting.models.ensemble import Ensemble
from forecast_platform.forecasting.models.lasso import ALPHAS, LIMITS
from forecast_platform.forecasting.training import TrainingConfig
from forecast_platform.vocabulary import (
    CATEGORICAL_FEATURES,
    EMBEDDING_NET,
    LASSO,
    NUMERIC_FEATURES,
    Y,
)

MODELS = ("lasso", "net", "ensemble", "lightgbm")
WARM_ROWS = 2_000
TREES, LEAVES = 150, 31
"""The cheapest of the settings that the accuracy benchmark tunes LightGBM over."""

EPOCHS, BATCH = 3, 512


def timed(call: Callable[[], Any]) -> tuple[Any, float]:
    """Call, and return the result and the CPU seconds it took."""
    started = time.process_time()
    result = call()
    return result, time.process_time() - started


def measure(name: str, folder: Path, n_rows: int, warm_rows: int) -> dict[str, Any]:
    """Train and score one model on rows that it has not seen in this process."""
    warm = segments.read(folder, warm_rows)
    _fitted(name, warm)(warm)
    del warm
    before = peak_mib()
    rows = segments.read(folder, n_rows)
    predict, fit_seconds = timed(lambda: _fitted(name, rows))
    peak = peak_mib() - before
    _, score_seconds = timed(lambda: predict(rows))
    found = {
        "model": name,
        "rows": n_rows,
        "train_seconds": fit_seconds,
        "train_rows_per_second": n_rows / fit_seconds,
        "score_rows_per_second": n_rows / score_seconds,
        "peak_mib": peak,
        "matrix_mib": segments.matrix_mib(n_rows),
        "peak_ratio": peak / segments.matrix_mib(n_rows),
    }
    if name == "lasso":
        found |= _lasso_floor(rows)
    if name == "net":
        bare = _bare_net_seconds(n_rows) * EPOCHS
        found |= {
            "row_epochs_per_second": n_rows * EPOCHS / fit_seconds,
            "bare_seconds": bare,
            "over_bare": fit_seconds / bare,
        }
    return found


def _fitted(name: str, rows: pd.DataFrame) -> Callable[[pd.DataFrame], Any]:
    y = rows[Y].to_numpy()
    if name == "lightgbm":
        return _lightgbm(rows, y)
    config = TrainingConfig(epochs=EPOCHS, batch_size=BATCH, max_rows=len(rows))
    members = config.members()
    if name == "ensemble":
        return Ensemble(members).fit(rows, y).predict
    return members[{"lasso": LASSO, "net": EMBEDDING_NET}[name]].fit(rows, y).predict


def _lightgbm(rows: pd.DataFrame, y: np.ndarray) -> Callable[[pd.DataFrame], Any]:
    import lightgbm

    def inputs(rows: pd.DataFrame) -> pd.DataFrame:
        codes = {name: rows[name].cat.codes for name in CATEGORICAL_FEATURES}
        return pd.concat([rows[list(NUMERIC_FEATURES)], pd.DataFrame(codes)], axis=1)

    target = np.log1p(y) - rows["base_level"].to_numpy()
    data = lightgbm.Dataset(
        inputs(rows), target, categorical_feature=list(CATEGORICAL_FEATURES), free_raw_data=True
    )
    params = {
        "objective": "l1",
        "num_leaves": LEAVES,
        "learning_rate": 0.05,
        "min_data_in_leaf": 50,
        "feature_fraction": 0.6,
        "bagging_fraction": 0.7,
        "bagging_freq": 1,
        "num_threads": 1,
        "force_col_wise": True,
        "verbose": -1,
    }
    booster = lightgbm.train(params, data, num_boost_round=TREES)
    return lambda rows: booster.predict(inputs(rows), num_threads=1)


def _lasso_floor(rows: pd.DataFrame) -> dict[str, float]:
    """Time one pass of the Gram product, and the path of one least-squares problem beside it."""
    from forecast_platform.forecasting.models import solver
    from forecast_platform.forecasting.models.encoding import Standardiser

    standardiser = Standardiser.of(rows, NUMERIC_FEATURES)
    matrix = standardiser.matrix(rows, intercept=True)
    target = np.log1p(rows[Y].to_numpy()) - rows["base_level"].to_numpy()
    target = (target - target.mean()).astype(np.float32)
    matrix.T @ matrix
    gram, gram_seconds = timed(lambda: matrix.T @ matrix)
    gram = gram.astype(np.float64) / len(matrix)

    def path() -> np.ndarray:
        product = (matrix.T @ matrix).astype(np.float64) / len(matrix)
        moment = (matrix.T @ target).astype(np.float64) / len(matrix)
        coef = np.zeros(len(product))
        for alpha in ALPHAS:
            solver.descend(product, moment, np.full(len(coef), alpha), coef, LIMITS)
        return coef

    _, path_seconds = timed(path)
    return {
        "gram_seconds": gram_seconds,
        "path_seconds": path_seconds,
        "path_goal_seconds": 2 * gram_seconds + 0.1,
    }


def _bare_net_seconds(n_rows: int) -> float:
    """Time the matrix products of one epoch, forwards and back, on numbers that lie ready."""
    import torch

    torch.set_num_threads(1)
    n_inputs = len(NUMERIC_FEATURES) + 6 * len(CATEGORICAL_FEATURES)
    inputs, hidden = torch.randn(BATCH, n_inputs), torch.randn(BATCH, 64)
    first, second, last = torch.randn(64, n_inputs), torch.randn(32, 64), torch.randn(1, 32)
    skip, back = torch.randn(1, len(NUMERIC_FEATURES)), torch.randn(BATCH, 1)
    numbers = inputs[:, : len(NUMERIC_FEATURES)]

    def step() -> None:
        hidden.copy_(inputs @ first.T)
        top = hidden @ second.T
        top @ last.T + numbers @ skip.T
        back.T @ top, back.T @ numbers
        lower = back @ last
        lower.T @ hidden
        lowest = lower @ second
        lowest.T @ inputs
        lowest @ first[:, len(NUMERIC_FEATURES) :]

    n_steps = max(1, n_rows // BATCH)
    tried = min(n_steps, 400)
    _, seconds = timed(lambda: [step() for _ in range(tried)])
    return seconds * n_steps / tried
