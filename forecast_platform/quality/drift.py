"""Whether the values of a source are spread as they used to be.

Numbers are compared by the Wasserstein distance between their distributions, in standard
deviations of the eight weeks before. It keeps growing with the size of a shift, where the
population stability index and the Kolmogorov-Smirnov distance are full as soon as two weeks do
not overlap, which a cold week and a mild one never do. What is usual is measured, not set: how far
each of the eight weeks lies from the other seven.

References
----------
.. [1] A. Ramdas, N. Garcia Trillos and M. Cuturi, "On Wasserstein two-sample testing and related
   families of nonparametric tests", Entropy 19(2), 2017.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast_platform.quality.verdicts import MIN_WEEKS, Verdict, not_judged, worst

HAS_USUAL_VALUES: Final = "has_usual_values"

MIN_ROWS: Final = 20
"""Fewer values have no distribution worth comparing."""

GRID: Final = (np.arange(50) + 0.5) / 50
"""Quantiles that stand for a week: between them a distribution is a straight line."""

MIN_DISTANCE: Final = 1.25
"""A smaller shift, in standard deviations, is never looked at."""

TIMES_USUAL: Final = 2.0
"""A shift must be so many times the largest between the weeks before."""

MIN_SPREAD: Final = 0.1
"""Smallest standard deviation that is believed: 10 % of logarithms, a tenth of a unit."""

MORE_MISSING: Final = 0.15
"""A larger share of missing values than in any week before, by so much, is looked at."""

MAX_UNSEEN: Final = 0.25
"""Largest usual share of rows with a text that no week before had."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns of a source are compared, and how.

    Attributes
    ----------
    ratios : tuple of str
        Numbers that vary by factors (units, prices): their logarithms are compared; zeros, which
        have no unit, are left out.
    numbers : tuple of str
        Other numbers.
    texts : tuple of str
        Texts of which new ones are counted.
    """

    ratios: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Sketch:
    """One week of one source, as small as judging needs it.

    Attributes
    ----------
    n_rows : int
    quantiles : mapping of str to array of shape (50,)
        Of each number column with enough values.
    missing : mapping of str to float
        Share of missing values of each number column.
    texts : mapping of str to mapping of str to int
        Rows of each text, of each text column.
    """

    n_rows: int
    quantiles: Mapping[str, NDArray[np.float64]]
    missing: Mapping[str, float]
    texts: Mapping[str, Mapping[str, int]]


def sketch(rows: pd.DataFrame, columns: Columns) -> Sketch:
    """Sum up the rows of one region-week of a source."""
    return _sketch(_Values.of(rows, columns), slice(0, len(rows)), columns)


def sketch_weeks(rows: pd.DataFrame, columns: Columns) -> dict[pd.Timestamp, Sketch]:
    """Sum up the rows of one region of a source, each week by itself.

    Parameters
    ----------
    rows : pandas.DataFrame
        In order of the column ``week``.
    columns : Columns
    """
    weeks, starts = np.unique(rows["week"].to_numpy("datetime64[us]"), return_index=True)
    values = _Values.of(rows, columns)
    spans = map(slice, starts, [*starts[1:], len(rows)])
    return {
        pd.Timestamp(week): _sketch(values, span, columns)
        for week, span in zip(weeks, spans, strict=True)
    }


@dataclass(frozen=True, slots=True)
class _Values:
    """Columns as arrays: a frame for each of hundreds of weeks costs more than their statistics."""

    numbers: Mapping[str, NDArray[np.float64]]
    codes: Mapping[str, NDArray[np.intp]]
    texts: Mapping[str, NDArray[np.object_]]

    @classmethod
    def of(cls, rows: pd.DataFrame, columns: Columns) -> "_Values":
        coded = {name: pd.factorize(rows[name].astype("object")) for name in columns.texts}
        return cls(
            numbers={
                name: rows[name].to_numpy(float) for name in (*columns.ratios, *columns.numbers)
            },
            codes={name: codes for name, (codes, _) in coded.items()},
            texts={name: np.asarray(texts, dtype=object) for name, (_, texts) in coded.items()},
        )


def _sketch(values: _Values, span: slice, columns: Columns) -> Sketch:
    numbers = {name: one[span] for name, one in values.numbers.items()}
    known = {name: one[np.isfinite(one)] for name, one in numbers.items()}
    known |= {name: np.log(known[name][known[name] > 0]) for name in columns.ratios}
    n_rows = span.stop - span.start
    return Sketch(
        n_rows=n_rows,
        quantiles={name: _quantiles(one) for name, one in known.items() if len(one) >= MIN_ROWS},
        missing={name: float(np.isnan(one).mean()) for name, one in numbers.items()}
        if n_rows
        else {},
        texts={name: _count(values.texts[name], one[span]) for name, one in values.codes.items()},
    )


def _count(texts: NDArray[np.object_], codes: NDArray[np.intp]) -> dict[str, int]:
    counts = np.bincount(codes[codes >= 0], minlength=len(texts))
    found = np.flatnonzero(counts)
    return dict(zip(texts[found].tolist(), counts[found].tolist(), strict=True))


def _quantiles(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Take quantiles at `GRID` of the last axis, as `numpy.quantile` in an eighth of its time."""
    ordered = np.sort(values, axis=-1)
    places = GRID * (values.shape[-1] - 1)
    below = places.astype(int)
    above = np.minimum(below + 1, values.shape[-1] - 1)
    low = ordered[..., below]
    return low + (ordered[..., above] - low) * (places - below)


