"""Features for up to 52 weeks ahead of weekly sums, from their own past and the calendar.

Sums are smooth, so few features are enough; promotions, weather and events are not known so far
ahead. Those of single series are in `forecast_platform.forecasting.features`.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast_platform.vocabulary import DS, PRODUCT_ID, STORE_ID, UNIQUE_ID, WEEK, H, Y

YEAR: Final = 52
MIN_WEEKS: Final = 26
"""Weeks of history below which nothing is said about a cutoff [weeks]."""

LONGEST_HORIZON: Final = 52

DEEP_NUMERIC: Final = (
    "base_level",
    "lag_0",
    "mean_4",
    "mean_13",
    "mean_26",
    "mean_all",
    "sd_13",
    "growth",
    "recent_fading",
    "growth_ahead",
    "year_ago",
    "year_ago_of_all",
    "year_ago_missing",
    "two_years_ago",
    "two_years_ago_of_all",
    "two_years_ago_missing",
    "year_sin_1",
    "year_cos_1",
    "year_sin_2",
    "year_cos_2",
    "weeks_ahead",
)
"""Numeric columns; ``base_level`` is the mean of the last year on the log1p scale, the others of
the past are relative to it."""

DEEP_CATEGORICAL: Final = ("scope", "category", "week_of_year")

Floats = NDArray[np.float64]


def deep_rows(
    sums: pd.DataFrame, cutoffs: Sequence[pd.Timestamp], horizon: int = LONGEST_HORIZON
) -> pd.DataFrame:
    """Build a row per cutoff, series and week ahead.

    Parameters
    ----------
    sums : pandas.DataFrame
        As of `aggregates.aggregate`. For a cutoff only weeks up to it are read.
    cutoffs : sequence of pandas.Timestamp
        Mondays; those with fewer than `MIN_WEEKS` weeks before them have no rows.
    horizon : int, default=52
        Weeks ahead [weeks].

    Returns
    -------
    pandas.DataFrame
        ``week``, ``unique_id``, ``ds``, ``h``, ``scope``, ``category`` (also as ``store_id`` and
        ``product_id``), `DEEP_NUMERIC` as float32, ``week_of_year``, and ``y`` where ``ds`` is in
        ``sums``, else missing.

    Raises
    ------
    ValueError
        If the horizon is not 1 .. 52 weeks.
    """
    if not 1 <= horizon <= LONGEST_HORIZON:
        raise ValueError(f"horizon must be 1 .. {LONGEST_HORIZON} weeks, got {horizon}")
    wide = sums.pivot_table(index=DS, columns=UNIQUE_ID, values=Y)
    parts = [
        _rows_at(wide, int(position), horizon)
        for position in wide.index.get_indexer(pd.DatetimeIndex(list(cutoffs)))
        if position + 1 >= MIN_WEEKS
    ]
    if not parts:
        return pd.DataFrame()
    rows = pd.concat(parts, ignore_index=True)
    known = sums.set_index([UNIQUE_ID, DS])[Y]
    asked = pd.MultiIndex.from_frame(rows[[UNIQUE_ID, DS]])
    named = rows[UNIQUE_ID].str.split("/", n=1)
    scope, category = named.str[0], named.str[1]
    ids = {"scope": scope, "category": category, STORE_ID: scope, PRODUCT_ID: category}
    rows = rows.astype(dict.fromkeys(DEEP_NUMERIC, np.float32))
    return rows.assign(**ids, **{Y: known.reindex(asked).to_numpy()})


def _rows_at(wide: pd.DataFrame, t: int, horizon: int) -> pd.DataFrame:
    """Rows of one cutoff, by week ahead and then series; later weeks are cut off first."""
    logs = np.log1p(wide.iloc[: t + 1].to_numpy(float))
    n, ahead = logs.shape[1], np.arange(1, horizon + 1)
    base = _mean(logs, t - YEAR + 1, t + 1)
    has_two = t + 1 >= 2 * YEAR
    before = _mean(logs, t - 2 * YEAR + 1, t - YEAR + 1) if has_two else base
    year_ago = np.stack([_season(logs, t + int(h) - YEAR, base) for h in ahead])
    two = np.stack([_season(logs, t + int(h) - 2 * YEAR, before) for h in ahead])
    fixed = {
        "base_level": base,
        "lag_0": logs[t] - base,
        "mean_4": _mean(logs, t - 3, t + 1) - base,
        "mean_13": _mean(logs, t - 12, t + 1) - base,
        "mean_26": _mean(logs, t - 25, t + 1) - base,
        "mean_all": logs.mean(axis=0) - base,
        "sd_13": logs[-13:].std(axis=0),
        "growth": np.clip(base - before, -2, 2),
        "year_ago_missing": np.full(n, float(t + 1 < YEAR)),
        "two_years_ago_missing": np.full(n, float(not has_two)),
    }
    columns = {name: np.tile(value, horizon) for name, value in fixed.items()}
    share = np.repeat(ahead / YEAR, n)
    ds = wide.index[t] + pd.to_timedelta(7 * ahead, unit="D")
    turn = 2 * np.pi * ds.dayofyear.to_numpy() / 365.25
    columns |= {
        "recent_fading": columns["mean_13"] * (1 - share),
        "growth_ahead": columns["growth"] * share,
        "year_ago": year_ago.ravel(),
        "year_ago_of_all": np.repeat(year_ago.mean(axis=1), n),
        "two_years_ago": two.ravel(),
        "two_years_ago_of_all": np.repeat(two.mean(axis=1), n),
        "weeks_ahead": np.repeat(np.log(ahead), n),
    }
    waves = {"year_sin_1": np.sin(turn), "year_cos_1": np.cos(turn)}
    waves |= {"year_sin_2": np.sin(2 * turn), "year_cos_2": np.cos(2 * turn)}
    columns |= {name: np.repeat(wave, n) for name, wave in waves.items()}
    of_year = [f"{week:02d}" for week in ds.isocalendar()["week"]]
    keys = {
        WEEK: wide.index[t],
        UNIQUE_ID: np.tile(wide.columns.to_numpy(), horizon),
        DS: np.repeat(ds.to_numpy(), n),
        H: np.repeat(ahead, n),
        "week_of_year": np.repeat(np.array(of_year), n),
    }
    return pd.DataFrame({**keys, **columns})


def _mean(logs: Floats, first: int, stop: int) -> Floats:
    return logs[max(0, first) : stop].mean(axis=0)


def _season(logs: Floats, middle: int, level: Floats) -> Floats:
    """Return the three weeks around one of an earlier year, relative to the level of that year.

    Weeks after the cutoff do not exist in ``logs``; zero where the past does not reach so far.
    """
    if middle < 1:
        return np.zeros(logs.shape[1])
    return np.clip(_mean(logs, middle - 1, middle + 2) - level, -3, 3)
