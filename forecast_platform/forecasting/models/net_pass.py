"""One pass of a batch through the net, forwards and back, written out as matrix products.

Only the arithmetic of one step belongs here: which rows, and what follows from a gradient, is in
`net_training` and `descent`. torch's own automatic gradient takes twice as long for a net this
small, and its dropout as long as all matrix products (docs/speed.md).
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from forecast_platform.forecasting.models.objective import (
    LARGEST_RATIO,
    SLOPE_CAP,
    Objective,
)

if TYPE_CHECKING:
    from forecast_platform.forecasting.models.net_training import Net, Schedule

POOL = 2**20
"""Random numbers drawn once; each step reads a stretch of them from a random place on."""


def slopes(
    objective: Objective, prediction: torch.Tensor, target: torch.Tensor, scale: torch.Tensor
) -> torch.Tensor:
    """Return the derivative of each row's loss (see `net_training.losses`) by its prediction."""
    if objective == "mape":
        d = prediction - target
        cap = SLOPE_CAP * scale.clamp_min(1.0)
        bend = torch.log(cap / scale.clamp_min(1e-6))
        return torch.where(d < bend, scale * torch.exp(d) * torch.sign(d), cap)
    ratio = torch.exp(target).clamp_max(LARGEST_RATIO)
    return torch.exp(prediction.clamp(-4.0, 3.0)) - ratio


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows of one step: inputs, codes into the table of levels, and what the loss needs."""

    matrix: torch.Tensor
    codes: torch.Tensor
    target: torch.Tensor
    scale: torch.Tensor
    weights: torch.Tensor


class Chance:
    """Random masks, read from pools that are drawn once.

    Parameters
    ----------
    dropout : float
        Share of the hidden units that a mask sets to zero; the others are scaled up for it.
    hidden : float
        Share of the codes that are shown as unknown.
    n_most : int
        Numbers of the largest mask.
    device : torch.device
    """

    def __init__(self, dropout: float, hidden: float, n_most: int, device: torch.device) -> None:
        size = max(POOL, 2 * n_most)
        self._kept = (torch.rand(size) >= dropout).to(torch.float32).div_(1.0 - dropout).to(device)
        self._hidden = (torch.rand(size) < hidden).to(device)
        self._places = size - n_most

    def _place(self) -> int:
        return int(torch.randint(self._places, ()))

    def kept(self, *shape: int) -> torch.Tensor:
        """Return factors of hidden units: 0, or what makes up for the zeros."""
        return self._kept[self._place() :][: shape[0] * shape[1]].view(shape)

    def hidden(self, *shape: int) -> torch.Tensor:
        """Tell which codes are shown as unknown."""
        return self._hidden[self._place() :][: shape[0] * shape[1]].view(shape)


@dataclass(frozen=True, slots=True)
class _Layer:
    """Weights of a layer and their gradients at hand: a module looks each up by its name."""

    weight: torch.Tensor
    bias: torch.Tensor
    weight_gradient: torch.Tensor
    bias_gradient: torch.Tensor

    @classmethod
    def of(cls, layer: torch.nn.Linear) -> "_Layer":
        weight, bias = layer.weight, layer.bias
        assert weight.grad is not None and bias.grad is not None  # noqa: S101, PT018 (of Descent)
        return cls(weight.detach(), bias.detach(), weight.grad, bias.grad)

    def learn(self, back: torch.Tensor, inputs: torch.Tensor) -> None:
        torch.mm(back.T, inputs, out=self.weight_gradient)
        torch.sum(back, 0, out=self.bias_gradient)

    def __call__(self, inputs: torch.Tensor) -> torch.Tensor:
        return torch.addmm(self.bias, inputs, self.weight.T)


class Pass:
    """Writes the gradient of the mean loss of a batch into the weights' ``grad``.

    Parameters
    ----------
    net : Net
        Its weights have gradients of their own, as `Descent` gives them.
    schedule : Schedule
    batch : int
        Rows per step.
    unknown : torch.Tensor
        Code of the unknown level of each categorical column.
    """

    def __init__(self, net: "Net", schedule: "Schedule", batch: int, unknown: torch.Tensor) -> None:
        self._layers = [_Layer.of(one) for one in (net.first, net.second, net.output)]
        self._embeddings, self._skip = net.embedding.weight, net.skip.weight
        self._unknown = unknown
        self._objective: Objective = schedule.objective
        device, n_codes = unknown.device, batch * len(unknown)
        n_most = max(batch * max(schedule.hidden), n_codes)
        self._chance = Chance(schedule.dropout, schedule.mask_share, n_most, device)
        self._inputs = torch.empty((batch, net.first.in_features), device=device)
        self._within = torch.arange(schedule.embedding_size, device=device)

    @torch.no_grad()
    def gradient(self, rows: Batch) -> None:
        """Go forwards and back, and overwrite every gradient."""
        chance, inputs, skip = self._chance, self._inputs, self._skip
        first, second, last = self._layers
        n, n_numeric = rows.matrix.shape
        codes = torch.where(chance.hidden(*rows.codes.shape), self._unknown, rows.codes).flatten()
        inputs[:, :n_numeric] = rows.matrix
        inputs[:, n_numeric:] = self._embeddings.index_select(0, codes).view(n, -1)
        kept = [chance.kept(n, len(layer.bias)) for layer in (first, second)]
        before_1 = first(inputs)
        hidden_1 = functional.silu(before_1).mul_(kept[0])
        before_2 = second(hidden_1)
        hidden_2 = functional.silu(before_2).mul_(kept[1])
        prediction = last(hidden_2).addmm_(rows.matrix, skip.T).squeeze(1)

        back = slopes(self._objective, prediction, rows.target, rows.scale)
        back = back.mul_(rows.weights).div_(n).unsqueeze(1)
        last.learn(back, hidden_2)
        torch.mm(back.T, rows.matrix, out=skip.grad)
        back = _through_silu(torch.mul(back, last.weight).mul_(kept[1]), before_2)
        second.learn(back, hidden_1)
        back = _through_silu(torch.mm(back, second.weight).mul_(kept[0]), before_1)
        first.learn(back, inputs)
        self._embedding(codes, torch.mm(back, first.weight[:, n_numeric:]))

    def _embedding(self, codes: torch.Tensor, back: torch.Tensor) -> None:
        """Add each row's part to its levels; one by one, which is what torch is fastest at."""
        size = len(self._within)
        places = (codes.long() * size).unsqueeze(1) + self._within
        gradient = self._embeddings.grad
        assert gradient is not None  # noqa: S101 (Descent has set it)
        gradient.view(-1).zero_().index_add_(0, places.view(-1), back.view(-1))


def _through_silu(back: torch.Tensor, before: torch.Tensor) -> torch.Tensor:
    return torch.ops.aten.silu_backward(back, before)
