"""Whether what models get wrong has shifted: the residuals of a week against those before.

Judges numbers of forecasts one week ahead. Whether the values of a source or feature are spread as
usual is judged in `forecast_platform.quality.drift`.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from forecast_platform.vocabulary import DS, Y_HAT, Y

PAST_WEEKS: Final = 26
MIN_WEEKS: Final = 6
MIN_ROWS: Final = 20


@dataclass(frozen=True, slots=True)
class Shift:
    """What the residuals up to a week say.

    Attributes
    ----------
    is_drifted : bool
    value : float
        Distance of the newest weeks' mean residual from that of the weeks before [log units].
    limit : float
        Largest distance that passes; nan where nothing was judged.
    n_weeks : int
        How many newest weeks: those that stand out most.
    """

    is_drifted: bool
    value: float
    limit: float
    n_weeks: int = 1


NOT_JUDGED: Final = Shift(is_drifted=False, value=float("nan"), limit=float("nan"))


@dataclass(frozen=True, slots=True)
class ResidualTest:
    """Prediction intervals for the mean residual of the newest weeks, from the region's own past.

    Parameters
    ----------
    alpha : float, default=0.005
        Share of weeks without any shift that lie outside of one interval, were weeks independent;
        what was measured on weeks that are not is in docs/monitoring.md.
    min_shift : float, default=0.1
        A smaller shift is let pass: a tenth of demand [log units].
    max_weeks : int, default=3
        The newest week alone is judged, and the means of the newest two, three, ... weeks: what
        lasts and is too small to stand out in a week of a small region stands out in their mean.

    Notes
    -----
    With n earlier weeks of mean m and standard deviation s, the mean of k new ones lies within
    ``m +- t(n - 1, 1 - alpha / 2) s sqrt(1 / k + 1 / n)`` [1]_; where the past's own means of k
    weeks spread more than independent weeks would, by that spread. Weeks that were outside
    themselves stay in the past: after a lasting shift the limit widens, and what is new becomes
    what is usual.

    References
    ----------
    .. [1] G. Hahn and W. Meeker, "Statistical Intervals", 1991, chapter 4.
    """

    alpha: float = 0.005
    min_shift: float = 0.1
    max_weeks: int = 3

    def judge(self, past: ArrayLike, now: float) -> Shift:
        """Judge the newest weeks by those before; a newest one that is nan is not judged."""
        if not np.isfinite(now):
            return NOT_JUDGED
        weeks = np.append(np.asarray(past, dtype=np.float64), now)
        shifts = [self._of_newest(weeks, k) for k in range(1, self.max_weeks + 1)]
        judged = [one for one in shifts if np.isfinite(one.limit)]
        return max(judged, key=lambda one: one.value / one.limit, default=NOT_JUDGED)

    def _of_newest(self, weeks: NDArray[np.float64], k: int) -> Shift:
        """Judge the mean of the newest ``k`` weeks; of more than one by twice as long a past."""
        from scipy.stats import t

        before, newest = weeks[:-k], weeks[-k:]
        before = before[np.isfinite(before)][-PAST_WEEKS:]
        n = len(before)
        if n < MIN_WEEKS * min(k, 2) or not np.isfinite(newest).all():
            return NOT_JUDGED
        means = np.convolve(before, np.full(k, 1 / k), mode="valid")
        spread = max(float(means.std(ddof=1)), float(before.std(ddof=1)) / np.sqrt(k))
        half = t.ppf(1 - self.alpha / 2, n - 1) * spread * np.sqrt(1 + k / n)
        limit = max(float(half), self.min_shift)
        value = abs(float(newest.mean()) - float(before.mean()))
        return Shift(value > limit, value, limit, k)


def weekly_residuals(rows: pd.DataFrame) -> pd.Series:
    """Compare the demand of each week with its forecast, ``log(sum y + 1) - log(sum y_hat + 1)``.

    Sums are less noisy than the mean of the rows' residuals, where most rows sell little.

    Parameters
    ----------
    rows : pandas.DataFrame
        ``ds``, ``y`` and ``y_hat`` [units] of forecasts one week ahead.

    Returns
    -------
    pandas.Series
        By ``ds``, in order; weeks of fewer than 20 rows are nan.
    """
    groups = rows.groupby(DS, sort=True)
    sums = groups[[Y, Y_HAT]].sum().apply(np.log1p)
    return (sums[Y] - sums[Y_HAT]).where(groups.size() >= MIN_ROWS)
