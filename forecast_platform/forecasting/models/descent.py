"""AdamW under a one-cycle schedule, on all weights of a net at once.

Only the steps of the optimiser belong here: no loss, no net. torch's own optimisers import its
compiler at first use, a second in every training process, and step through parameters one by one.
On the CPU a step is one compiled loop.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import torch

from forecast_platform.forecasting.models.compiled_net import EPSILON, SQUARE_DECAY, move_compiled

WARM_SHARE = 0.3
"""Share of the steps in which the rate rises."""

START_DIVISOR, END_DIVISOR = 25.0, 25.0e4
LEAST_MOMENTUM, MOST_MOMENTUM = 0.85, 0.95


def one_cycle(step: int, n_steps: int, peak: float) -> tuple[float, float]:
    """Return learning rate and momentum of a step.

    The rate rises from a 25th of the peak to the peak and falls to nothing, on half cosines; the
    momentum goes the other way.

    References
    ----------
    .. [1] L. N. Smith and N. Topin, "Super-convergence" (2018).

    Examples
    --------
    >>> one_cycle(0, 101, 1.0), one_cycle(30, 101, 1.0)
    ((0.04, 0.95), (1.0, 0.85))
    """
    turn = WARM_SHARE * (n_steps - 1)
    if step <= turn:
        share = _half_cosine(step / turn if turn else 1.0)
        rate = _between(peak / START_DIVISOR, peak, share)
        return rate, _between(MOST_MOMENTUM, LEAST_MOMENTUM, share)
    share = _half_cosine((step - turn) / (n_steps - 1 - turn))
    rate = _between(peak, peak / END_DIVISOR, share)
    return rate, _between(LEAST_MOMENTUM, MOST_MOMENTUM, share)


def _half_cosine(share: float) -> float:
    return (1.0 - math.cos(math.pi * share)) / 2.0


def _between(start: float, end: float, share: float) -> float:
    return start + (end - start) * share


class Descent:
    """Steps through the weights of a net, which become views into one long vector.

    Parameters
    ----------
    parameters : iterable of torch.nn.Parameter
        Weights; they share one memory from now on.
    n_steps : int
        Steps of the whole training.
    peak : float
        Largest learning rate.
    weight_decay : float
    largest_norm : float, default=5
        A gradient that is longer is cut to this length.

    References
    ----------
    .. [1] I. Loshchilov and F. Hutter, "Decoupled weight decay regularization" (2019).
    """

    def __init__(
        self,
        parameters: Iterable[torch.nn.Parameter],
        *,
        n_steps: int,
        peak: float,
        weight_decay: float,
        largest_norm: float = 5.0,
    ) -> None:
        parameters = list(parameters)
        self._n_steps, self._peak = n_steps, peak
        self._weight_decay, self._largest_norm = weight_decay, largest_norm
        weights = torch.cat([one.detach().flatten() for one in parameters])
        vectors = (weights, *(torch.zeros_like(weights) for _ in range(3)))
        self._step, self._mean_bias, self._square_bias = 0, 1.0, 1.0
        start = 0
        for one in parameters:
            stop = start + one.numel()
            one.data = weights[start:stop].view_as(one)
            one.grad = vectors[1][start:stop].view_as(one)
            start = stop
        is_compiled = weights.device.type == "cpu"
        self._move: Any = move_compiled if is_compiled else move_by_torch
        self._vectors = tuple(one.numpy() for one in vectors) if is_compiled else vectors

    def move(self) -> None:
        """Move the weights against the gradients that they hold."""
        rate, momentum = one_cycle(self._step, self._n_steps, self._peak)
        self._step += 1
        self._mean_bias *= momentum
        self._square_bias *= SQUARE_DECAY
        decay, step = 1.0 - rate * self._weight_decay, rate / (1.0 - self._mean_bias)
        rates = (momentum, decay, step, math.sqrt(1.0 - self._square_bias))
        self._move(self._vectors, rates, self._largest_norm)


@torch.no_grad()
def move_by_torch(
    vectors: Sequence[torch.Tensor], rates: tuple[float, float, float, float], largest_norm: float
) -> None:
    """Move weights by their gradient, given its running mean and square; all are overwritten.

    Parameters
    ----------
    vectors : sequence of Tensor
        Weights, gradient, mean and square.
    rates : tuple of float
        Momentum; what is left of a weight that has no gradient; length of the step; divisor of the
        root of the square, which starts at zero and so is too small at first.
    largest_norm : float
        A gradient that is longer is cut to this length.
    """
    weights, gradient, mean, square = vectors
    momentum, decay, step, bias = rates
    norm = float(torch.linalg.vector_norm(gradient))
    if norm > largest_norm:
        gradient.mul_(largest_norm / norm)
    mean.lerp_(gradient, 1.0 - momentum)
    square.mul_(SQUARE_DECAY).addcmul_(gradient, gradient, value=1.0 - SQUARE_DECAY)
    scale = square.sqrt().div_(bias).add_(EPSILON)
    weights.mul_(decay).addcdiv_(mean, scale, value=-step)
