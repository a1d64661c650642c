"""Whether a source brings as many rows, and rows of as many stores, as it used to.

Rows are held against the median of the eight weeks before, in units of their spread: the median
absolute deviation, since one odd week must not hide the next, and never less than half of what
independent counts vary by: mostly the same stores and products come again. What the same weeks of
last year did as well is a season, not a fault.
"""

from collections.abc import Collection, Sequence
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast_platform.quality.verdicts import MIN_WEEKS, PAST_WEEKS, Verdict, not_judged

HAS_USUAL_ROWS: Final = "has_usual_rows"
HAS_USUAL_STORES: Final = "has_usual_stores"

MAX_DEVIATION: Final = 4.0
"""Largest usual distance from the median, in robust standard deviations."""

MIN_SPREAD: Final = 0.05
"""Smallest spread that is believed, as a share of the median: 20 % off is always looked at."""

MAX_MISSING: Final = 0.25
"""Largest usual share of regular stores without a row."""

MIN_MISSING: Final = 2
"""One store alone may be closed for a week."""

MAD_TO_SD: Final = 1.4826
WEEKS_A_YEAR: Final = 52
ONE_WEEK: Final = np.timedelta64(7, "D")

Weeks = NDArray[np.datetime64]
Rows = NDArray[np.float64]


def judge_rows(counts: pd.Series, week: pd.Timestamp) -> Verdict:
    """Hold the rows of a week to those of the eight weeks before.

    Parameters
    ----------
    counts : pandas.Series
        Accepted rows by week (Mondays, sorted), of weeks with a delivery; those of the last 61
        weeks are looked at.
    week : pandas.Timestamp
        The judged week.

    Returns
    -------
    Verdict
        Value and limit are robust standard deviations from the median.
    """
    weeks, rows = counts.index.to_numpy("datetime64[us]"), counts.to_numpy(float)
    now = week.to_datetime64()
    n_rows = _of_week(weeks, rows, now)
    if n_rows is None:
        return not_judged(HAS_USUAL_ROWS, "nothing was delivered for this week")
    past = _before(weeks, rows, now)
    if len(past) < MIN_WEEKS:
        return not_judged(HAS_USUAL_ROWS, f"{len(past)} of the {PAST_WEEKS} weeks before are known")
    middle = float(np.median(past))
    usual = [middle * season for season in (1.0, *_seasons(weeks, rows, now))]
    spread = MAD_TO_SD * float(np.median(np.abs(past - middle)))
    deviations = [
        abs(n_rows - one) / max(spread, np.sqrt(one) / 2, MIN_SPREAD * one, 1.0) for one in usual
    ]
    best = int(np.argmin(deviations))
    compared = "as in the same weeks of last year" if best else f"median of {len(past)} weeks"
    text = f"{n_rows:.0f} rows; usual are {usual[best]:.0f} ({compared})"
    value = deviations[best]
    return Verdict(HAS_USUAL_ROWS, value <= MAX_DEVIATION, value, MAX_DEVIATION, text)


def judge_stores(
    stores: Sequence[Collection[str]], now: Collection[str], closed: Collection[str]
) -> Verdict:
    """Hold the stores of a week to those that had rows in every one of the weeks before.

    Parameters
    ----------
    stores : sequence of collections of str
        Stores with rows in each of the weeks before.
    now : collection of str
        Stores with rows in the judged week.
    closed : collection of str
        Stores that the master data says are closed: nobody waits for them.

    Returns
    -------
    Verdict
        Value and limit are shares of the regular stores that have no row.
    """
    if len(stores) < MIN_WEEKS:
        why = f"{len(stores)} of the {PAST_WEEKS} weeks before are known"
        return not_judged(HAS_USUAL_STORES, why)
    regular = set.intersection(*map(set, stores)) - set(closed)
    if not regular:
        return not_judged(HAS_USUAL_STORES, "no store has rows in every week")
    missing = sorted(regular - set(now))
    share = len(missing) / len(regular)
    passed = share <= MAX_MISSING or len(missing) < MIN_MISSING
    named = f", such as {', '.join(missing[:3])}" if missing else ""
    text = f"{len(missing)} of {len(regular)} regular stores have no row{named}"
    return Verdict(HAS_USUAL_STORES, passed, share, MAX_MISSING, text)


def _of_week(weeks: Weeks, rows: Rows, week: np.datetime64) -> float | None:
    at = int(np.searchsorted(weeks, week))
    return float(rows[at]) if at < len(weeks) and weeks[at] == week else None


def _before(weeks: Weeks, rows: Rows, week: np.datetime64) -> Rows:
    first, end = np.searchsorted(weeks, [week - PAST_WEEKS * ONE_WEEK, week])
    return rows[first:end]


def _seasons(weeks: Weeks, rows: Rows, week: np.datetime64) -> list[float]:
    """Ratios to the weeks before them that the same weeks of last year had."""
    found = []
    for shift in (WEEKS_A_YEAR - 1, WEEKS_A_YEAR, WEEKS_A_YEAR + 1):
        then = week - shift * ONE_WEEK
        n_rows, past = _of_week(weeks, rows, then), _before(weeks, rows, then)
        if n_rows is not None and len(past) >= MIN_WEEKS and np.median(past) > 0:
            found.append(n_rows / float(np.median(past)))
    return found
