"""Build the feature table: one row per cutoff, week ahead and series alive in that week.

The families of features are computed in their own modules; here they become rows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa

from forecast_platform.forecasting.features import compiled, compiled_columns
from forecast_platform.forecasting.features.calendar import (
    SEASON,
    Calendar,
    names_with_none,
    season_of,
    week_of_year,
    write_events,
)
from forecast_platform.forecasting.features.chain import write_chain
from forecast_platform.forecasting.features.columns import N_COLUMNS, stretch
from forecast_platform.forecasting.features.compiled_shelves import Shelves
from forecast_platform.forecasting.features.demand import (
    LEVELS,
    PROMOTION_HISTORY,
    SHAPE,
    STRENGTH,
    write_levels,
    write_strength,
    write_year_ago,
)
from forecast_platform.forecasting.features.history import History
from forecast_platform.forecasting.features.panel import (
    Bools,
    Floats,
    Ints,
    Panel,
    mondays,
    week_numbers,
)
from forecast_platform.forecasting.features.prices import (
    shelves_of,
    write_like_prices,
    write_rivals,
)
from forecast_platform.forecasting.features.promotions import write_plans
from forecast_platform.forecasting.features.response import Response
from forecast_platform.forecasting.features.stores import NEVER, UNKNOWN, Masters, Snapshot
from forecast_platform.forecasting.features.texts import BLOCK_ROWS
from forecast_platform.forecasting.features.velocity import VELOCITY_WEEKS
from forecast_platform.forecasting.features.weather import Weather, write_weather
from forecast_platform.vocabulary import (
    DS,
    FORMAT,
    FORMATS,
    NUMERIC_FEATURES,
    PRODUCT_ID,
    REGION,
    SEGMENT,
    SHOPPER_COLUMNS,
    STORE_ID,
    UNIQUE_ID,
    VELOCITIES,
    VELOCITY,
    WEEK,
    H,
)

LONGEST_HORIZON = 26
"""Beyond it the three weeks around the target of last year come close to the cutoff [weeks]."""

MASTER = stretch(*SHOPPER_COLUMNS, "is_large_format", "log_package_size", "package_size_missing")
WEEKS_AHEAD = stretch("weeks_ahead")

_SHARED = np.zeros(N_COLUMNS, bool)
"""Columns that all weeks ahead share."""
for _rows in (LEVELS, SHAPE, STRENGTH, PROMOTION_HISTORY, MASTER):
    _SHARED[_rows] = True

_CODES = ("velocity", "format", "category", "brand")
_EVENTS = ("event", "event_next", "event_previous")


def build_features(history: History, cutoffs: Sequence[pd.Timestamp], horizon: int) -> pd.DataFrame:
    """Compute the features of every series for the weeks after each cutoff.

    Parameters
    ----------
    history : History
        Marts of one region. For a cutoff, only rows known at its close are read.
    cutoffs : sequence of pandas.Timestamp
        Mondays; the order does not matter.
    horizon : int
        Weeks ahead, from 1 [weeks].

    Returns
    -------
    pandas.DataFrame
        One row per cutoff (``week``), ``h`` and ``unique_id``, in this order, whose store is open
        and whose product is listed in ``ds``: keys, text columns, and `NUMERIC_FEATURES` as
        float32 without missing values. No label.

    Raises
    ------
    ValueError
        If there is no cutoff, no demand up to the last of them, or the horizon is not
        1 .. 26 weeks.
    """
    if not len(cutoffs):
        raise ValueError("no cutoff to build features for")
    if not 1 <= horizon <= LONGEST_HORIZON:
        raise ValueError(f"horizon must be 1 .. {LONGEST_HORIZON} weeks, got {horizon}")
    weeks = sorted(set(week_numbers(pd.Series(list(cutoffs))).tolist()))
    return _Builder(history, weeks, horizon).build()


class _Builder:
    """One pass over the weeks of a region that stops at each cutoff to write its rows."""

    def __init__(self, history: History, cutoffs: Sequence[int], horizon: int) -> None:
        self.cutoffs, self.horizon = cutoffs, horizon
        self.panel = Panel.of(history, cutoffs)
        first, n_weeks = self.panel.first_week, self.panel.n_weeks
        self.weather = Weather(history, first, n_weeks, cutoffs)
        self.masters = Masters(history, self.panel, self.weather.zips)
        self.calendar = Calendar(history, self.panel, cutoffs, horizon)
        self.learnt = Response(self.panel, self.calendar.now, len(self.calendar.names))
        self.columns = np.empty((horizon, N_COLUMNS, self.panel.n_series), np.float32)
        self.of_master: _OfMaster | None = None

    def build(self) -> pd.DataFrame:
        """Pass over all weeks and return the table."""
        first, alive = self.panel.first_week, self._alive()
        runs = _Runs.of(alive)
        codes = np.empty((1 + len(_CODES) + len(_EVENTS), runs.n_rows), np.int32)
        numbers = np.empty((N_COLUMNS, runs.n_rows), np.float32)
        start = 0
        for week, (master, ahead) in alive.items():
            self.learnt.absorb(week - first)
            self._write(week - first, master, ahead)
            of_series = self._codes(week - first, master)
            store, events = self.panel.store, self.calendar.ahead(week - first)[0]
            compiled_columns.take(self.columns, _SHARED, ahead, start, numbers)
            compiled_columns.take_codes(of_series, events, store, ahead, start, codes)
            start += int(ahead.sum())
        return self._table(runs, codes, numbers)

    def _alive(self) -> dict[int, tuple[Snapshot, Bools]]:
        """Return, by cutoff, the master data, and the series alive h = 1 .. horizon ahead."""
        since = self.panel.first_week + compiled.first_known(self.panel.x, NEVER)
        alive = {}
        for week in self.cutoffs:
            if week >= self.panel.first_week:
                master = self.masters.as_of(week)
                ahead = master.alive(self.panel, week + 1, self.horizon)
                alive[week] = master, ahead & (since <= week)
        if not alive:
            raise ValueError("every cutoff is before the first week of demand")
        return alive

    def _write(self, t: int, master: Snapshot, alive: Bools) -> None:
        """Write the columns of a cutoff; those that all weeks ahead share, to the first of them."""
        panel, learnt, columns = self.panel, self.learnt, self.columns
        shared, of_master = columns[0], self._of(master)
        write_levels(t, panel, learnt, shared)
        write_strength(t, panel, learnt, of_master.is_large, shared)
        clean = learnt.weeks.level[t] - learnt.series.base
        plan = write_plans(t, panel, learnt, clean, columns)
        write_like_prices(t, plan, panel, learnt, columns)
        write_year_ago(t, panel, learnt, columns)
        write_chain(plan, learnt, alive, columns)
        write_rivals(plan, of_master.shelves, alive, columns)
        write_weather(self.weather.at(t, self.horizon), of_master.zips, columns)
        write_events(self.calendar.ahead(t), learnt, columns)
        for h in range(1, self.horizon + 1):
            columns[h - 1, SEASON], columns[h - 1, WEEKS_AHEAD] = (
                season_of(panel.first_week + t + h),
                h,
            )

    def _of(self, master: Snapshot) -> "_OfMaster":
        """Write the columns of master data, unless they are those of the cutoff before."""
        if self.of_master is None or self.of_master.master is not master:
            n_categories = len(self.masters.categories) + 1
            self.of_master = _OfMaster.of(master, self.panel, n_categories)
            self.of_master.write(self.panel, self.columns[0][MASTER])
        return self.of_master

    def _codes(self, t: int, master: Snapshot) -> Ints:
        """Return the codes of `_CODES` of each series at a cutoff."""
        panel, n = self.panel, len(self.panel.products)
        of_format = master.format[panel.store]
        units = panel.units[max(0, t - VELOCITY_WEEKS + 1) : t + 1]
        fast = compiled_columns.fast_products(units, of_format, panel.product, n, len(FORMATS))
        velocity = (fast[of_format, panel.product] & (of_format >= 0)).astype(np.int64)
        category, brand = master.category[panel.product], master.brand[panel.product]
        return np.stack([velocity, of_format, category, brand])

    def _table(self, runs: "_Runs", codes: Ints, numbers: Floats) -> pd.DataFrame:
        """Name the codes and put the columns together."""
        of = dict(zip(("series", *_CODES, *_EVENTS), codes, strict=True))
        panel, series = self.panel, of["series"]
        events = names_with_none(self.calendar.names)
        texts = {
            REGION: ([panel.region], np.zeros_like(series)),
            UNIQUE_ID: (panel.unique_ids, series),
            STORE_ID: (panel.stores, panel.store[series]),
            PRODUCT_ID: (panel.products, panel.product[series]),
            FORMAT: (FORMATS, of["format"]),
            VELOCITY: (VELOCITIES, of["velocity"]),
            SEGMENT: (_segments(), of["format"] * len(VELOCITIES) + of["velocity"]),
            "category": (_or_unknown(self.masters.categories), of["category"]),
            "brand": (_or_unknown(self.masters.brands), of["brand"]),
            **{name: (events, of[name]) for name in _EVENTS},
            "week_of_year": (runs.weeks_of_year(), runs.spread(np.arange(len(runs.week)))),
        }
        named = {name: _texts(known, code, runs.stops) for name, (known, code) in texts.items()}
        keys = pa.table(named).to_pandas()
        keys.insert(1, WEEK, runs.spread(mondays(runs.week)))
        keys.insert(5, DS, runs.spread(mondays(runs.week + runs.h)))
        keys.insert(6, H, runs.spread(runs.h))
        table = pd.DataFrame(numbers.T, columns=list(NUMERIC_FEATURES), copy=False)
        return pd.concat([keys, table], axis=1)


@dataclass(frozen=True)
class _Runs:
    """Runs of rows of one cutoff and week ahead, in the order of the table."""

    week: Ints
    h: Ints
    stops: list[int]

    @classmethod
    def of(cls, alive: Mapping[int, tuple[Snapshot, Bools]]) -> "_Runs":
        """Line up the series to forecast from each cutoff."""
        runs = [
            (week, h, n)
            for week, (_, ahead) in alive.items()
            for h, n in enumerate(ahead.sum(axis=1).tolist(), 1)
        ]
        week, h, n_rows = np.array(runs, np.int64).T
        return cls(week, h, np.cumsum(n_rows).tolist())

    @property
    def n_rows(self) -> int:
        """Rows of the table."""
        return self.stops[-1]

    def weeks_of_year(self) -> list[str]:
        """Return the ISO week of each run's target."""
        return [week_of_year(week) for week in (self.week + self.h).tolist()]

    def spread(self, values: np.ndarray) -> np.ndarray:
        """Repeat a value per run for each of its rows."""
        return np.repeat(values, np.diff(self.stops, prepend=0))


