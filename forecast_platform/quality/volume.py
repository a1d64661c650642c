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
    if week not in counts.index:
        return not_judged(HAS_USUAL_ROWS, "nothing was delivered for this week")
    past = _before(counts, week)
    if len(past) < MIN_WEEKS:
        return not_judged(HAS_USUAL_ROWS, f"{len(past)} of the {PAST_WEEKS} weeks before are known")
    n_rows = float(counts[week])
    usual = [float(past.median()) * season for season in (1.0, *_seasons(counts, week))]
    spread = MAD_TO_SD * float((past - past.median()).abs().median())
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


def _before(counts: pd.Series, week: pd.Timestamp) -> pd.Series:
    is_past = (counts.index < week) & (counts.index >= week - pd.Timedelta(weeks=PAST_WEEKS))
    return counts[is_past]


def _seasons(counts: pd.Series, week: pd.Timestamp) -> list[float]:
    """Ratios to the weeks before them that the same weeks of last year had."""
    found = []
    for shift in (WEEKS_A_YEAR - 1, WEEKS_A_YEAR, WEEKS_A_YEAR + 1):
        then = week - pd.Timedelta(weeks=shift)
        past = _before(counts, then)
        if then in counts.index and len(past) >= MIN_WEEKS and past.median() > 0:
            found.append(float(counts[then] / past.median()))
    return found
