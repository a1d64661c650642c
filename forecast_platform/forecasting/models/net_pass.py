"""One pass of a batch through the net, forwards and back, written out as matrix products.

Only the arithmetic of one step belongs here: which rows, and what follows from a gradient, is in
`net_training` and `descent`. torch's own automatic gradient takes twice as long for a net this
small, and its dropout as long as all matrix products (docs/speed.md). The step is written twice: in
torch, for a GPU, and in compiled loops between torch's matrix products, for the CPU.
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from forecast_platform.forecasting.models import compiled_net as loops
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


def loss_of(objective: Objective) -> tuple[bool, np.float32, np.float32]:
    """Return what `compiled_net.slope_of` has to know of the loss."""
    return objective == "mape", np.float32(SLOPE_CAP), np.float32(LARGEST_RATIO)


@dataclass(frozen=True, slots=True)
class Source:
    """All rows on one device: numbers, codes into the table of levels, and what the loss needs.

    Parameters
    ----------
    matrix : Tensor of shape (n_rows, n_numeric), float32
    codes : Tensor of shape (n_rows, n_columns), int32
    goals : Tensor of shape (n_rows, 3), float32
        Target, scale and weight.
    unknown : Tensor of shape (n_columns,), int32
        Code of the unknown level of each column.
    """

    matrix: torch.Tensor
    codes: torch.Tensor
    goals: torch.Tensor
    unknown: torch.Tensor


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
    device : torch.device or None
        Where masks are; None makes arrays of them, which are cheaper to cut.
    """

    def __init__(
        self, dropout: float, hidden: float, n_most: int, device: torch.device | None
    ) -> None:
        size = max(POOL, 2 * n_most)
        kept = (torch.rand(size) >= dropout).to(torch.float32).div_(1.0 - dropout)
        is_hidden = torch.rand(size) < hidden
        self._kept: Any = kept.numpy() if device is None else kept.to(device)
        self._hidden: Any = is_hidden.numpy() if device is None else is_hidden.to(device)
        self._places = size - n_most

    @classmethod
    def of(
        cls, schedule: "Schedule", batch: int, source: Source, device: torch.device | None
    ) -> "Chance":
        """Return the chance of a net that takes ``batch`` rows per step."""
        n_most = batch * max(*schedule.hidden, len(source.unknown))
        return cls(schedule.dropout, schedule.mask_share, n_most, device)

    def kept(self, *shape: int) -> Any:
        """Return factors of hidden units: 0, or what makes up for the zeros."""
        return self._stretch(self._kept, shape)

    def hidden(self, *shape: int) -> Any:
        """Tell which codes are shown as unknown."""
        return self._stretch(self._hidden, shape)

    def _stretch(self, pool: Any, shape: tuple[int, ...]) -> Any:
        place = int(torch.randint(self._places, ()))
        return pool[place : place + math.prod(shape)].reshape(shape)


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
        return cls(weight.detach(), bias.detach(), gradient_of(weight), gradient_of(bias))

    def learn(self, back: torch.Tensor, inputs: torch.Tensor) -> None:
        torch.mm(back.T, inputs, out=self.weight_gradient)
        torch.sum(back, 0, out=self.bias_gradient)

    def __call__(self, inputs: torch.Tensor) -> torch.Tensor:
        return torch.addmm(self.bias, inputs, self.weight.T)


class Pass:
    """Writes the gradient of the mean loss of some rows into the weights' ``grad``, by torch.

    Parameters
    ----------
    net : Net
        Its weights have gradients of their own, as `Descent` gives them.
    schedule : Schedule
    batch : int
        Rows per step.
    source : Source
    """

    def __init__(self, net: "Net", schedule: "Schedule", batch: int, source: Source) -> None:
        self._layers = [_Layer.of(one) for one in (net.first, net.second, net.output)]
        self._embeddings, self._skip = net.embedding.weight, net.skip.weight
        self._objective: Objective = schedule.objective
        self._source = source
        device = source.matrix.device
        self._chance = Chance.of(schedule, batch, source, device)
        self._inputs = torch.empty((batch, net.first.in_features), device=device)
        self._within = torch.arange(schedule.embedding_size, device=device)

    @torch.no_grad()
    def gradient(self, chosen: torch.Tensor) -> None:
        """Take these rows forwards and back, and overwrite every gradient."""
        chance, inputs, skip, source = self._chance, self._inputs, self._skip, self._source
        first, second, last = self._layers
        n, n_numeric = len(chosen), source.matrix.shape[1]
        matrix, codes = source.matrix.index_select(0, chosen), source.codes.index_select(0, chosen)
        target, scale, weights = source.goals.index_select(0, chosen).unbind(1)
        codes = torch.where(chance.hidden(*codes.shape), source.unknown, codes).flatten()
        inputs[:, :n_numeric] = matrix
        inputs[:, n_numeric:] = self._embeddings.index_select(0, codes).view(n, -1)
        kept = [chance.kept(n, len(layer.bias)) for layer in (first, second)]
        before_1 = first(inputs)
        hidden_1 = functional.silu(before_1).mul_(kept[0])
        before_2 = second(hidden_1)
        hidden_2 = functional.silu(before_2).mul_(kept[1])
        prediction = last(hidden_2).addmm_(matrix, skip.T).squeeze(1)

        back = slopes(self._objective, prediction, target, scale)
        back = back.mul_(weights).div_(n).unsqueeze(1)
        last.learn(back, hidden_2)
        torch.mm(back.T, matrix, out=skip.grad)
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


