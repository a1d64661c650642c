"""Coordinate descent on a Gram matrix, against scikit-learn's on the same problem."""

import numpy as np
from sklearn.linear_model import lasso_path

from benchmarks.timing import Result, best_of
from forecast_platform.forecasting.models.solver import descend

ROWS, COLUMNS, ALPHA = 20_000, 400, 0.01
SWEEPS = 300


def measure() -> list[Result]:
    """Solve one LASSO to the same objective value from a Gram that both are given."""
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(ROWS, COLUMNS))
    matrix[:, 1::2] += 0.7 * matrix[:, ::2]
    target = matrix @ (rng.normal(size=COLUMNS) * (rng.random(COLUMNS) < 0.1)) + rng.normal(
        size=ROWS
    )
    gram, moment = matrix.T @ matrix / ROWS, matrix.T @ target / ROWS
    penalty = np.full(COLUMNS, ALPHA)

    def ours() -> np.ndarray:
        coef = np.zeros(COLUMNS)
        descend(gram, moment, penalty, coef, (1e-6, SWEEPS))
        return coef

    def theirs() -> np.ndarray:
        _, coefs, _ = lasso_path(
            matrix,
            target,
            alphas=[ALPHA],
            precompute=gram * ROWS,
            Xy=moment * ROWS,
            max_iter=SWEEPS,
            tol=1e-6,
            copy_X=False,
            check_input=False,
        )
        return coefs[:, 0]

    def objective(coef: np.ndarray) -> float:
        return float(coef @ gram @ coef / 2 - moment @ coef + ALPHA * np.abs(coef).sum())

    assert abs(objective(ours()) - objective(theirs())) < 1e-6
    seconds = best_of(ours), best_of(theirs)
    return [Result("LASSO on a Gram", *seconds, "sklearn lasso_path", f"{ROWS:,} x {COLUMNS}")]
