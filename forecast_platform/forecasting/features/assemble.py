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
from forecast_platform.forecasting.features.panel import Floats, Ints, Panel, monday, week_numbers
from forecast_platform.forecasting.features.prices import (
    shelves_of,
    write_like_prices,
    write_rivals,
)
from forecast_platform.forecasting.features.promotions import write_plans
from forecast_platform.forecasting.features.response import Response
from forecast_platform.forecasting.features.stores import NEVER, UNKNOWN, Masters, Snapshot
from forecast_platform.forecasting.features.texts import BLOCK_ROWS
from forecast_platform.forecasting.features.velocity import VELOCITY_WEEKS, is_fast
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

_CODES = ("series", "velocity", "format", "category", "brand")
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

    def build(self) -> pd.DataFrame:
        """Pass over all weeks and return the table."""
        first, alive = self.panel.first_week, self._alive()
        runs = _Runs.of(alive)
        codes = np.empty((len(_CODES) + len(_EVENTS), runs.n_rows), np.int32)
        numbers = np.empty((N_COLUMNS, runs.n_rows), np.float32)
        stop = 0
        for week, (master, ahead) in alive.items():
            self.learnt.absorb(week - first)
            cutoff = _Cutoff(self, week - first, master)
            for h, series in enumerate(ahead, 1):
                start, stop = stop, stop + len(series)
                cutoff.write(h, series, codes[:, start:stop], numbers[:, start:stop])
        return self._table(runs, codes, numbers)

    def _alive(self) -> dict[int, tuple[Snapshot, list[Ints]]]:
        """Return, by cutoff, the master data and the series to forecast h = 1 .. horizon ahead."""
        since = self.panel.first_week + compiled.first_known(self.panel.x, NEVER)
        alive = {}
        for week in self.cutoffs:
            if week >= self.panel.first_week:
                master, seen = self.masters.as_of(week), since <= week
                ahead = range(week + 1, week + self.horizon + 1)
                rows = [master.alive(self.panel, ds) & seen for ds in ahead]
                alive[week] = master, [np.flatnonzero(row).astype(np.int32) for row in rows]
        if not alive:
            raise ValueError("every cutoff is before the first week of demand")
        return alive

    def velocity(self, t: int, master: Snapshot) -> Ints:
        """Return 1 for each series of a fast product (see `velocity`), else 0."""
        panel, n = self.panel, len(self.panel.products)
        units = panel.units[max(0, t - VELOCITY_WEEKS + 1) : t + 1].astype(np.float64)
        total, rows = np.nansum(units, axis=0), (~np.isnan(units)).sum(axis=0)
        result = np.zeros(panel.n_series, np.int64)
        for code in range(len(FORMATS)):
            here = master.format[panel.store] == code
            n_rows = np.bincount(panel.product[here], rows[here], n)
            volume = np.bincount(panel.product[here], total[here], n) / np.maximum(n_rows, 1)
            result[here] = is_fast(volume, n_rows > 0)[panel.product[here]]
        return result

    def _table(self, runs: "_Runs", codes: Ints, numbers: Floats) -> pd.DataFrame:
        """Name the codes and put the columns together."""
        of = dict(zip(_CODES + _EVENTS, codes, strict=True))
        panel, series, stops = self.panel, of["series"], runs.stops

        def texts(names: Sequence[str] | pd.Index, codes: Ints) -> pd.Series:
            return _texts(pd.Series(names, dtype="str"), codes, stops)

        columns = {
            REGION: texts([panel.region], np.zeros_like(series)),
            WEEK: runs.spread(_mondays(runs.week)),
            UNIQUE_ID: texts(panel.unique_ids, series),
            STORE_ID: texts(panel.stores, panel.store[series]),
            PRODUCT_ID: texts(panel.products, panel.product[series]),
            DS: runs.spread(_mondays(runs.week + runs.h)),
            H: runs.spread(runs.h),
            FORMAT: texts(FORMATS, of["format"]),
            VELOCITY: texts(VELOCITIES, of["velocity"]),
            SEGMENT: texts(_segments(), of["format"] * len(VELOCITIES) + of["velocity"]),
            "category": texts(_or_unknown(self.masters.categories), of["category"]),
            "brand": texts(_or_unknown(self.masters.brands), of["brand"]),
        }
        events = names_with_none(self.calendar.names)
        columns |= {name: texts(events, of[name]) for name in _EVENTS}
        weeks_of_year = [week_of_year(week) for week in (runs.week + runs.h).tolist()]
        columns["week_of_year"] = texts(weeks_of_year, runs.spread(np.arange(len(runs.week))))
        keys = pd.DataFrame(columns)
        table = pd.DataFrame(numbers.T, columns=list(NUMERIC_FEATURES), copy=False)
        return pd.concat([keys, table], axis=1)


