"""Build the feature table: one row per cutoff, week ahead and series alive in that week.

The families of features are computed in their own modules; here they become rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from forecast_platform.forecasting.features.calendar import (
    Calendar,
    lift_of,
    names_with_none,
    season_of,
    week_of_year,
)
from forecast_platform.forecasting.features.demand import levels_at, strength_at, year_ago_at
from forecast_platform.forecasting.features.history import History
from forecast_platform.forecasting.features.panel import (
    Bools,
    Floats,
    Ints,
    Panel,
    monday,
    week_numbers,
)
from forecast_platform.forecasting.features.promotions import (
    Plan,
    competition_at,
    kernels_at,
    lifts_at,
    pauses_at,
    plan_at,
    similar_weeks_at,
)
from forecast_platform.forecasting.features.response import Response
from forecast_platform.forecasting.features.stores import UNKNOWN, Masters, Snapshot
from forecast_platform.forecasting.features.velocity import VELOCITY_WEEKS, is_fast
from forecast_platform.forecasting.features.weather import Weather
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

_CODES = ("series", "week", "h", "velocity", "format", "category", "brand")
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


@dataclass
class _Rows:
    """Codes and numbers of the rows of one cutoff."""

    codes: Ints
    numbers: Floats


class _Builder:
    """One pass over the weeks of a region that stops at each cutoff to write its rows."""

    def __init__(self, history: History, cutoffs: Sequence[int], horizon: int) -> None:
        self.cutoffs, self.horizon = cutoffs, horizon
        self.panel = Panel.of(history, cutoffs)
        first, n_weeks = self.panel.first_week, self.panel.n_weeks
        self.weather = Weather(history, first, n_weeks, cutoffs)
        self.masters = Masters(history, self.panel, self.weather.zips)
        self.calendar = Calendar(history, self.panel, cutoffs)
        self.learnt = Response(self.panel, len(self.calendar.names))

    def build(self) -> pd.DataFrame:
        """Pass over all weeks and return the table."""
        first, wanted = self.panel.first_week, set(self.cutoffs)
        parts = []
        for t in range(self.panel.n_weeks):
            self.learnt.absorb(t, self.calendar.known_at(t, 0)[0])
            if first + t in wanted:
                cutoff = _Cutoff(self, t)
                parts += [cutoff.rows(h) for h in range(1, self.horizon + 1)]
        if not parts:
            raise ValueError("every cutoff is before the first week of demand")
        codes = np.concatenate([part.codes for part in parts], axis=1)
        numbers = np.concatenate([part.numbers for part in parts], axis=1)
        return self._table(codes, numbers)

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

    def _table(self, codes: Ints, numbers: Floats) -> pd.DataFrame:
        """Name the codes and put the columns together."""
        of = dict(zip(_CODES + _EVENTS, codes, strict=True))
        panel, series = self.panel, of["series"]
        columns = {
            REGION: _texts(pd.Index([panel.region]), np.zeros_like(series)),
            WEEK: _mondays(of["week"]),
            UNIQUE_ID: _texts(panel.unique_ids, series),
            STORE_ID: _texts(panel.stores, panel.store[series]),
            PRODUCT_ID: _texts(panel.products, panel.product[series]),
            DS: _mondays(of["week"] + of["h"]),
            H: of["h"].astype(np.int64),
            FORMAT: _texts(pd.Index(FORMATS), of["format"]),
            VELOCITY: _texts(pd.Index(VELOCITIES), of["velocity"]),
            SEGMENT: _texts(_segments(), of["format"] * len(VELOCITIES) + of["velocity"]),
            "category": _texts(_or_unknown(self.masters.categories), of["category"]),
            "brand": _texts(_or_unknown(self.masters.brands), of["brand"]),
        }
        events = names_with_none(self.calendar.names)
        columns |= {name: _texts(events, of[name]) for name in _EVENTS}
        columns["week_of_year"] = _weeks_of_year(of["week"] + of["h"])
        keys = pd.DataFrame(columns)
        table = pd.DataFrame(numbers.T, columns=list(NUMERIC_FEATURES), copy=False)
        return pd.concat([keys, table], axis=1)


class _Cutoff:
    """What is known at one cutoff: columns that all weeks ahead share, and those that differ."""

    def __init__(self, builder: _Builder, t: int) -> None:
        panel, learnt = builder.panel, builder.learnt
        self._t, self._panel, self._learnt = t, panel, learnt
        self._week, self._calendar = panel.first_week + t, builder.calendar
        self._master = master = builder.masters.as_of(self._week)
        is_large = (master.format == FORMATS.index("large")).astype(np.int64)[panel.store]
        self._fixed = levels_at(t, panel, learnt) | strength_at(t, panel, learnt, is_large)
        self._fixed |= _master_columns(master, panel, is_large)
        self._codes = {
            "velocity": builder.velocity(t, master),
            "format": master.format[panel.store],
            "category": master.category[panel.product],
            "brand": master.brand[panel.product],
        }
        self._plan = Plan.at(t, builder.horizon, panel, learnt)
        self._weather = builder.weather.at(t, builder.horizon, master.zip[panel.store])
        self._pauses = pauses_at(t, builder.horizon, self._plan, learnt)
        self._kernels = kernels_at(t, panel, learnt)
        self._event_lifts = learnt.event_lifts()
        n_categories = len(builder.masters.categories) + 1
        self._shelf = panel.store * n_categories + master.category[panel.product] + 1

    def rows(self, h: int) -> _Rows:
        """Return the rows h weeks ahead, one per series alive then."""
        alive = self._master.alive(self._panel, self._week + h) & (self._learnt.first >= 0)
        series = np.flatnonzero(alive)
        columns, events = self._ahead(h, alive)
        columns = self._fixed | columns
        numbers = np.empty((len(NUMERIC_FEATURES), len(series)), np.float32)
        for row, name in zip(numbers, NUMERIC_FEATURES, strict=True):
            value = columns[name]
            row[:] = value[series] if isinstance(value, np.ndarray) else value
        codes = {"series": series, "week": self._week, "h": h}
        codes |= {name: values[series] for name, values in (self._codes | events).items()}
        table = np.empty((len(_CODES) + len(_EVENTS), len(series)), np.int32)
        for row, name in zip(table, _CODES + _EVENTS, strict=True):
            row[:] = codes[name]
        return _Rows(table, numbers)

    def _ahead(self, h: int, alive: Bools) -> tuple[dict[str, Floats | float], dict[str, Ints]]:
        """Return the numeric columns h weeks ahead, and the codes of the three events."""
        lifts = lifts_at(h, self._plan, self._panel, self._learnt)
        numbers: dict[str, Floats | float] = {}
        numbers["expected_promo"] = self._fixed["clean_level"] + lifts["lift_own"]
        numbers |= lifts | similar_weeks_at(h, self._plan, self._kernels, lifts)
        numbers |= plan_at(h, self._plan, self._panel, self._learnt)
        numbers |= competition_at(h, self._plan, self._shelf, alive)
        numbers |= year_ago_at(self._t, h, self._panel, self._learnt)
        numbers |= self._weather[h - 1] | season_of(self._week + h)
        numbers |= {"weeks_since_promo": self._pauses[h - 1], "weeks_ahead": float(h)}
        now, after, before = (self._calendar.known_at(self._t, k) for k in (h, h + 1, h - 1))
        numbers |= {
            "n_event_days": now[1],
            "n_event_days_next": after[1],
            "n_event_days_previous": before[1],
            "is_holiday": now[2],
        }
        numbers |= lift_of(now[0], self._panel.product, self._event_lifts)
        return numbers, {"event": now[0], "event_next": after[0], "event_previous": before[0]}


def _master_columns(master: Snapshot, panel: Panel, is_large: Ints) -> dict[str, Floats]:
    columns = dict(zip(SHOPPER_COLUMNS, master.shoppers[:, panel.store], strict=True))
    size = master.package_size
    missing = ~(size > 0)
    log_size = np.log(size, out=np.zeros_like(size), where=~missing)
    return columns | {
        "is_large_format": is_large,
        "log_package_size": log_size[panel.product],
        "package_size_missing": missing[panel.product],
    }


def _texts(names: pd.Index, codes: Ints) -> pd.Series:
    """Return the names of the codes; -1 is the last name."""
    codes = np.where(codes < 0, len(names) - 1, codes)
    return pd.Series(pd.array(names.to_list(), dtype="str").take(codes))


def _mondays(weeks: Ints) -> np.ndarray:
    distinct, at = np.unique(weeks, return_inverse=True)
    return np.array([monday(w).to_datetime64() for w in distinct], "datetime64[us]")[at]


def _weeks_of_year(weeks: Ints) -> pd.Series:
    distinct, at = np.unique(weeks, return_inverse=True)
    return _texts(pd.Index([week_of_year(w) for w in distinct]), at)


def _segments() -> pd.Index:
    return pd.Index([f"{name}_{velocity}" for name in FORMATS for velocity in VELOCITIES])


def _or_unknown(names: pd.Index) -> pd.Index:
    return names.append(pd.Index([UNKNOWN], dtype="str"))
