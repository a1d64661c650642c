"""Dense arrays of one region: weeks down, series across.

Turning frames into arrays belongs here; what is computed from them does not.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Self

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from forecast_platform.forecasting.features.history import History
from forecast_platform.vocabulary import (
    DS,
    PRODUCT_ID,
    REGION,
    STORE_ID,
    UNIQUE_ID,
    WEEK,
    H,
    Y,
)

Floats = NDArray[np.floating[Any]]
Ints = NDArray[np.integer[Any]]
Bools = NDArray[np.bool_]

PLAN_COLUMNS = ("price", "feature", "display")

_PER_DAY = {"s": 86_400, "ms": 86_400_000, "us": 86_400_000_000, "ns": 86_400_000_000_000}

BLOCK_ROWS = 256
"""Rows per week from which a week's texts are compared with those of the week before."""

_FIRST_MONDAY = 4
"""1970-01-05 [days since 1970-01-01]."""


def day_numbers(column: pd.Series, *, missing: int) -> Ints:
    """Return days since 1970-01-01, ``missing`` where there is no date.

    Examples
    --------
    >>> day_numbers(pd.Series(pd.to_datetime(["1970-01-05", None])), missing=-1).tolist()
    [4, -1]
    """
    dates = pd.to_datetime(column).to_numpy()
    starts = np.flatnonzero(np.append(True, dates[1:] != dates[:-1])[: len(dates)])
    if len(starts) < len(dates) // 8:  # few runs of one date, as in a table in order of its weeks
        each = _days(dates[starts], missing)
        return np.repeat(each, np.diff(starts, append=len(dates)))
    return _days(dates, missing)


def _days(dates: NDArray[np.datetime64], missing: int) -> Ints:
    days = dates.view(np.int64) // _PER_DAY[np.datetime_data(dates.dtype)[0]]
    return np.where(np.isnat(dates), missing, days)


def week_numbers(column: pd.Series) -> Ints:
    """Return weeks since the Monday 1970-01-05.

    Examples
    --------
    >>> week_numbers(pd.Series(pd.to_datetime(["1970-01-05", "1970-01-12"]))).tolist()
    [0, 1]
    """
    return (day_numbers(column, missing=0) - _FIRST_MONDAY) // 7


def monday(week: int) -> pd.Timestamp:
    """Return the Monday that opens week number ``week``.

    Examples
    --------
    >>> monday(1)
    Timestamp('1970-01-12 00:00:00')
    """
    return pd.Timestamp(np.datetime64(int(week) * 7 + _FIRST_MONDAY, "D")).as_unit("us")


def levels_of(column: pd.Series) -> pd.Index:
    """Return the sorted distinct texts of a column."""
    texts = pc.drop_null(pc.unique(pa.array(column.astype("str"))))  # pyright: ignore[reportAttributeAccessIssue]
    return pd.Index(sorted(texts.to_pylist()), dtype="str")


def codes_of(column: pd.Series, levels: pd.Index, weeks: Ints | None = None) -> Ints:
    """Return the position of each text in ``levels``, -1 where it is missing or unknown.

    With the ``weeks`` of the rows, a week that names the same as the one before is not looked up
    again: comparing texts costs a tenth of finding them.

    Examples
    --------
    >>> codes_of(pd.Series(["b", None, "z"]), pd.Index(["a", "b"])).tolist()
    [1, -1, -1]
    """
    codes = np.full(len(column), -1, np.int64)
    if levels.empty or column.empty:
        return codes
    texts = pa.array(column.astype("str"))
    texts = texts.combine_chunks() if isinstance(texts, pa.ChunkedArray) else texts
    names = pa.array(levels.to_list(), texts.type)
    starts = np.array([0]) if weeks is None else np.flatnonzero(np.diff(weeks, prepend=-1))
    if len(starts) * BLOCK_ROWS > len(codes):
        starts = np.array([0])
    before, known = texts.slice(0, 0), codes[:0]
    for start, stop in pairwise([*starts.tolist(), len(codes)]):
        here = texts.slice(start, stop - start)
        if not here.equals(before):
            found = pc.index_in(here, value_set=names)  # pyright: ignore[reportAttributeAccessIssue]
            known = found.fill_null(-1).to_numpy(zero_copy_only=False)
            before = here
        codes[start:stop] = known
    return codes