def judge_values(past: Sequence[Sketch], now: Sketch) -> Verdict:
    """Hold the values of a week to those of the weeks before.

    Parameters
    ----------
    past : sequence of Sketch
        The weeks before; those without enough rows do not count.
    now : Sketch
        The judged week.

    Returns
    -------
    Verdict
        Of the column that is furthest over its limit. For numbers, value and limit are standard
        deviations of the weeks before; for missing values and new texts, shares of rows.
    """
    past = [one for one in past if one.n_rows >= MIN_ROWS]
    if now.n_rows < MIN_ROWS or len(past) < MIN_WEEKS:
        return not_judged(HAS_USUAL_VALUES, f"{now.n_rows} rows, {len(past)} weeks to compare with")
    found = [
        *(_judge_number(name, past, values) for name, values in now.quantiles.items()),
        *(_judge_missing(name, past, share) for name, share in now.missing.items()),
        *(_judge_texts(name, past, counts) for name, counts in now.texts.items()),
    ]
    judged = [one for one in found if one is not None]
    if not judged:
        return not_judged(HAS_USUAL_VALUES, "no column has enough values")
    return worst(HAS_USUAL_VALUES, judged)


def distance(one: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """Measure the Wasserstein distance of weeks from others, in standard deviations of these.

    Parameters
    ----------
    one : array of shape (..., 50)
        Quantiles of each week.
    others : array of shape (..., n_weeks, 50)
        Quantiles of the weeks that each is held to; they weigh the same.

    Returns
    -------
    array of shape (...)
    """
    pooled = others.reshape(*others.shape[:-2], -1)
    scale = np.maximum(pooled.std(axis=-1), MIN_SPREAD)
    return np.abs(one - _quantiles(pooled)).mean(axis=-1) / scale


@cache
def _others(n_weeks: int) -> NDArray[np.intp]:
    """List for each week the weeks beside it, in an array of shape (n_weeks, n_weeks - 1)."""
    return np.array([np.delete(np.arange(n_weeks), i) for i in range(n_weeks)])


def _judge_number(name: str, past: Sequence[Sketch], now: NDArray[np.float64]) -> Verdict | None:
    weeks = np.array([one.quantiles[name] for one in past if name in one.quantiles])
    if len(weeks) < MIN_WEEKS:
        return None
    usual = distance(weeks, weeks[_others(len(weeks))])
    limit = max(MIN_DISTANCE, TIMES_USUAL * float(usual.max()))
    value = float(distance(now, weeks))
    text = f"{name} is shifted by {value:.1f} standard deviations (limit {limit:.1f})"
    return Verdict(HAS_USUAL_VALUES, value <= limit, value, limit, text)


def _judge_missing(name: str, past: Sequence[Sketch], now: float) -> Verdict:
    limit = max(one.missing[name] for one in past) + MORE_MISSING
    text = f"{name} is missing in {now:.0%} of the rows (limit {limit:.0%})"
    return Verdict(HAS_USUAL_VALUES, now <= limit, now, limit, text)


def _judge_texts(name: str, past: Sequence[Sketch], now: Mapping[str, int]) -> Verdict:
    seen: set[str] = set().union(*(one.texts[name] for one in past))
    unseen = sorted(now.keys() - seen, key=lambda text: (-now[text], text))
    share = sum(now[text] for text in unseen) / max(sum(now.values()), 1)
    named = f", such as {', '.join(map(str, unseen[:3]))}" if unseen else ""
    text = f"{name} is new in {share:.0%} of the rows (limit {MAX_UNSEEN:.0%}){named}"
    return Verdict(HAS_USUAL_VALUES, share <= MAX_UNSEEN, share, MAX_UNSEEN, text)
