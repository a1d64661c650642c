"""What held-out weeks say about quantile forecasts: corrections by segment and week ahead.

Only numbers on the log1p scale belong here: no net, no frame of features.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from forecast_platform.forecasting.models.base import CorruptModelFiles, State, taken
from forecast_platform.forecasting.models.quantiles import HIGH, LOW

PRIOR_ROWS = 400.0
"""Rows of the wider group that a group's own corrections are mixed with: those of all segments
into a segment's, those of a segment into one of its weeks ahead."""

WEEKLY_DECAY = 0.9
"""A held-out week counts so much of the week after it: errors drift. Chosen on rounds of orange
juice before its test rounds (80 % range: coverage 0.799 without, 0.803 with; worst round 0.668 and
0.691)."""

TAIL_SHARES = (1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.65, 0.6, 0.55, 0.5, 0.45, 0.4, 0.35, 0.3)
"""By how much a level's tail may be shrunk until weeks that were left out are covered."""

SMALLEST_WIDTH = 0.05
"""Least width by which errors are measured [log units]."""


@dataclass(frozen=True, slots=True)
class Corrections:
    """How far to move each level, in units of the row's own width, for each week ahead.

    Parameters
    ----------
    levels : tuple of float
    horizons : tuple of int
        Weeks ahead with corrections of their own.
    shifts : ndarray of shape (n_horizons + 1, n_levels)
        By week ahead; the last row is for any other.

    Notes
    -----
    A level's correction is the level's quantile of ``(log1p(y) - q) / width`` over held-out rows,
    where ``width`` is the row's own distance between `LOW` and `HIGH`: conformalised quantile
    regression [1]_, each side by itself, with scores scaled so that a row that is known to be
    hard moves more than an easy one.

    References
    ----------
    .. [1] Y. Romano, E. Patterson and E. Candès, "Conformalized quantile regression", NeurIPS
       (2019).
    """

    levels: tuple[float, ...]
    horizons: tuple[int, ...]
    shifts: NDArray[np.float64]

    @classmethod
    def none(cls, levels: Sequence[float]) -> Self:
        """Return corrections that change nothing."""
        return cls(tuple(levels), (), np.zeros((1, len(levels))))

    def apply(self, quantiles: NDArray[np.float64], h: ArrayLike) -> NDArray[np.float64]:
        """Correct quantiles of shape (n_rows, n_levels); levels still rise along each row."""
        hs = np.asarray(h)
        row = np.full(len(hs), len(self.horizons))
        for position, horizon in enumerate(self.horizons):
            row[hs == horizon] = position
        moved = quantiles + self.shifts[row] * width_of(quantiles, self.levels)[:, None]
        return np.sort(moved, axis=1)

    def to_state(self) -> State:
        """Return JSON values and arrays."""
        values = {"levels": list(self.levels), "horizons": list(self.horizons)}
        return values, {"shifts": self.shifts}

    @classmethod
    def from_state(cls, values: Any, arrays: Mapping[str, NDArray[Any]], prefix: str) -> Self:
        """Read back what `to_state` gave, the arrays under ``prefix``."""
        levels = tuple(float(level) for level in values["levels"])
        horizons = tuple(int(h) for h in values["horizons"])
        if len(set(horizons)) != len(horizons):
            raise CorruptModelFiles("weeks ahead of the corrections repeat")
        shifts = taken(arrays, f"{prefix}shifts", (len(horizons) + 1, len(levels)))
        return cls(levels, horizons, shifts)


def width_of(quantiles: NDArray[np.float64], levels: Sequence[float]) -> NDArray[np.float64]:
    """Return each row's distance between `LOW` and `HIGH` [log units]."""
    low, high = (list(levels).index(level) for level in (LOW, HIGH))
    return np.maximum(quantiles[:, high] - quantiles[:, low], SMALLEST_WIDTH)