class CompiledPass:
    """The same on the CPU: torch's matrix products, and compiled loops between them.

    Numbers that are read again soon stay in the processor's cache, and nothing is allocated. The
    gradient is that of `Pass` but for rounding; a test holds both to torch's own.

    Parameters
    ----------
    net, schedule, batch, source
        As of `Pass`.
    """

    def __init__(self, net: "Net", schedule: "Schedule", batch: int, source: Source) -> None:
        self._first, self._second = HiddenLayer(net.first, batch), HiddenLayer(net.second, batch)
        self._chance = Chance.of(schedule, batch, source, None)
        self._loss = loss_of(schedule.objective)
        arrays = (source.matrix, source.codes, source.goals, source.unknown)
        self._source = tuple(one.numpy() for one in arrays)
        self._inputs = torch.empty((batch, net.first.in_features))
        self._codes = np.empty((batch, len(source.unknown)), dtype=np.int32)
        self._goals = np.empty((batch, source.goals.shape[1]), dtype=np.float32)
        self._batch = (self._inputs.numpy(), self._codes, self._goals)
        self._of_levels = net.first.weight.detach()[:, source.matrix.shape[1] :]
        self._to_levels = torch.empty((batch, self._of_levels.shape[1]))
        self._embedding, self._embedding_back = arrays_of(net.embedding.weight)
        output, skip, bias = (
            tuple(one.reshape(-1) for one in arrays_of(weight))
            for weight in (net.output.weight, net.skip.weight, net.output.bias)
        )
        arrays = (self._second.arrays.hidden, *output, self._batch[0], *skip, *bias)
        self._last = (*arrays, self._second.bias_back)

    @torch.no_grad()
    def gradient(self, chosen: torch.Tensor) -> None:
        """Take these rows forwards and back, and overwrite every gradient."""
        first, second = self._first, self._second
        hidden = self._chance.hidden(*self._codes.shape)
        loops.take_rows(self._source, chosen.numpy(), hidden, self._embedding, self._batch)
        for layer, inputs in ((first, self._inputs), (second, first.hidden)):
            layer.forwards(inputs, self._chance.kept(*layer.slope.shape))

        loops.turn(self._loss, self._goals, self._last, second.slope, second.arrays.back)
        second.learn(first.hidden)
        torch.mm(second.back, second.weight, out=first.back)
        first.through()
        first.learn(self._inputs)
        torch.mm(first.back, self._of_levels, out=self._to_levels)
        loops.add_to_levels(self._codes, self._to_levels.numpy(), self._embedding_back)


class _Room(NamedTuple):
    """What a step makes of a hidden layer: before and after its activation, and going back."""

    before: Any
    hidden: Any
    back: Any


class HiddenLayer:
    """A hidden layer on the CPU, with room for a step, as tensors and as arrays on the same."""

    def __init__(self, layer: torch.nn.Linear, batch: int) -> None:
        self.weight, self._weight_back = layer.weight.detach(), gradient_of(layer.weight)
        self._bias, self.bias_back = arrays_of(layer.bias)
        room = torch.empty((4, batch, layer.out_features))
        self._before, self.hidden, self.back, slope = room
        self.arrays, self.slope = _Room(*room[:3].numpy()), slope.numpy()

    def forwards(self, inputs: torch.Tensor, kept: NDArray[np.float32]) -> None:
        """Fill ``hidden``, and ``slope``: its derivative by what was before the activation."""
        torch.mm(inputs, self.weight.T, out=self._before)
        loops.activate(self.arrays.before, self._bias, kept, self.arrays.hidden, self.slope)

    def through(self) -> None:
        """Turn ``back``, the derivative by ``hidden``, into that by what was before."""
        loops.through(self.arrays.back, self.slope, self.bias_back)

    def learn(self, inputs: torch.Tensor) -> None:
        """Overwrite the gradient of the weights."""
        torch.mm(self.back.T, inputs, out=self._weight_back)


def arrays_of(weight: torch.Tensor) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return a weight and its gradient as arrays on the same memory."""
    return weight.detach().numpy(), gradient_of(weight).numpy()


def gradient_of(weight: torch.Tensor) -> torch.Tensor:
    """Return the gradient that a weight has since `Descent` took it over."""
    assert weight.grad is not None  # noqa: S101 (Descent has set it)
    return weight.grad


def _through_silu(back: torch.Tensor, before: torch.Tensor) -> torch.Tensor:
    return torch.ops.aten.silu_backward(back, before)


def pass_for(net: "Net", schedule: "Schedule", batch: int, source: Source) -> Pass | CompiledPass:
    """Return the pass for the device where the rows are."""
    kind = CompiledPass if source.matrix.device.type == "cpu" else Pass
    return kind(net, schedule, batch, source)
