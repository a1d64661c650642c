"""The written-out gradients, against torch's own; and where a net is trained."""

import numpy as np
import pytest
import torch

from forecast_platform.forecasting.models import compiled_net, net_training
from forecast_platform.forecasting.models.descent import Descent, move_by_torch
from forecast_platform.forecasting.models.net_pass import (
    Chance,
    CompiledPass,
    Pass,
    loss_of,
    pass_for,
    slopes,
)
from forecast_platform.forecasting.models.net_training import (
    Net,
    Rows,
    Schedule,
    device_of,
    losses,
    train,
)
from forecast_platform.forecasting.models.objective import OBJECTIVES

N_ROWS, N_NUMERIC, LEVELS = 48, 5, (4, 3)
UNKNOWN = torch.tensor([0, LEVELS[0]], dtype=torch.int32)
N_LEVELS = sum(LEVELS)


def a_schedule(**changes):
    values = {
        "hidden": (8, 4),
        "embedding_size": 3,
        "dropout": 0.0,
        "epochs": 2,
        "batch_size": 16,
        "min_steps": 1,
        "learning_rate": 3e-3,
        "weight_decay": 0.05,
        "mask_share": 0.0,
        "objective": "mape",
        "seed": 0,
    }
    return Schedule(**{**values, **changes})


def some_rows(seed=0):
    rng = np.random.default_rng(seed)
    codes = [
        rng.integers(start, start + n, N_ROWS) for start, n in zip((0, 4), LEVELS, strict=True)
    ]
    return Rows(
        matrix=rng.normal(size=(N_ROWS, N_NUMERIC)).astype(np.float32),
        codes=np.stack(codes, axis=1).astype(np.int32),
        unknown=UNKNOWN.numpy(),
        target=rng.normal(0, 2, N_ROWS).astype(np.float32),
        scale=rng.uniform(0, 3, N_ROWS).astype(np.float32),
        weights=rng.uniform(0.1, 1, N_ROWS).astype(np.float32),
    )


def a_source(rows):
    return net_training._source(rows, torch.device("cpu"))


def a_net(schedule):
    torch.manual_seed(1)
    net = Net(N_NUMERIC, len(LEVELS), N_LEVELS, schedule)
    for weight in net.parameters():  # its last layers start at zero, which would hide much
        torch.nn.init.normal_(weight, std=0.4)
    return net


