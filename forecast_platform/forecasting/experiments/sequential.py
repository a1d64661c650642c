"""Which of two arms is better, looked at after every week without ever peeking wrongly.

An interval that holds at all times at once: stopping as soon as it leaves 0 behind errs no more
often than was promised. What the numbers are is in `losses`.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

MAX_CORRELATION: Final = 0.8


class Winner(StrEnum):
    """What a sequential test says."""

    A = "A"
    B = "B"
    NOT_YET = "not_yet"


@dataclass(frozen=True, slots=True)
class Decision:
    """What is known after some weeks.

    Attributes
    ----------
    winner : Winner
    estimate : float
        Mean relative difference of the errors, above 0 when A is better; nan before the first week.
    lower, upper : float
        Interval that holds at all times at once; infinite while there are too few weeks.
    n_weeks : int
        Weeks looked at.
    decided_after : int or None
        Weeks after which there was a winner; later weeks do not change it.
    """

    winner: Winner
    estimate: float
    lower: float
    upper: float
    n_weeks: int
    decided_after: int | None


@dataclass(frozen=True, slots=True)
class SequentialTest:
    """A t-test of weekly differences that may be looked at every week.

    Parameters
    ----------
    alpha : float, default=0.05
        How often, at most, it names a winner when there is none, however often one looks.
    min_difference : float, default=0.005
        A winner is better by more than this relative difference; 0 names any that is better at all.
    correlation : float, default=0.3
        Correlation of consecutive weeks that is allowed for; more is estimated from the weeks.
    effect_variance : float, default=2.0
        Where the test is most powerful: variance of the true difference, over that of the weekly
        noise. No value of it makes the test wrong.

    Notes
    -----
    With the difference of every week drawn from a normal distribution of unknown variance, the
    ratio of the t-statistic's density, mixed over effects from ``N(0, effect_variance)``, to that
    under no effect is a martingale, so it exceeds ``1 / alpha`` at any time with probability at
    most ``alpha`` [1]_ [2]_. Solved for the mean, it is an interval around the estimate that holds
    at all times at once. It needs at least four weeks to be finite, and no known variance.

    Weeks that follow each other are not quite independent, since models and their errors persist:
    the interval is widened by ``sqrt((1 + r) / (1 - r))``, with r the larger of ``correlation`` and
    the correlation of consecutive weeks, corrected for its bias. That is an approximation, and was
    measured: see docs/experiments.md.

    References
    ----------
    .. [1] H. Wang and A. Ramdas, "Anytime-valid t-tests and confidence sequences for Gaussian means
       with unknown variance", Sequential Analysis, 2025.
    .. [2] M. Lindon, D. Ham, M. Tingley and I. Bojinov, "Anytime-valid inference in linear models
       and regression-adjusted causal inference", 2022, section 2.
    .. [3] S. Howard, A. Ramdas, J. McAuliffe and J. Sekhon, "Time-uniform, nonparametric,
       nonasymptotic confidence sequences", Annals of Statistics, 2021.

    Examples
    --------
    >>> test = SequentialTest()
    >>> test.decide(np.array([0.06, 0.05, 0.07, 0.06, 0.05])).winner.value
    'A'
    >>> test.decide(np.array([0.06, -0.05, 0.01])).winner.value
    'not_yet'
    """

    alpha: float = 0.05
    min_difference: float = 0.005
    correlation: float = 0.3
    effect_variance: float = 2.0

    def __post_init__(self) -> None:
        if not 0 < self.alpha < 1:
            raise ValueError(f"alpha must be between 0 and 1, got {self.alpha}")
        if self.min_difference < 0 or self.effect_variance <= 0:
            raise ValueError("min_difference must not be negative, effect_variance above 0")
        if not 0 <= self.correlation <= MAX_CORRELATION:
            raise ValueError(f"correlation must be within 0 and {MAX_CORRELATION}")

    def decide(self, differences: NDArray[np.float64]) -> Decision:
        """Say what is known after all weeks, as somebody knows who looked after each.

        Parameters
        ----------
        differences : numpy.ndarray of shape (n_weeks,)
            Relative difference of each week, in order; above 0 when A is better.
        """
        n = len(differences)
        if not n:
            return Decision(Winner.NOT_YET, np.nan, -np.inf, np.inf, 0, None)
        estimate, half = self.intervals(differences)
        sides = self.winners(estimate, half)
        decided = np.flatnonzero(sides)
        first = int(decided[0]) if len(decided) else None
        winner = Winner.NOT_YET
        if first is not None:
            winner = Winner.A if sides[first] > 0 else Winner.B
        return Decision(
            winner,
            float(estimate[-1]),
            float(estimate[-1] - half[-1]),
            float(estimate[-1] + half[-1]),
            n,
            None if first is None else first + 1,
        )

    def winners(
        self, estimate: NDArray[np.float64], half: NDArray[np.float64]
    ) -> NDArray[np.int64]:
        """Say for each week who is ahead beyond doubt: 1 for A, -1 for B, 0 for nobody yet."""
        is_sure = np.abs(estimate) - half > self.min_difference
        return np.where(is_sure, np.sign(estimate), 0).astype(np.int64)

    def intervals(
        self, differences: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Compute estimate and half-width after each week.

        Parameters
        ----------
        differences : numpy.ndarray of shape (..., n_weeks)
            Weeks in the last axis; further axes are experiments of their own.

        Returns
        -------
        tuple of two numpy.ndarray of shape (..., n_weeks)
            The running mean, and the half-width of its interval; infinite where there are too few
            weeks, or where no week differed from another and nothing can be said of the noise.
        """
        n = np.arange(1, differences.shape[-1] + 1)
        mean = np.cumsum(differences, axis=-1) / n
        squares = np.cumsum(differences**2, axis=-1) - n * mean**2
        squares = np.where(squares > n * mean**2 * 1e-12, squares, 0.0)
        spread = np.sqrt(squares / np.maximum(n - 1, 1) / n)
        r = np.maximum(self.correlation, _correlations(differences, mean, squares))
        bound = np.broadcast_to(self._bound(n), spread.shape)
        is_known = (spread > 0) & np.isfinite(bound)
        half = np.where(is_known, bound, 1.0) * spread * np.sqrt((1 + r) / (1 - r))
        return mean, np.where(is_known, half, np.inf)

    def _bound(self, n: NDArray[np.int64]) -> NDArray[np.float64]:
        """Compute the largest t-statistic that leaves doubt after n weeks.

        Solves ``(1 + n g)^(-1/2) ((1 + t^2 / (v (1 + n g))) / (1 + t^2 / v))^(-n / 2) = 1 / alpha``
        for t, with v = n - 1 and g the variance of effects.
        """
        shrunk = 1 / (1 + n * self.effect_variance)
        ratio = (self.alpha**2 * shrunk) ** (1 / n)
        room = ratio - shrunk
        possible = (room > 0) & (n > 1)
        safe = np.where(possible, room, 1.0)
        finite = np.where(possible, np.sqrt((n - 1) * (1 - ratio) / safe), 1.0)
        return np.where(possible, finite, np.inf)


def _correlations(
    differences: NDArray[np.float64], mean: NDArray[np.float64], squares: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Estimate the correlation of consecutive weeks after each week, within 0 and 0.8.

    The estimate around a mean from the same weeks is too low by about one over their number, which
    is added.
    """
    n = np.arange(1, differences.shape[-1] + 1)
    total = np.cumsum(differences, axis=-1)
    products = np.zeros_like(total)
    products[..., 1:] = np.cumsum(differences[..., 1:] * differences[..., :-1], axis=-1)
    without_first = total - differences[..., :1]
    without_last = total - differences
    covered = products - mean * (without_first + without_last) + (n - 1) * mean**2
    r = np.divide(covered, squares, out=np.zeros_like(total), where=squares > 0)
    return np.clip(r + 1 / n, 0, MAX_CORRELATION)
