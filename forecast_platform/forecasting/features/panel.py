"""Dense arrays of one region: weeks down, series across.

Turning frames into arrays belongs here; what is computed from them does not.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast_platform.forecasting.features import compiled
from forecast_platform.forecasting.features.history import History
from forecast_platform.forecasting.features.texts import (
    codes_of_rows,
    levels_and_codes,
    rows_of,
)
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

LARGEST_LOOKED_UP = 2**14
"""Units of a week whose logarithm is looked up [units]."""

_PER_DAY = {"s": 86_400, "ms": 86_400_000, "us": 86_400_000_000, "ns": 86_400_000_000_000}

_FIRST_MONDAY = 4
"""1970-01-05 [days since 1970-01-01]."""


def day_numbers(column: pd.Series, *, missing: int) -> Ints:
    """Return days since 1970-01-01, ``missing`` where there is no date.

    Examples
    --------
    >>> day_numbers(pd.Series(pd.to_datetime(["1970-01-05", None])), missing=-1).tolist()
    [4, -1]
    """
    stamps, per_day = _stamps(column)
    days = np.empty(len(stamps), np.int64)
    compiled.periods(stamps, 0, per_day, missing, days)
    return days


def week_numbers(column: pd.Series) -> Ints:
    """Return weeks since the Monday 1970-01-05; a missing date counts as 1970-01-01.

    Examples
    --------
    >>> week_numbers(pd.Series(pd.to_datetime(["1970-01-05", "1970-01-12"]))).tolist()
    [0, 1]
    """
    stamps, per_day = _stamps(column)
    weeks = np.empty(len(stamps), np.int64)
    compiled.periods(stamps, _FIRST_MONDAY * per_day, 7 * per_day, -1, weeks)
    return weeks


def _stamps(column: pd.Series) -> tuple[Ints, int]:
    """Return the dates as whole numbers, and how many of these make a day."""
    dates = (column if column.dtype.kind == "M" else pd.to_datetime(column)).to_numpy()
    return dates.view(np.int64), _PER_DAY[np.datetime_data(dates.dtype)[0]]


@lru_cache(maxsize=4096)
def monday(week: int) -> pd.Timestamp:
    """Return the Monday that opens week number ``week``.

    Examples
    --------
    >>> monday(1)
    Timestamp('1970-01-12 00:00:00')
    """
    return pd.Timestamp(np.datetime64(int(week) * 7 + _FIRST_MONDAY, "D")).as_unit("us")


def mondays(weeks: Ints) -> NDArray[Any]:
    """Return the Mondays of some week numbers.

    Examples
    --------
    >>> mondays(np.array([1])).astype(str).tolist()
    ['1970-01-12T00:00:00.000000']
    """
    return (7 * weeks + _FIRST_MONDAY).astype("datetime64[D]").astype("datetime64[us]")


def floats_of(column: pd.Series) -> Floats:
    """Return the column as float64, NaN where it is missing."""
    if column.dtype == np.float64:
        return column.to_numpy()
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

    def __getitem__(self, name: str) -> NDArray[Any]:
        """Return a column, in order of the weeks."""
        return self._columns[name]

    def starts(self, n_weeks: int) -> Ints:
        """Return the first row of each of the weeks 0 .. ``n_weeks``."""
        return np.searchsorted(self._weeks, np.arange(n_weeks + 1))

    def as_of(self, week: int) -> dict[str, NDArray[Any]]:
        """Return the rows of the latest week up to ``week``."""
        known = int(np.searchsorted(self._weeks, week + 1))
        return self.at(int(self._weeks[known - 1]) if known else week)


@dataclass(frozen=True)
class Panel:
    """Demand and plans of all series of a region, from its first week to the last cutoff.

    Index ``t`` of a week is its number minus ``first_week``. ``x`` is ``log1p(y)``, NaN where
    there is no row. ``sold_at`` (3, weeks, series) are price, feature and display of each week;
    ``plans`` are those for the weeks after each cutoff, as known at it.
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
    sold_at: Floats
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
        demand, last = history.demand, max(cutoffs)
        weeks = week_numbers(demand[DS])
        if len(weeks) and weeks.max() > last:
            known = weeks <= last
            demand, weeks = demand[known], weeks[known]
        if demand.empty:
            raise ValueError(f"no demand up to {monday(last):%Y-%m-%d}")
        first = int(weeks.min())
        starts = np.empty(len(weeks) + 1, np.int64)
        starts = starts[: compiled.starts_of(weeks, starts)].tolist()
        unique_ids, series = levels_and_codes(demand[UNIQUE_ID], starts)
        units = np.full((last - first + 1, len(unique_ids)), np.nan, np.float32)
        row_of = np.zeros(len(unique_ids), np.int64)
        compiled.scatter(weeks, first, series, floats_of(demand[Y]), units, row_of)
        sold_at = np.empty((3, *units.shape), np.float32)
        stores, store = levels_and_codes(rows_of(demand[STORE_ID], row_of), [0])
        products, product = levels_and_codes(rows_of(demand[PRODUCT_ID], row_of), [0])
        return cls(
            region=str(demand[REGION].iloc[0]),
            first_week=first,
            unique_ids=unique_ids,
            stores=stores,
            products=products,
            store=store,
            product=product,
            units=units,
            x=_logs_of(units),
            sold_at=sold_at,
            plans=_plans(history.prices, unique_ids, first, cutoffs, sold_at),
        )


def _logs_of(units: Floats) -> Floats:
    """Return ``log1p``, 0 of what is negative; looked up, where all units are whole."""
    logs = np.empty_like(units)
    if compiled.look_up(units, _logs_of_whole(), logs):
        return logs
    return np.log1p(np.maximum(units, 0))


@lru_cache(maxsize=1)
def _logs_of_whole() -> Floats:
    return np.log1p(np.arange(LARGEST_LOOKED_UP + 1, dtype=np.float32))


def _plans(
    prices: pd.DataFrame, unique_ids: pd.Index, first: int, cutoffs: Sequence[int], sold_at: Floats
) -> WeekRows:
    """Write what happened to ``sold_at``, and return the plans as known at the cutoffs."""
    is_cutoff = np.zeros(sold_at.shape[1], bool)
    is_cutoff[[week - first for week in cutoffs if week >= first]] = True
    stamps, per_day = _stamps(prices[WEEK])
    h, monday_of_first = prices[H].to_numpy(np.int64), (first * 7 + _FIRST_MONDAY) * per_day
    rows, weeks, starts = np.empty((3, len(prices)), np.int64)
    n, n_runs = compiled.known_rows(
        stamps, h, monday_of_first, 7 * per_day, is_cutoff, rows, weeks, starts
    )
    rows, weeks, starts = rows[:n], weeks[:n], starts[:n_runs].tolist()
    series = codes_of_rows(prices[UNIQUE_ID], unique_ids, rows, starts)
    values, ahead = tuple(floats_of(prices[name]) for name in PLAN_COLUMNS), np.empty_like(rows)
    ahead = ahead[: compiled.place_plans(rows, weeks, series, h, values, sold_at, ahead)]
    at = rows[ahead]
    columns = {
        name: one[at].astype(np.float32) for name, one in zip(PLAN_COLUMNS, values, strict=True)
    }
    return WeekRows(weeks[ahead], columns | {"series": series[ahead], "h": h[at]})