@pytest.mark.parametrize("kind", [Pass, CompiledPass])
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_the_gradient_equals_that_of_torch(objective, kind):
    schedule, rows = a_schedule(objective=objective), some_rows()
    net, peer, source = a_net(schedule), a_net(schedule), a_source(rows)
    chosen = torch.randperm(N_ROWS)[:37]  # what lies in memory before is overwritten
    Descent(net.parameters(), n_steps=1, peak=0.1, weight_decay=0.0)
    for weight in net.parameters():
        weight.grad.fill_(7.0)

    kind(net, schedule, len(chosen), source).gradient(chosen)

    target, scale, weights = source.goals[chosen].unbind(1)
    each = losses(objective, peer(source.matrix[chosen], source.codes[chosen]), target, scale)
    (each * weights).mean().backward()
    for (name, one), other in zip(net.named_parameters(), peer.parameters(), strict=True):
        np.testing.assert_allclose(one.grad, other.grad, rtol=1e-4, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_both_ways_of_a_step_train_the_same_net(objective, monkeypatch):
    schedule = a_schedule(objective=objective, dropout=0.3, mask_share=0.2, epochs=5)
    compiled = train(some_rows(), schedule, n_levels=N_LEVELS, threads=1, device="cpu")

    monkeypatch.setattr(net_training, "pass_for", Pass)
    by_torch = train(some_rows(), schedule, n_levels=N_LEVELS, threads=1, device="cpu")

    for name, weight in compiled.items():
        np.testing.assert_allclose(weight, by_torch[name], atol=1e-5, err_msg=name)


def test_rows_on_the_cpu_go_through_compiled_loops():
    schedule, source = a_schedule(), a_source(some_rows())
    net = a_net(schedule)
    Descent(net.parameters(), n_steps=1, peak=0.1, weight_decay=0.0)

    assert isinstance(pass_for(net, schedule, 4, source), CompiledPass)


def steep():
    """Make predictions, targets and scales with every bend of the losses among them."""
    prediction = torch.linspace(-6, 6, 97).repeat(3)
    target = torch.tensor([-1.7, 0.0, 2.9]).repeat_interleave(97)
    return prediction, target, torch.tensor([0.0, 0.4, 30.0]).repeat_interleave(97)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_slopes_are_the_derivative_of_the_loss(objective):
    prediction, target, scale = steep()
    prediction.requires_grad_()

    losses(objective, prediction, target, scale).sum().backward()

    ours = slopes(objective, prediction.detach(), target, scale)
    np.testing.assert_allclose(ours, prediction.grad, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_compiled_slopes_are_those_of_torch(objective):
    rows = steep()

    compiled = [
        compiled_net.slope_of(loss_of(objective), *(np.float32(value) for value in row))
        for row in zip(*rows, strict=True)
    ]

    np.testing.assert_allclose(compiled, slopes(objective, *rows), rtol=1e-5, atol=1e-6)


def test_the_compiled_exponential_errs_in_the_last_bit_at_most():
    values = np.linspace(-87, 88, 5001).astype(np.float32)

    ours = np.array([compiled_net.exp(value) for value in values])

    np.testing.assert_allclose(ours, np.exp(values.astype(np.float64)), rtol=1.5e-7)
    assert compiled_net.exp(np.float32(-1e30)) < 1e-37
    assert np.isfinite(compiled_net.exp(np.float32(1e30)))


@pytest.mark.parametrize("length", [0.1, 100.0])
def test_a_compiled_step_of_the_optimiser_is_that_of_torch(length):
    rng = np.random.default_rng(0)
    vectors = rng.normal(0, length, (4, 203)).astype(np.float32)
    vectors[3] **= 2
    by_torch = torch.from_numpy(vectors.copy())
    rates = (0.9, 0.999, 0.01, 0.3)

    compiled_net.move_compiled(tuple(vectors), rates, 5.0)
    move_by_torch(tuple(by_torch), rates, 5.0)

    for one, other in zip(vectors[[0, 2, 3]], by_torch[[0, 2, 3]], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6 * length)


@pytest.mark.parametrize("device", [torch.device("cpu"), None])
def test_masks_keep_the_scale_and_hide_the_asked_share(device):
    torch.manual_seed(0)
    chance = Chance(0.3, 0.02, 64 * 512, device)

    kept = np.stack([chance.kept(512, 64) for _ in range(20)])
    hidden = np.stack([chance.hidden(512, 10) for _ in range(20)])

    assert kept.mean() == pytest.approx(1.0, abs=0.01)
    assert (kept == 0).mean() == pytest.approx(0.3, abs=0.01)
    assert hidden.mean() == pytest.approx(0.02, abs=0.004)
    assert not np.array_equal(kept[0], kept[1])


def test_dropout_and_masks_change_what_is_learnt():
    rows = some_rows()
    plain, dropped = (
        train(rows, a_schedule(dropout=share, mask_share=share), n_levels=N_LEVELS, threads=1)
        for share in (0.0, 0.5)
    )

    assert np.abs(plain["second.weight"] - dropped["second.weight"]).max() > 1e-4


def test_the_device_is_the_cpu_where_there_is_no_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)

    assert device_of("auto") == device_of("cpu") == torch.device("cpu")
    with pytest.raises(ValueError, match="finds none here"):
        device_of("cuda")


def test_the_device_is_the_gpu_where_there_is_one_unless_told_otherwise(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)

    assert device_of("auto") == device_of("cuda") == torch.device("cuda")
    assert device_of("cpu") == torch.device("cpu")


def test_an_unknown_device_is_refused():
    with pytest.raises(ValueError, match="auto, cpu, cuda"):
        device_of("tpu")


def test_the_choice_of_the_cpu_changes_no_weight():
    rows, schedule = some_rows(), a_schedule(dropout=0.2, mask_share=0.1)
    ours, asked = (
        train(rows, schedule, n_levels=N_LEVELS, threads=1, device=device)
        for device in (("auto", "cpu") if not torch.cuda.is_available() else ("cpu", "cpu"))
    )

    for name, value in ours.items():
        np.testing.assert_array_equal(value, asked[name])


def test_threads_and_the_random_state_are_put_back():
    before, state = torch.get_num_threads(), torch.get_rng_state()
    seen = []

    class Watched(Net):
        def __init__(self, *args):
            seen.append(torch.get_num_threads())
            super().__init__(*args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(net_training, "Net", Watched)
        train(some_rows(), a_schedule(), n_levels=N_LEVELS, threads=before + 1)

    assert seen == [before + 1]
    assert torch.get_num_threads() == before
    assert torch.equal(torch.get_rng_state(), state)