def floats_of(column: pd.Series) -> Floats:
    """Return the column as float64, NaN where it is missing."""
    return pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)


class WeekRows:
    """Columns of a table, sorted by week, so that the rows known at one week are a slice."""

    def __init__(self, weeks: Ints, columns: Mapping[str, NDArray[Any]]) -> None:
        self._weeks, self._columns = weeks, dict(columns)
        if (weeks[1:] < weeks[:-1]).any():
            order = np.argsort(weeks, kind="stable")
            self._weeks = weeks[order]
            self._columns = {name: values[order] for name, values in columns.items()}

    def at(self, week: int) -> dict[str, NDArray[Any]]:
        """Return the rows of exactly this week."""
        first, last = np.searchsorted(self._weeks, [week, week + 1])
        return {name: values[first:last] for name, values in self._columns.items()}

    def as_of(self, week: int) -> dict[str, NDArray[Any]]:
        """Return the rows of the latest week up to ``week``."""
        known = int(np.searchsorted(self._weeks, week + 1))
        return self.at(int(self._weeks[known - 1]) if known else week)


@dataclass(frozen=True)
class Panel:
    """Demand and plans of all series of a region, from its first week to the last cutoff.

    Index ``t`` of a week is its number minus ``first_week``. ``x`` is ``log1p(y)``, NaN where
    there is no row.
    """

    region: str
    first_week: int
    unique_ids: pd.Index
    stores: pd.Index
    products: pd.Index
    store: Ints
    product: Ints
    units: Floats
    x: Floats
    plans: WeekRows

    @property
    def n_weeks(self) -> int:
        """Return the number of weeks [weeks]."""
        return self.x.shape[0]

    @property
    def n_series(self) -> int:
        """Return the number of series."""
        return self.x.shape[1]

    @classmethod
    def of(cls, history: History, cutoffs: Sequence[int]) -> Self:
        """Scatter the rows up to the last of ``cutoffs`` (week numbers) into arrays."""
        demand = history.demand
        weeks = week_numbers(demand[DS])
        known = weeks <= max(cutoffs)
        demand, weeks = demand[known], weeks[known]
        if demand.empty:
            raise ValueError(f"no demand up to {monday(max(cutoffs)):%Y-%m-%d}")
        unique_ids, first = levels_of(demand[UNIQUE_ID]), int(weeks.min())
        series = codes_of(demand[UNIQUE_ID], unique_ids, weeks)
        units = np.full((max(cutoffs) - first + 1, len(unique_ids)), np.nan, np.float32)
        units[weeks - first, series] = floats_of(demand[Y])
        stores, products = levels_of(demand[STORE_ID]), levels_of(demand[PRODUCT_ID])
        row_of = np.zeros(len(unique_ids), np.int64)
        row_of[series] = np.arange(len(series))
        return cls(
            region=str(demand[REGION].iloc[0]),
            first_week=first,
            unique_ids=unique_ids,
            stores=stores,
            products=products,
            store=codes_of(demand[STORE_ID].iloc[row_of], stores),
            product=codes_of(demand[PRODUCT_ID].iloc[row_of], products),
            units=units,
            x=np.log1p(np.maximum(units, 0)),
            plans=_plans(history.prices, unique_ids, first, cutoffs),
        )


def _plans(
    prices: pd.DataFrame, unique_ids: pd.Index, first: int, cutoffs: Sequence[int]
) -> WeekRows:
    """Keep what happened (h = 0), and the plans as known at the cutoffs."""
    weeks, h = week_numbers(prices[WEEK]), prices[H].to_numpy(np.int64)
    wanted = ((h == 0) | np.isin(weeks, cutoffs)) & (weeks >= first) & (weeks <= max(cutoffs))
    rows = np.flatnonzero(wanted)
    weeks, h = weeks[rows] - first, h[rows]
    series = codes_of(prices[UNIQUE_ID].take(rows), unique_ids, weeks)
    columns = {n: floats_of(prices[n])[rows].astype(np.float32) for n in PLAN_COLUMNS}
    columns |= {"series": series, "h": h}
    known = series >= 0
    if not known.all():
        weeks, columns = weeks[known], {name: v[known] for name, v in columns.items()}
    return WeekRows(weeks, columns)