@dataclass(frozen=True)
class _OfMaster:
    """What master data say of stores and of series, worked out once while they stay the same."""

    master: Snapshot
    is_large: Bools
    zips: Ints
    shelves: Shelves

    @classmethod
    def of(cls, master: Snapshot, panel: Panel, n_categories: int) -> "_OfMaster":
        """Work out whose format is large, zips, and which series share a shelf."""
        category = master.category[panel.product] + 1
        shelves = shelves_of(panel.store * n_categories + category)
        return cls(
            master, master.format == FORMATS.index("large"), master.zip[panel.store], shelves
        )

    def write(self, panel: Panel, out: Floats) -> None:
        """Write the columns of stores and products."""
        of_store = np.vstack([self.master.shoppers, self.is_large])
        size = self.master.package_size
        missing = ~(size > 0)
        log_size = np.log(size, out=np.zeros_like(size), where=~missing)
        compiled_columns.spread(of_store, panel.store, out[: len(of_store)])
        compiled_columns.spread(np.stack([log_size, missing]), panel.product, out[len(of_store) :])


def _texts(names: Sequence[str] | pd.Index, codes: Ints, stops: Sequence[int]) -> pa.ChunkedArray:
    """Return the names of the codes; -1 is the last name.

    ``stops`` are of runs of rows. One that repeats the run before shares its memory.
    """
    known = pa.array(names, pa.large_string())
    known = known.combine_chunks() if isinstance(known, pa.ChunkedArray) else known
    chunks, chunk, start, before = [], known.slice(0, 0), 0, codes[:0]
    for stop in stops if len(codes) > BLOCK_ROWS * len(stops) else [len(codes)]:
        block = codes[start:stop]
        if not np.array_equal(block, before):
            chunk = known.take(pa.array(np.where(block < 0, len(names) - 1, block)))
        chunks.append(chunk)
        start, before = stop, block
    return pa.chunked_array(chunks)


def _segments() -> list[str]:
    return [f"{name}_{velocity}" for name in FORMATS for velocity in VELOCITIES]


def _or_unknown(names: pd.Index) -> pd.Index:
    return names.append(pd.Index([UNKNOWN], dtype="str"))