@dataclass(frozen=True)
class _Runs:
    """Runs of rows of one cutoff and week ahead, in the order of the table."""

    week: Ints
    h: Ints
    stops: list[int]

    @classmethod
    def of(cls, alive: Mapping[int, tuple[Snapshot, Sequence[Ints]]]) -> "_Runs":
        """Line up the series to forecast from each cutoff."""
        runs = [
            (week, h, len(series))
            for week, (_, ahead) in alive.items()
            for h, series in enumerate(ahead, 1)
        ]
        week, h, n_rows = np.array(runs, np.int64).T
        return cls(week, h, np.cumsum(n_rows).tolist())

    @property
    def n_rows(self) -> int:
        """Rows of the table."""
        return self.stops[-1]

    def spread(self, values: np.ndarray) -> np.ndarray:
        """Repeat a value per run for each of its rows."""
        return np.repeat(values, np.diff(self.stops, prepend=0))


class _Cutoff:
    """What is known at one cutoff: columns that all weeks ahead share, and those that differ."""

    def __init__(self, builder: _Builder, t: int, master: Snapshot) -> None:
        panel, learnt, columns = builder.panel, builder.learnt, builder.columns
        self._t, self._panel, self._learnt, self._columns = t, panel, learnt, columns
        self._week = panel.first_week + t
        is_large = master.format == FORMATS.index("large")
        shared = columns[0]
        write_levels(t, panel, learnt, shared)
        write_strength(t, panel, learnt, is_large[panel.store].astype(np.int64), shared)
        _write_master(master, panel, is_large, shared[MASTER])
        clean = learnt.weeks.level[t] - learnt.series.base
        self._plan = write_plans(t, panel, learnt, clean, columns)
        write_like_prices(t, self._plan, panel, learnt, columns)
        self._codes = {
            "velocity": builder.velocity(t, master),
            "format": master.format[panel.store],
            "category": master.category[panel.product],
            "brand": master.brand[panel.product],
        }
        self._events = builder.calendar.ahead(t)
        self._weather, self._zips = builder.weather.at(t, builder.horizon), master.zip[panel.store]
        self._event_lifts = learnt.event_lifts()
        n_categories = len(builder.masters.categories) + 1
        self._shelves = shelves_of(panel.store * n_categories + self._codes["category"] + 1)

    def write(self, h: int, series: Ints, codes: Ints, numbers: Floats) -> None:
        """Write the rows h weeks ahead, one per given series, to columns of the table's arrays."""
        alive = np.zeros(self._panel.n_series, bool)
        alive[series] = True
        columns, learnt = self._columns[h - 1], self._learnt
        write_year_ago(self._t, h, self._panel, learnt, columns)
        write_chain(self._t, h, self._plan, learnt, alive, columns)
        write_rivals(h, self._plan, self._shelves, alive, columns)
        write_weather(self._weather[h - 1], self._zips, columns)
        write_events(h, self._events, learnt, self._event_lifts, columns)
        columns[SEASON], columns[WEEKS_AHEAD] = season_of(self._week + h), h
        compiled_columns.take(columns, self._columns[0], _SHARED, series, numbers)
        everyone = slice(None) if len(series) == len(alive) else series
        of = {"series": series}
        of |= {name: values[everyone] for name, values in self._codes.items()}
        for place, name in zip((h, h + 1, h - 1), _EVENTS, strict=True):
            of[name] = self._events[0][place][self._panel.store[everyone]]
        for row, name in zip(codes, _CODES + _EVENTS, strict=True):
            row[:] = of[name]


def _write_master(master: Snapshot, panel: Panel, is_large: np.ndarray, out: Floats) -> None:
    of_store = np.vstack([master.shoppers, is_large])
    size = master.package_size
    missing = ~(size > 0)
    log_size = np.log(size, out=np.zeros_like(size), where=~missing)
    compiled_columns.spread(of_store, panel.store, out[: len(of_store)])
    compiled_columns.spread(np.stack([log_size, missing]), panel.product, out[len(of_store) :])


def _texts(names: pd.Series, codes: Ints, stops: Sequence[int]) -> pd.Series:
    """Return the names of the codes; -1 is the last name.

    ``stops`` are of runs of rows. One that repeats the run before shares its memory.
    """
    known = pa.array(names)
    known = known.combine_chunks() if isinstance(known, pa.ChunkedArray) else known
    chunks, chunk, start, before = [], known.slice(0, 0), 0, codes[:0]
    for stop in stops if len(codes) > BLOCK_ROWS * len(stops) else [len(codes)]:
        block = codes[start:stop]
        if not np.array_equal(block, before):
            chunk = known.take(pa.array(np.where(block < 0, len(names) - 1, block)))
        chunks.append(chunk)
        start, before = stop, block
    return pd.Series(pd.array(pa.chunked_array(chunks), dtype="str"))


def _mondays(weeks: Ints) -> np.ndarray:
    return np.array([monday(w).to_datetime64() for w in weeks], "datetime64[us]")


def _segments() -> list[str]:
    return [f"{name}_{velocity}" for name in FORMATS for velocity in VELOCITIES]


def _or_unknown(names: pd.Index) -> pd.Index:
    return names.append(pd.Index([UNKNOWN], dtype="str"))
