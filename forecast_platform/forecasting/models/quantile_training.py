"""The torch module behind the quantile heads, and the loop that trains it.

Imported when heads are fitted, never to forecast with them. Arrays go in and out.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from forecast_platform.forecasting.models.descent import Descent
from forecast_platform.forecasting.models.net_training import torch_threads

LARGEST_BEND = 3.0
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

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return how each row's middle is moved and its gaps are bent."""
        hidden = self.dropout(nn.functional.silu(self.first(inputs)))
        return self.output(hidden) + self.skip(inputs)


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
    tensors = [torch.from_numpy(one) for one in (rows.inputs, rows.residual, rows.weights)]
    levels = torch.tensor(start.levels, dtype=torch.float32)
    gaps = torch.from_numpy(start.gaps.astype(np.float32))
    descent = Descent(
        heads.parameters(),
        n_steps=steps * schedule.epochs,
        peak=schedule.learning_rate,
        weight_decay=schedule.weight_decay,
    )
    heads.train()
    for _ in range(schedule.epochs):
        order = torch.randperm(n_rows)
        for step in range(steps):
            chosen = order[step * batch : (step + 1) * batch]
            inputs, residual, weights = (values[chosen] for values in tensors)
            quantiles = _around(heads(inputs), start, gaps)
            error = residual[:, None] - quantiles
            pinball = torch.maximum(levels * error, (levels - 1.0) * error).sum(dim=1)
            descent.step((pinball * weights).mean())


def _around(output: torch.Tensor, start: Start, gaps: torch.Tensor) -> torch.Tensor:
    """Turn outputs into rising quantiles of the residual, as `QuantileHeads` does in numpy."""
    bent = gaps * torch.exp(output[:, 1:].clamp(-LARGEST_BEND, LARGEST_BEND))
    below = bent[:, : start.position].flip(1).cumsum(1).flip(1)
    above = bent[:, start.position :].cumsum(1)
    middle = start.middle + output[:, :1]
    return torch.cat([middle - below, middle, middle + above], dim=1)
