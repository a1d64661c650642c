"""Guard rails: how far a forecast may lie from what a segment sold lately before it is nonsense.

Only the judgement belongs here; what serves instead is decided in serving. Drift and accuracy are
watched elsewhere: a forecast that is merely bad passes.
"""

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field


class GuardRails(BaseModel):
    """Bounds of the total of a segment's forecast, week ahead by week ahead.

    Parameters
    ----------
    max_multiple : float, default=5
        No week's total may exceed this multiple of the largest recent week's. The strongest week of
        a year is seldom more than three usual ones.
    min_share : float, default=0.1
        No week's total may fall below this share of the smallest recent week's.
    recent_weeks : int, default=26
        What is recent [weeks].

    Notes
    -----
    One unit a series is allowed beyond either bound, so that segments that sell a handful of units
    are not judged by chance.

    Examples
    --------
    >>> rails = GuardRails()
    >>> recent = np.array([90.0, 110.0])
    >>> rails.complaint(np.array([100.0, 120.0]), recent, n_series=3)
    >>> rails.complaint(np.array([100.0, 900.0]), recent, n_series=3)
    'a total of 900 units in a week is above 553, which is 5 times the largest of recent weeks'
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_multiple: float = Field(default=5.0, gt=1, allow_inf_nan=False)
    min_share: float = Field(default=0.1, ge=0, lt=1)
    recent_weeks: int = Field(default=26, ge=1)

    def complaint(
        self, totals: NDArray[np.float64], recent: NDArray[np.float64], *, n_series: int
    ) -> str | None:
        """Say what is wrong with a forecast; None if nothing is.

        Parameters
        ----------
        totals : ndarray of shape (n_weeks_ahead,)
            Forecast of the segment by week ahead [units].
        recent : ndarray of shape (n_recent_weeks,)
            Demand of the same series by week [units]; without any there is nothing to hold against.
        n_series : int
        """
        if not np.isfinite(totals).all():
            return "it forecasts values that are not finite"
        if recent.size == 0:
            return None
        above = self.max_multiple * float(recent.max()) + n_series
        below = self.min_share * float(recent.min()) - n_series
        if totals.max() > above:
            return (
                f"a total of {totals.max():.0f} units in a week is above {above:.0f}, which is "
                f"{self.max_multiple:g} times the largest of recent weeks"
            )
        if totals.min() < below:
            return (
                f"a total of {totals.min():.0f} units in a week is below {below:.0f}, which is "
                f"{self.min_share:g} of the smallest of recent weeks"
            )
        return None


class FailoverRule(BaseModel):
    """When a model may not serve, and how long an old forecast stands in for a new one.

    Parameters
    ----------
    max_age_days : int, default=120
        A model whose training cutoff is further back does not serve [days].
    max_carry_weeks : int, default=3
        Age up to which an earlier forecast is carried forward [weeks].
    guard_rails : GuardRails

    Notes
    -----
    A model is stale after 60 days, which fails a check and calls for retraining; that a planner
    gets the historical average instead, whose error is about twice as large, is worth it only when
    nobody has mended it in twice that time.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_age_days: int = Field(default=120, ge=1)
    max_carry_weeks: int = Field(default=3, ge=0)
    guard_rails: GuardRails = Field(default_factory=GuardRails)
