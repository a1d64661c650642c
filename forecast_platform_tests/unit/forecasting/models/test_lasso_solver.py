import numpy as np
import pytest
from sklearn.linear_model import Lasso

from forecast_platform.forecasting.models import solver
from forecast_platform.forecasting.models.interactions import Design, Layout, effect_sum


@pytest.fixture
def parts():
    rng = np.random.default_rng(0)
    matrix = np.column_stack([rng.normal(size=(60, 3)), np.ones(60)]).astype(np.float32)
    groups = rng.integers(0, [3, 4], size=(60, 2)).astype(np.int32)
    effects = rng.integers(-1, 2, size=(60, 2)).astype(np.int32) + np.array([[0, 2]])
    effects[effects[:, 1] == 1, 1] = -1
    order = Design.order_of(groups)
    return matrix[order], groups[order], effects.astype(np.int32)[order]


def materialised(layout, matrix, groups, effects):
    """Build the whole design, row by row."""
    design = np.zeros((len(matrix), layout.size))
    first = layout.size - layout.n_effects
    for row in range(len(matrix)):
        design[row, : layout.width] = matrix[row]
        for start, code in zip(layout.group_starts(), groups[row], strict=True):
            if code > 0:
                place = start + (code - 1) * layout.width
                design[row, place : place + layout.width] = matrix[row]
        for effect in effects[row]:
            if effect >= 0:
                design[row, first + effect] = 1.0
    return design


def test_the_gram_equals_that_of_the_materialised_design(parts):
    layout = Layout(4, (2, 3), 4)
    rng = np.random.default_rng(1)
    weights, target = rng.uniform(0, 2, 60), rng.normal(size=60)
    design = Design.of(layout, *parts)
    full = materialised(layout, *parts)

    gram, moment = design.gram(weights, target)

    expected = full.T @ (weights[:, None] * full) / weights.sum()
    assert gram == pytest.approx(expected, abs=1e-6)
    assert moment == pytest.approx(full.T @ (weights * target) / weights.sum(), abs=1e-6)


def test_predictions_equal_those_of_the_materialised_design(parts):
    layout = Layout(4, (2, 3), 4)
    coef = np.random.default_rng(2).normal(size=layout.size)
    design = Design.of(layout, *parts)

    expected = materialised(layout, *parts) @ coef

    assert design.predict(coef) == pytest.approx(expected, abs=1e-5)


def test_coordinate_descent_equals_scikit_learn():
    rng = np.random.default_rng(3)
    X, y = rng.normal(size=(200, 12)), rng.normal(size=200)
    y += 2 * X[:, 0] - X[:, 3]
    coef = np.zeros(12)

    solver.descend(X.T @ X / 200, X.T @ y / 200, np.full(12, 0.1), coef, (1e-10, 1000))

    expected = Lasso(alpha=0.1, fit_intercept=False, tol=1e-12).fit(X, y).coef_
    assert coef == pytest.approx(expected, abs=1e-6)


def test_an_unpenalised_column_is_fitted_by_least_squares():
    X, y = np.ones((5, 1)), np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    coef = np.zeros(1)

    solver.descend(X.T @ X / 5, X.T @ y / 5, np.zeros(1), coef, (1e-10, 100))

    assert coef == pytest.approx([3.0])


def test_unknown_levels_have_no_effect():
    effects = np.array([[0, -1], [-1, -1]], dtype=np.int32)

    total = effect_sum(effects, np.array([2.0, 5.0]), np.ones(2))

    assert total.tolist() == [3.0, 1.0]
