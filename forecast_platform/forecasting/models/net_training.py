"""The torch module behind the embedding net, and the loop that trains it.

Imported when a net is fitted, never to forecast with one: torch costs seconds to import. Arrays go
in and out; no frame and no encoder belong here.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from forecast_platform.forecasting.models.descent import Descent
from forecast_platform.forecasting.models.net_pass import Source, pass_for
from forecast_platform.forecasting.models.objective import (
    LARGEST_RATIO,
    SLOPE_CAP,
    Objective,
)

SMALLEST_BATCH = 32
DEVICES = ("auto", "cpu", "cuda")


@dataclass(frozen=True, slots=True)
class Schedule:
    """How a net is trained; see `EmbeddingNetForecaster` for the meaning of each."""

    hidden: tuple[int, int]
    embedding_size: int
    dropout: float
    epochs: int
    batch_size: int
    min_steps: int
    learning_rate: float
    weight_decay: float
    mask_share: float
    objective: Objective
    seed: int


@dataclass(frozen=True, slots=True)
class Rows:
    """Training rows as arrays: inputs, codes into one table of levels, and what the loss needs."""

    matrix: NDArray[np.float32]
    codes: NDArray[np.int32]
    unknown: NDArray[np.int32]
    target: NDArray[np.float32]
    scale: NDArray[np.float32]
    weights: NDArray[np.float32]


class Net(nn.Module):
    """Embeddings and numbers through two hidden layers, beside a linear path; starts at zero."""

    def __init__(self, n_numeric: int, n_columns: int, n_levels: int, schedule: Schedule) -> None:
        super().__init__()
        first, second = schedule.hidden
        self.embedding = nn.Embedding(n_levels, schedule.embedding_size)
        self.first = nn.Linear(n_numeric + n_columns * schedule.embedding_size, first)
        self.second = nn.Linear(first, second)
        self.output = nn.Linear(second, 1)
        self.skip = nn.Linear(n_numeric, 1, bias=False)
        self.dropout = nn.Dropout(schedule.dropout)
        nn.init.normal_(self.embedding.weight, std=0.1)
        for layer in (self.output, self.skip):
            nn.init.zeros_(layer.weight)
        nn.init.zeros_(self.output.bias)

    def forward(self, matrix: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
        """Return the correction to the base level, on the log1p scale."""
        inputs = torch.cat([matrix, self.embedding(codes).flatten(1)], dim=1)
        hidden = self.dropout(nn.functional.silu(self.first(inputs)))
        hidden = self.dropout(nn.functional.silu(self.second(hidden)))
        return (self.output(hidden) + self.skip(matrix)).squeeze(1)


def losses(
    objective: Objective, prediction: torch.Tensor, target: torch.Tensor, scale: torch.Tensor
) -> torch.Tensor:
    """Return each row's loss; beyond `SLOPE_CAP`, or what a log may be, it grows linearly."""
    if objective == "mape":
        d = prediction - target
        cap = SLOPE_CAP * scale.clamp_min(1.0)
        bend = torch.log(cap / scale.clamp_min(1e-6))
        return scale * torch.expm1(torch.minimum(d, bend)).abs() + cap * torch.relu(d - bend)
    inside = prediction.clamp(-4.0, 3.0)
    mean = torch.exp(inside) * (1.0 + prediction - inside)
    return mean - torch.exp(target).clamp_max(LARGEST_RATIO) * prediction


@contextmanager
def torch_threads(threads: int | None) -> Iterator[None]:
    """Use this many threads inside the block; None leaves the number alone."""
    before = torch.get_num_threads()
    try:
        if threads is not None:
            torch.set_num_threads(threads)
        yield
    finally:
        torch.set_num_threads(before)


def device_of(name: str) -> torch.device:
    """Return the device of that name; ``auto`` is a CUDA device where there is one.

    Raises
    ------
    ValueError
        If it is none of auto, cpu and cuda, or cuda where there is none.
    """
    if name not in DEVICES:
        raise ValueError(f"device must be one of {', '.join(DEVICES)}, got {name!r}")
    if name == "cpu":
        return torch.device("cpu")
    if torch.cuda.is_available():
        return torch.device("cuda")
    if name == "auto":
        return torch.device("cpu")
    raise ValueError("device is cuda, but torch finds none here: use auto or cpu")


def train(
    rows: Rows, schedule: Schedule, *, n_levels: int, threads: int | None, device: str = "auto"
) -> dict[str, NDArray[np.float32]]:
    """Train a net and return its weights by name.

    Notes
    -----
    The global random state is put back afterwards. All random numbers are drawn on the CPU, so a
    GPU trains the same net but for rounding; with one number of threads, the same rows and seed
    give the same weights to the last bit on one kind of CPU.
    """
    with torch_threads(threads), torch.random.fork_rng(devices=[]):
        torch.manual_seed(schedule.seed)
        net = Net(rows.matrix.shape[1], rows.codes.shape[1], n_levels, schedule)
        net = net.to(device_of(device))
        _descend(net, rows, schedule)
        state = net.state_dict()
        return {name: value.detach().cpu().numpy().copy() for name, value in state.items()}


def _descend(net: Net, rows: Rows, schedule: Schedule) -> None:
    n_rows = len(rows.matrix)
    batch = min(schedule.batch_size, max(SMALLEST_BATCH, n_rows // schedule.min_steps), n_rows)
    steps = max(1, n_rows // batch)
    source = _source(rows, net.output.bias.device)
    descent = Descent(
        net.parameters(),
        n_steps=steps * schedule.epochs,
        peak=schedule.learning_rate,
        weight_decay=schedule.weight_decay,
    )
    backwards = pass_for(net, schedule, batch, source)
    for _ in range(schedule.epochs):
        order = torch.randperm(n_rows).to(source.matrix.device)
        for chosen in order[: steps * batch].split(batch):
            backwards.gradient(chosen)
            descent.move()


def _source(rows: Rows, device: torch.device) -> Source:
    goals = np.stack([rows.target, rows.scale, rows.weights], axis=1)
    arrays = (rows.matrix, rows.codes, goals, rows.unknown)
    return Source(*(torch.from_numpy(values).to(device) for values in arrays))
