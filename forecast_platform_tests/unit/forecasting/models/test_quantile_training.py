"""The written-out gradient of the quantile heads, against torch's own."""

import numpy as np
import pytest
import torch

from forecast_platform.forecasting.models.compiled_quantiles import slope_of
from forecast_platform.forecasting.models.descent import Descent
from forecast_platform.forecasting.models.quantile_training import (
    Heads,
    Pass,
    Rows,
    Schedule,
    Start,
)
from forecast_platform.forecasting.models.quantiles import LEVELS

N_ROWS, N_INPUTS = 64, 5


def some_rows():
    rng = np.random.default_rng(0)
    inputs, residual = rng.normal(size=(N_ROWS, N_INPUTS)), rng.normal(0, 2, N_ROWS)
    weights = rng.uniform(0.1, 1, N_ROWS)
    return Rows(*(one.astype(np.float32) for one in (inputs, residual, weights)))


def some_heads(n_levels, spread):
    schedule = Schedule(6, 0.3, 1, 16, 3e-3, 0.05, 0)
    torch.manual_seed(1)
    heads = Heads(N_INPUTS, n_levels, schedule)
    for weight in heads.parameters():  # the last layers start at zero, which would hide much
        torch.nn.init.normal_(weight, std=spread)
    return heads


@pytest.mark.parametrize("spread", [0.3, 2.0])  # the wide one bends gaps as far as they go
@pytest.mark.parametrize("levels", [LEVELS, (0.1, 0.5, 0.9), (0.5, 0.9), (0.1, 0.2, 0.5)])
def test_the_gradient_equals_that_of_torch(levels, spread):
    start = Start(levels, levels.index(0.5), 0.2, np.linspace(0.3, 0.6, len(levels) - 1))
    rows, ours, peer = some_rows(), some_heads(len(levels), spread), some_heads(len(levels), spread)
    chosen = torch.randperm(N_ROWS)[:37]
    Descent(ours.parameters(), n_steps=1, peak=0.1, weight_decay=0.0)
    for weight in ours.parameters():
        weight.grad.fill_(7.0)  # what lies in memory before is overwritten

    torch.manual_seed(2)
    Pass(ours, rows, start, 0.3, len(chosen)).gradient(chosen)

    torch.manual_seed(2)
    quantiles = peer(torch.from_numpy(rows.inputs)[chosen], start)
    error = torch.from_numpy(rows.residual)[chosen][:, None] - quantiles
    pinball = torch.maximum(torch.tensor(levels) * error, (torch.tensor(levels) - 1) * error)
    (pinball.sum(dim=1) * torch.from_numpy(rows.weights)[chosen]).mean().backward()
    for (name, one), other in zip(ours.named_parameters(), peer.parameters(), strict=True):
        np.testing.assert_allclose(one.grad, other.grad, rtol=1e-4, atol=1e-5, err_msg=name)


def test_a_quantile_that_is_hit_is_drawn_half_way():
    error = torch.zeros(1, requires_grad=True)
    torch.maximum(0.9 * error, -0.1 * error).sum().backward()

    assert slope_of(np.float32(0.9), np.float32(0)) == pytest.approx(-error.grad.item())
