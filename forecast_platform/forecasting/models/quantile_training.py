"""The torch module behind the quantile heads, and the loop that trains it.

Imported when heads are fitted, never to forecast with them. Arrays go in and out.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from forecast_platform.forecasting.models import compiled_quantiles as loops
from forecast_platform.forecasting.models.descent import Descent
from forecast_platform.forecasting.models.net_pass import HiddenLayer, arrays_of, gradient_of
from forecast_platform.forecasting.models.net_training import torch_threads
from forecast_platform.forecasting.models.quantiles import LARGEST_BEND

SMALLEST_BATCH = 64
LEAST_STEPS = 60
"""Steps per epoch below which batches shrink."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """How heads are trained; see `QuantileHeads` for the meaning of each."""

    hidden: int
    dropout: float
    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    seed: int


@dataclass(frozen=True, slots=True)
class Rows:
    """Training rows as arrays: inputs, and the residual of the centre on the log1p scale."""

    inputs: NDArray[np.float32]
    residual: NDArray[np.float32]
    weights: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Start:
    """Quantiles of all residuals together: the middle one, and the gaps between neighbours."""

    levels: tuple[float, ...]
    position: int
    middle: float
    gaps: NDArray[np.float64]


class Heads(nn.Module):
    """One hidden layer beside a linear path; all outputs start at zero."""

    def __init__(self, n_inputs: int, n_levels: int, schedule: Schedule) -> None:
        super().__init__()
        self.first = nn.Linear(n_inputs, schedule.hidden)
        self.output = nn.Linear(schedule.hidden, n_levels)
        self.skip = nn.Linear(n_inputs, n_levels, bias=False)
        self.dropout = nn.Dropout(schedule.dropout)
        for layer in (self.output, self.skip):
            nn.init.zeros_(layer.weight)
        nn.init.zeros_(self.output.bias)

    def forward(self, inputs: torch.Tensor, start: Start) -> torch.Tensor:
        """Return rising quantiles of the residual, as `QuantileHeads` does in numpy."""
        hidden = self.dropout(nn.functional.silu(self.first(inputs)))
        output = self.output(hidden) + self.skip(inputs)
        gaps = torch.from_numpy(start.gaps.astype(np.float32))
        bent = gaps * torch.exp(output[:, 1:].clamp(-LARGEST_BEND, LARGEST_BEND))
        below = bent[:, : start.position].flip(1).cumsum(1).flip(1)
        above = bent[:, start.position :].cumsum(1)
        middle = start.middle + output[:, :1]
        return torch.cat([middle - below, middle, middle + above], dim=1)


def train(
    rows: Rows, start: Start, schedule: Schedule, *, threads: int | None
) -> dict[str, NDArray[np.float32]]:
    """Train heads and return their weights by name; the same rows and seed give the same."""
    with torch_threads(threads), torch.random.fork_rng(devices=[]):
        torch.manual_seed(schedule.seed)
        heads = Heads(rows.inputs.shape[1], len(start.levels), schedule)
        _descend(heads, rows, start, schedule)
        state = heads.state_dict()
        return {name: value.detach().numpy().copy() for name, value in state.items()}


def _descend(heads: Heads, rows: Rows, start: Start, schedule: Schedule) -> None:
    n_rows = len(rows.inputs)
    batch = min(max(SMALLEST_BATCH, min(schedule.batch_size, n_rows // LEAST_STEPS)), n_rows)
    steps = max(1, n_rows // batch)
    descent = Descent(
        heads.parameters(),
        n_steps=steps * schedule.epochs,
        peak=schedule.learning_rate,
        weight_decay=schedule.weight_decay,
    )
    backwards = Pass(heads, rows, start, schedule.dropout, batch)
    for _ in range(schedule.epochs):
        for chosen in torch.randperm(n_rows)[: steps * batch].split(batch):
            backwards.gradient(chosen)
            descent.move()


class Pass:
    """Writes the gradient of the mean loss of some rows into the weights' ``grad``.

    Written out as in `net_pass`; a test holds it to torch's own of `Heads`.

    Parameters
    ----------
    heads : Heads
        Their weights have gradients of their own, as `Descent` gives them.
    rows : Rows
    start : Start
    dropout : float
    batch : int
        Rows per step.
    """

    def __init__(self, heads: Heads, rows: Rows, start: Start, dropout: float, batch: int) -> None:
        goals = np.stack([rows.residual, rows.weights], axis=1)
        self._all = torch.from_numpy(rows.inputs), torch.from_numpy(goals)
        self._inputs, self._goals = (torch.empty((batch, one.shape[1])) for one in self._all)
        self._kept_share, self._first = 1.0 - dropout, HiddenLayer(heads.first, batch)
        self._output, self._skip = heads.output.weight.detach(), heads.skip.weight.detach()
        self._gradients = gradient_of(heads.output.weight), gradient_of(heads.skip.weight)
        self._bias, self._bias_back = arrays_of(heads.output.bias)
        self._outputs, self._back = torch.empty((2, batch, len(start.levels)))
        levels, gaps = (np.array(one, dtype=np.float32) for one in (start.levels, start.gaps))
        self._start = (
            levels,
            start.position,
            np.float32(start.middle),
            gaps,
            np.float32(LARGEST_BEND),
        )

    @torch.no_grad()
    def gradient(self, chosen: torch.Tensor) -> None:
        """Take these rows forwards and back, and overwrite every gradient."""
        first, inputs, goals, outputs = self._first, self._inputs, self._goals, self._outputs
        for source, room in zip(self._all, (inputs, goals), strict=True):
            torch.index_select(source, 0, chosen, out=room)
        kept = torch.empty(first.slope.shape).bernoulli_(self._kept_share).div_(self._kept_share)
        first.forwards(inputs, kept.numpy())
        torch.mm(inputs, self._skip.T, out=outputs)
        outputs.addmm_(first.hidden, self._output.T)

        back = self._back
        loops.turn(
            outputs.numpy(), self._bias, self._bias_back, goals.numpy(), self._start, back.numpy()
        )
        for seen, gradient in zip((first.hidden, inputs), self._gradients, strict=True):
            torch.mm(back.T, seen, out=gradient)
        torch.mm(back, self._output, out=first.back)
        first.through()
        first.learn(inputs)
