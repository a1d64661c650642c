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
    """What a week's residuals say.

    Attributes
    ----------
    is_drifted : bool
    value : float
        Distance of the week's mean residual from that of the weeks before [log units].
    limit : float
        Largest distance that passes; nan where nothing was judged.
    """

    is_drifted: bool
    value: float
    limit: float


@dataclass(frozen=True, slots=True)
class ResidualTest:
    """A prediction interval for a week's mean residual, from the region's own past.

    Parameters
    ----------
    alpha : float, default=0.005
        Share of weeks without any shift that lie outside, were weeks independent; what was measured
        on weeks that are not is in docs/monitoring.md.
    min_shift : float, default=0.1
        A smaller shift is let pass: a tenth of demand [log units].

    Notes
    -----
    With n earlier weeks of mean m and standard deviation s, a new week lies within
    ``m +- t(n - 1, 1 - alpha / 2) s sqrt(1 + 1 / n)`` [1]_. Weeks that were outside themselves stay
    in the past: after a lasting shift the limit widens, and what is new becomes what is usual.

    References
    ----------
    .. [1] G. Hahn and W. Meeker, "Statistical Intervals", 1991, chapter 4.
    """

    alpha: float = 0.005
    min_shift: float = 0.1

    def judge(self, past: ArrayLike, now: float) -> Shift:
        """Judge a week's mean residual by those of the weeks before; nan is not judged."""
        from scipy.stats import t

        before = np.asarray(past, dtype=np.float64)
        before = before[np.isfinite(before)][-PAST_WEEKS:]
        n = len(before)
        if n < MIN_WEEKS or not np.isfinite(now):
            return Shift(is_drifted=False, value=float("nan"), limit=float("nan"))
        half = t.ppf(1 - self.alpha / 2, n - 1) * before.std(ddof=1) * np.sqrt(1 + 1 / n)
        limit = max(float(half), self.min_shift)
        value = abs(now - before.mean())
        return Shift(bool(value > limit), float(value), limit)


def weekly_residuals(rows: pd.DataFrame) -> pd.Series:
    """Average ``log1p(y) - log1p(y_hat)`` of each week.

    Parameters
    ----------
    rows : pandas.DataFrame
        ``ds``, ``y`` and ``y_hat`` [units] of forecasts one week ahead.

    Returns
    -------
    pandas.Series
        By ``ds``, in order; weeks of fewer than 20 rows are nan.
    """
    residuals: NDArray[np.float64] = np.log1p(rows[Y].to_numpy(np.float64)) - np.log1p(
        rows[Y_HAT].to_numpy(np.float64)
    )
    groups = pd.Series(residuals, index=rows.index).groupby(rows[DS], sort=True)
    return groups.mean().where(groups.size() >= MIN_ROWS)
