import pytest
import torch

from forecast_platform.forecasting.models import descent
from forecast_platform.forecasting.models.descent import Descent, one_cycle


def trained(step_of, n_steps=40):
    """Fit the same small net by some optimiser; return its weights."""
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.SiLU(), torch.nn.Linear(4, 1))
    inputs, target = torch.randn(64, 3), torch.randn(64, 1)
    step = step_of(net, n_steps)
    for _ in range(n_steps):
        step(((net(inputs) - target) ** 2).mean())
    return torch.cat([one.detach().flatten() for one in net.parameters()])


def ours(net, n_steps):
    descent = Descent(net.parameters(), n_steps=n_steps, peak=0.02, weight_decay=0.05)

    def step(loss):
        net.zero_grad(set_to_none=False)
        loss.backward()
        descent.move()

    return step


def of_torch(net, n_steps):
    optimiser = torch.optim.AdamW(net.parameters(), lr=0.02, betas=(0.9, 0.999), weight_decay=0.05)

    def step(loss):
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

    return step


def test_steps_at_a_constant_rate_equal_those_of_torchs_own_optimiser(monkeypatch):
    monkeypatch.setattr(descent, "one_cycle", lambda *_: (0.02, 0.9))

    assert trained(ours).numpy() == pytest.approx(trained(of_torch).numpy(), abs=1e-5)


def test_a_huge_gradient_is_cut():
    weight = torch.nn.Parameter(torch.zeros(1))
    optimiser = Descent([weight], n_steps=10, peak=0.1, weight_decay=0.0)

    for _ in range(10):
        weight.grad.fill_(1e12)
        optimiser.move()

    assert torch.isfinite(weight).all()
    assert -1.0 < weight.item() < 0.0


@pytest.mark.parametrize("n_steps", [1, 2, 3, 50])
def test_rates_stay_within_their_bounds(n_steps):
    for step in range(n_steps):
        rate, momentum = one_cycle(step, n_steps, 1.0)

        assert 0 < rate <= 1
        assert 0.85 <= momentum <= 0.95