def fit_corrections(
    y: ArrayLike,
    quantiles: NDArray[np.float64],
    levels: Sequence[float],
    *,
    segments: ArrayLike,
    hs: ArrayLike,
    weeks: ArrayLike | None = None,
    prior_rows: float = PRIOR_ROWS,
) -> dict[str, Corrections]:
    """Learn corrections from held-out rows: of all, of each segment, of its weeks ahead.

    Parameters
    ----------
    y : array-like of shape (n_rows,)
        Actual demand [units].
    quantiles : ndarray of shape (n_rows, n_levels)
        Forecast of them on the log1p scale, by models that did not know ``y``.
    levels : sequence of float
    segments, hs : array-like of shape (n_rows,)
        Segment and week ahead of each row.
    weeks : array-like of shape (n_rows,) or None, default=None
        Number of the week that each row is about. Rows of one week err alike, so levels are pushed
        outward until each week is covered, on average, by corrections that do not know it; and
        newer weeks count more.
    prior_rows : float, default=PRIOR_ROWS
        How strongly a small group is drawn to the wider one.

    Returns
    -------
    dict of str to Corrections
        By segment; ``""`` is for a segment without held-out rows.
    """
    if not len(quantiles):
        return {"": Corrections.none(levels)}
    scores = (np.log1p(np.asarray(y, np.float64))[:, None] - quantiles) / width_of(
        quantiles, levels
    )[:, None]
    week = np.zeros(len(scores)) if weeks is None else np.asarray(weeks, np.float64)
    weight = WEEKLY_DECAY ** (week.max() - week)
    aims = outward_levels(scores, weight, week, levels)
    segment, ahead = np.asarray(segments, dtype=object).astype(str), np.asarray(hs)

    def drawn(rows: NDArray[np.bool_], wider: NDArray[np.float64]) -> NDArray[np.float64]:
        share = weight[rows].sum() / (weight[rows].sum() + prior_rows)
        return wider + share * (_quantiles(scores[rows], weight[rows], aims) - wider)

    overall = _quantiles(scores, weight, aims)
    corrections = {"": Corrections(tuple(levels), (), overall[None])}
    horizons = tuple(int(h) for h in np.unique(ahead))
    for name in np.unique(segment):
        own = drawn(segment == name, overall)
        each = [
            drawn(rows, own) if rows.any() else own
            for rows in ((segment == name) & (ahead == h) for h in horizons)
        ]
        corrections[str(name)] = Corrections(tuple(levels), horizons, np.stack([*each, own]))
    return corrections


def outward_levels(
    scores: NDArray[np.float64],
    weights: NDArray[np.float64],
    weeks: NDArray[np.float64],
    levels: Sequence[float],
) -> list[float]:
    """Return the level to aim at for each level, so that left-out weeks are missed no more often.

    Where weeks are alike these are the levels themselves; the more weeks differ from one another,
    the farther out they lie.
    """
    apart = [weeks == week for week in np.unique(weeks)]
    if len(apart) < 2:
        return list(levels)
    return [
        _outward(scores[:, column], weights, apart, level) for column, level in enumerate(levels)
    ]


def _outward(
    scores: NDArray[np.float64],
    weights: NDArray[np.float64],
    apart: Sequence[NDArray[np.bool_]],
    level: float,
) -> float:
    tail, is_high = min(level, 1.0 - level), level > 0.5
    if level == 0.5:
        return level
    aim = level
    for share in TAIL_SHARES:
        aim = 1.0 - tail * share if is_high else tail * share
        missed = 0.0
        for week in apart:
            bound = _weighted_quantile(scores[~week], weights[~week], aim)
            beyond = scores[week] > bound if is_high else scores[week] < bound
            missed += float(weights[week][beyond].sum())
        if missed <= tail * weights.sum():
            break
    return aim


def _weighted_quantile(
    values: NDArray[np.float64], weights: NDArray[np.float64], level: float
) -> float:
    order = np.argsort(values, kind="stable")
    share = np.cumsum(weights[order]) / weights.sum()
    return float(values[order][min(int(np.searchsorted(share, level)), len(order) - 1)])


def _quantiles(
    scores: NDArray[np.float64], weights: NDArray[np.float64], levels: Sequence[float]
) -> NDArray[np.float64]:
    """Return each column's own level's weighted quantile, outward by one row as CQR asks."""
    outward = 1.0 + 1.0 / len(scores)
    wanted = [
        level * outward if level >= 0.5 else 1.0 - (1.0 - level) * outward for level in levels
    ]
    return np.array(
        [
            _weighted_quantile(scores[:, column], weights, float(np.clip(level, 0.0, 1.0)))
            for column, level in enumerate(wanted)
        ]
    )


def at_levels(
    quantiles: NDArray[np.float64], known: Sequence[float], wanted: Sequence[float]
) -> NDArray[np.float64]:
    """Interpolate quantiles of shape (n_rows, n_known) at other levels.

    Linear in the normal distribution's quantile, so that a lognormal row is met exactly.

    Raises
    ------
    ValueError
        If a level lies outside of the known ones: nothing was learnt about it.
    """
    outside = [level for level in wanted if not known[0] <= level <= known[-1]]
    if outside:
        raise ValueError(f"levels must be within {known[0]} and {known[-1]}, got {outside}")
    points, columns = _normal(known), []
    for level in wanted:
        at = float(_normal([level])[0])
        right = int(np.clip(np.searchsorted(points, at), 1, len(points) - 1))
        share = (at - points[right - 1]) / (points[right] - points[right - 1])
        left = quantiles[:, right - 1]
        columns.append(left + share * (quantiles[:, right] - left))
    return np.stack(columns, axis=1)


def _normal(levels: Sequence[float]) -> NDArray[np.float64]:
    from statistics import NormalDist

    return np.array([NormalDist().inv_cdf(level) for level in levels])
