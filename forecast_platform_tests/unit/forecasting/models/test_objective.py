import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from forecast_platform.forecasting.models.net_training import losses
from forecast_platform.forecasting.models.objective import (
    best_shift,
    check_objective,
    recency_weights,
    relative_scale,
    reweight,
)


@given(st.floats(1, 1e4), st.floats(0, 1e4), st.floats(0, 8))
def test_the_scaled_loss_is_the_relative_error_of_units(y, y_hat, base):
    scale = relative_scale(np.array([y]), np.array([base]), 0.25)[0]

    loss = scale * abs(np.expm1(np.log1p(y_hat) - np.log1p(y)))

    assert loss == pytest.approx(abs(y_hat - y) / y, rel=1e-6, abs=1e-9)


def test_a_row_without_demand_is_measured_against_its_level():
    scale = relative_scale(np.zeros(2), np.log1p([100.0, 0.0]), 0.5)

    errors = scale * np.expm1(np.log1p([100.0, 1.0]))

    assert errors == pytest.approx([0.5, 0.5])


@given(st.lists(st.floats(-2, 2), min_size=1, max_size=9))
def test_the_best_shift_has_no_better_neighbour(targets):
    target = np.array(targets)
    ones = np.ones(len(target))

    def loss(shift):
        return np.abs(np.expm1(shift - target)).sum()

    shift = best_shift(target, ones, ones)

    assert loss(shift) <= min(loss(other) for other in np.linspace(-2, 2, 41)) + 1e-9


@pytest.mark.parametrize("digits", [1, 3, 12])  # few distinct values, and many
def test_the_best_shift_of_many_rows_is_their_weighted_median(digits):
    rng = np.random.default_rng(digits)
    target = np.round(rng.standard_t(2, 20_000), digits)
    scale, weights = rng.uniform(0.1, 2, (2, 20_000))

    shift = best_shift(target, scale, weights)

    slopes = scale * weights * np.exp(-target)
    assert shift in target
    assert slopes[target < shift].sum() < 0.5 * slopes.sum() <= slopes[target <= shift].sum()


def test_newer_rows_weigh_more():
    ds = np.array(["2024-01-01", "2024-01-08"], dtype="datetime64[D]")

    assert recency_weights(ds, 10.0) == pytest.approx([np.exp(-0.1), 1.0])


def test_one_extreme_row_has_a_bounded_weight():
    weights, _ = reweight("mape", np.array([9.0, 0.1]), np.array([0.0, 0.0]), np.ones(2))

    assert weights[0] < 10 * weights[1]


def test_reweighting_for_the_mean_ends_at_the_mean():
    target, prediction = np.log(np.array([0.5, 1.0, 3.0])), np.zeros(3)

    for _ in range(50):
        weights, working = reweight("mean", prediction, target, np.ones(3))
        prediction = np.full(3, np.average(working, weights=weights))

    assert np.exp(prediction) == pytest.approx(np.full(3, 1.5))


@pytest.mark.parametrize("d", [-3.0, -0.1, 0.1, 1.0, 5.0, 50.0])
def test_the_nets_loss_is_the_relative_error_until_its_slope_is_capped(d):
    one = torch.ones(1, dtype=torch.float64)

    loss = losses("mape", one * d, 0 * one, one).item()

    expected = abs(np.expm1(d)) if d <= np.log(2) else 1 + 2 * (d - np.log(2))
    assert loss == pytest.approx(expected)


def test_no_forecast_however_far_has_less_loss_than_the_mean():
    far = torch.tensor([-200.0, -10.0, 3.5, 10.0, 200.0], dtype=torch.float64)
    target = torch.full_like(far, 2.5)

    excess = losses("mean", far, target, far) - losses("mean", target, target, far)

    assert (excess > 0).all()
    assert torch.isfinite(excess).all()


def test_an_unknown_objective_is_refused():
    with pytest.raises(ValueError, match="mape, mean"):
        check_objective("rmse")
