"""Whether a source is delivered as often as it used to be, by the weeks of its deliveries.

No clock: an old region-week gets the verdict of its day whenever it is judged.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast_platform.quality.verdicts import Verdict, not_judged

IS_FRESH: Final = "is_fresh"
MIN_DELIVERIES: Final = 4
"""With fewer deliveries a source has no rhythm that could be broken."""

TIMES_LONGEST: Final = 3.0
"""A silence is too long when it is this many times the longest before it."""


def judge_freshness(
    delivered: Sequence[pd.Timestamp] | NDArray[np.datetime64],
    week: pd.Timestamp,
    *,
    every_week: bool,
) -> Verdict:
    """Hold the time since the last delivery to what the source needs or is used to.

    Parameters
    ----------
    delivered : sequence of pandas.Timestamp, or array of datetime64
        Mondays of the weeks of which a file was delivered, up to ``week``.
    week : pandas.Timestamp
        The judged week.
    every_week : bool
        Whether the source must be delivered for every week. Otherwise its own rhythm counts: a
        silence of more than three times the longest one so far, after four deliveries.

    Returns
    -------
    Verdict
        Value and limit are days since the last delivery.

    Examples
    --------
    >>> weeks = list(pd.date_range("2024-01-01", periods=5, freq="W-MON"))
    >>> judge_freshness(weeks, weeks[-1] + pd.Timedelta(weeks=4), every_week=False).passed
    False
    """
    known = np.unique(np.asarray(delivered, dtype="datetime64[D]"))
    known = known[known <= np.datetime64(week, "D")]
    if not len(known):
        return not_judged(IS_FRESH, "it was never delivered")
    days = float((np.datetime64(week, "D") - known[-1]).astype(int))
    if every_week:
        limit = 0.0
    elif len(known) < MIN_DELIVERIES:
        return not_judged(IS_FRESH, f"it was delivered {len(known)} times so far")
    else:
        limit = TIMES_LONGEST * float(np.diff(known).astype(int).max())
    last = f"last delivered for the week of {known[-1]}"
    return Verdict(IS_FRESH, days <= limit, days, limit, f"{last}, {days:.0f} days before")
